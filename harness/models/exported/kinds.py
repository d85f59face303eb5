"""What kind of model a graph is, told by what goes in and what comes out."""

from collections.abc import Mapping, Sequence

from harness.core.errors import ModelError
from harness.models.exported.model import ExportedGraph, ExportedKind, Role
from harness.models.exported.names import unnamed_inputs
from harness.models.exported.ports import Port

_ENCODER_CLASSES = ("ForMaskedLM", "ForPreTraining", "ForTokenClassification")
_CLASSIFIES = ("ForSequenceClassification", "ForTokenClassification")
_CAUSAL_CLASSES = ("ForCausalLM", "LMHeadModel")
_RUNNABLE = (
    *("float32", "float16", "float64", "bfloat16", "int64", "int32", "int16", "int8", "uint64"),
    *("uint32", "uint16", "uint8", "bool"),
)
POOLED = ("sentence_embedding", "text_embeds", "embeddings", "embedding")


def kind_of(
    graphs: Mapping[Role, ExportedGraph], classes: Sequence[str], table_rows: int | None
) -> ExportedKind:
    """Return the kind of a model.

    Args:
        graphs: by role, the one that stands for the model first.
        classes: of transformers, as config.json names them.
        table_rows: of the table that token ids are looked up in, where there is one.

    Raises:
        ModelError: a graph that cannot be run without knowing more about it.
    """
    main = next(iter(graphs.values()))
    if not _all_known(main):
        return _any(main)
    names = main.names
    if names.decoder_ids or (Role.ENCODER in graphs and len(graphs) > 1):
        return ExportedKind.ENCODER_DECODER
    if names.encoder_hidden_states or (main.cache and main.cache.cross):
        raise ModelError(
            f"{main.file} is the decoder half of two, and its encoder is not beside it",
            fix="put encoder_model.onnx into the same folder",
        )
    if names.pixel_values or (names.ids is None and (names.input_features or names.input_values)):
        # classes, vectors, depths, masks, boxes or letters: any output will do
        return ExportedKind.VISION if names.pixel_values else ExportedKind.SOUND
    if names.ids is None and names.embeds is None:
        return _any(main)
    if names.logits:
        return _of_logits(main, classes, table_rows)
    if names.embedding in POOLED:
        return ExportedKind.EMBEDDING
    return ExportedKind.ENCODER if names.hidden or names.embedding else _any(main)


def is_open(kind: ExportedKind, main: ExportedGraph, classes: Sequence[str]) -> bool:
    """Whether only a run can tell a causal model of this kind from one that fills in gaps."""
    is_named = any(name.endswith(_CAUSAL_CLASSES) for name in classes)
    return kind is ExportedKind.DECODER_WITHOUT_PAST and main.cache is None and not is_named


def _of_logits(main: ExportedGraph, classes: Sequence[str], table_rows: int | None) -> ExportedKind:
    """Return the kind of a graph from token ids to logits.

    Without a cache a language model and an encoder with a head look alike. It is an encoder where
    token types go in, where config.json names such a class, or where there are not as many logits
    as tokens in the vocabulary. With a cache it is one where a text has one set of logits, as of a
    classifier, unless these are as many as tokens. What that leaves open a probe run tells, see
    is_open.
    """
    assert main.names.logits is not None
    shape = main.port(main.names.logits).shape or ()
    is_last = len(shape) == 2 and table_rows is not None and shape[-1] == table_rows
    is_last = is_last and not any(name.endswith(_CLASSIFIES) for name in classes)
    if main.cache is not None and (len(shape) in (0, 3) or is_last):
        return ExportedKind.DECODER if main.cache.has_past else ExportedKind.DECODER_WITHOUT_PAST
    other = isinstance(shape[-1], int) and table_rows not in (None, shape[-1]) if shape else True
    has_head = any(name.endswith(_ENCODER_CLASSES) for name in classes)
    if len(shape) != 3 or main.names.token_types or has_head or other:
        return ExportedKind.ENCODER
    return ExportedKind.DECODER_WITHOUT_PAST


def _all_known(graph: ExportedGraph) -> bool:
    """Whether every input plays a known part, or belongs to a decoder and can be made up."""
    caches = {pair.past for pair in (*graph.cache.own, *graph.cache.cross)} if graph.cache else ()
    rest = [port for port in graph.inputs if port.name not in caches]
    unnamed = [graph.port(name) for name in unnamed_inputs(rest, graph.names)]
    decodes = graph.cache is not None and graph.cache.has_past
    return bool(rest) and (not unnamed or (decodes and all(map(_can_be_made, unnamed))))


def _any(graph: ExportedGraph) -> ExportedKind:
    """Return `any` where inputs can be made from what the graph says of them.

    Raises:
        ModelError: they cannot.
    """
    lost = next((port for port in graph.inputs if not _can_be_made(port)), None)
    if lost is not None:
        empty = f"no value (its shape is {list(lost.shape or ())})"
        what = empty if 0 in (lost.shape or ()) else f"values of {lost.element_type}"
        what = "no shape" if lost.shape is None else what
        raise ModelError(
            f"{graph.file} cannot be recognised, and its input {lost.name[:60]!r} has {what}",
            fix="an export with input_ids or pixel_values, or declared shapes of numbers",
        )
    return ExportedKind.ANY


def _can_be_made(port: Port) -> bool:
    """Whether values of an input can be invented."""
    return port.shape is not None and 0 not in port.shape and port.element_type in _RUNNABLE
