"""From the files of a model to its record. Reads graphs; for a process of its own.

Nothing here trusts a file: places of tensors are checked before one of them is read, and data
files are read in pieces.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import onnx

from harness.core.units import MIB
from harness.models.exported.architecture import architecture_of
from harness.models.exported.caches import cache_layout, paired_by_shape
from harness.models.exported.config import Described, describe
from harness.models.exported.files import FoundFiles
from harness.models.exported.flat import FlatGraph, flatten
from harness.models.exported.kinds import is_open, kind_of
from harness.models.exported.loading import graph_ports, input_weights, load_graph
from harness.models.exported.model import (
    DataFile,
    ExportedGraph,
    ExportedKind,
    ExportedModel,
    Role,
    Sound,
    Storage,
)
from harness.models.exported.names import CacheName, cache_names, genai_names, name_ports
from harness.models.exported.ports import Port, PortNames
from harness.models.exported.positions import frames_taken, position_limit
from harness.models.exported.safety import COMPILED_OP, check_regular, check_tensors
from harness.models.exported.scores import score_arrays
from harness.models.exported.shapes import (
    TokenTable,
    shaped_inputs,
    shaped_outputs,
    speaks,
    token_table,
)
from harness.models.exported.skeleton import frozen
from harness.models.exported.turns import Turns, differences, lost_window, merged, turns_of
from harness.models.exported.versions import Runtime, check_versions, without_kernel
from harness.models.exported.weights import Counted, combine, count_weights, storages
from harness.models.specs.model import ModelSpec
from harness.models.specs.tensors import parameters

_SPEAK = (ExportedKind.DECODER, ExportedKind.DECODER_WITHOUT_PAST, ExportedKind.ENCODER_DECODER)
_HASH_DIGITS = 16
# Whether no token of a model depends on a later one; None: that cannot be told.
Probe = Callable[[ExportedModel], bool | None]


@dataclass(frozen=True, slots=True)
class _Read:
    """One graph file, read.

    Attributes:
        graph: its record.
        counted: what it stores.
        data: its data files, relative to the model's folder.
        exporter: who wrote it.
        table: that token ids are looked up in.
        positions: most tokens that its tables of positions take; None: it has none.
        frames: of the one length of sounds that it takes; None: any.
        turns: its rotary frequencies and windows.
    """

    graph: ExportedGraph
    counted: Counted
    data: tuple[str, ...]
    exporter: str
    compiled_for: str
    table: TokenTable | None
    positions: int | None
    frames: int | None
    turns: Turns


def recognise(found: FoundFiles, runtime: Runtime, is_causal: Probe | None = None) -> ExportedModel:
    """Return the record of a model: told by names, then by shapes, then by a run.

    Args:
        found: its files; no link among them.
        runtime: what is installed.
        is_causal: runs a model whose kind is still open; None: such a one is taken for a decoder.

    Raises:
        ModelError: a file that is damaged, unsafe, of another version, or not recognised.
    """
    described = describe(found.config_folders, found.name)
    reads = {
        role: _read(role, found, file, described, runtime) for role, file in found.graphs.items()
    }
    if Role.MODEL in reads and not _looks_at_encoder([read.graph for read in reads.values()]):
        reads.pop(Role.ENCODER, None)
    main = next(iter(reads.values()))
    graphs = {role: read.graph for role, read in reads.items()}
    table_rows = None if main.table is None else main.table.rows
    kind = kind_of(graphs, described.classes, table_rows)
    decoding = [read for role, read in reads.items() if role is not Role.ENCODER]
    decoders, is_pair = [read.counted.weights for read in decoding], Role.ENCODER in reads
    encoder = reads[Role.ENCODER].counted.weights if Role.ENCODER in reads else ()
    weights = combine(decoders, encoder)
    rows = storages(weights)
    halves = [read.counted for read in decoding]
    once = [max(halves, key=lambda one: one.once)] * bool(halves)
    once += [read.counted for role, read in reads.items() if role is Role.ENCODER]
    if not _is_nearer(described, rows, once):
        once = []  # what layers share by design, such as a norm without weights
    missing = sum(one.once_parameters for one in once)
    spec, why_none = architecture_of(described, kind, weights, missing, found.name)
    data = list(dict.fromkeys(name for read in reads.values() for name in read.data))
    model = ExportedModel(
        name=found.name,
        kind=kind,
        folder=found.folder,
        graphs=tuple(graphs.values()),
        exporter=main.exporter,
        parameters=sum(row.parameters for row in rows),
        weights_bytes=sum(row.stored_bytes for row in rows),
        storages=rows,
        data_files=tuple(DataFile(name, (found.folder / name).stat().st_size) for name in data),
        content_hash=_content_hash(
            found.folder, [*(read.graph.file for read in reads.values()), *data]
        ),
        vocab_size=_vocab_size(main, described, kind),
        max_context_tokens=_context(kind, described, decoding),
        source_context_tokens=_least(
            (described.source if is_pair else None) or described.context,
            reads.get(Role.ENCODER, main).positions,
        ),
        hidden_size=described.hidden_size or _width(main),
        image_size=_image_size(reads.get(Role.ENCODER, main).graph, described),
        sound=_sound(described, reads.get(Role.ENCODER, main)),
        tokenizer_folder=described.tokenizer_folder,
        spec=spec,
        variants=found.variants,
        unread_bytes=sum(read.counted.unread_bytes for read in reads.values()),
        once_tensors=sum(one.once for one in once),
        once_parameters=missing,
        compiled_for=next((read.compiled_for for read in reads.values() if read.compiled_for), ""),
        differences=_differences(described, kind, decoding),
    )
    copies = max(read.counted.copies_bytes for read in reads.values())
    model = replace(model, notes=_notes(model, copies, why_none, runtime.version))
    asked = is_causal is not None and is_open(kind, main.graph, described.classes)
    if asked and is_causal is not None and is_causal(model) is False:
        kind = ExportedKind.ENCODER
        vocab_size = _vocab_size(main, described, kind)
        spec, why_none = architecture_of(described, kind, weights, missing, found.name)
        notes = _notes(model, copies, why_none, runtime.version)
        return replace(model, kind=kind, vocab_size=vocab_size, spec=spec, notes=notes)
    return model


def _is_nearer(described: Described, rows: Sequence[Storage], once: Sequence[Counted]) -> bool:
    """Whether vectors that are stored once bring the count nearer to that of the configuration."""
    if described.spec is None:
        return True
    lost = parameters(described.spec) - sum(row.parameters for row in rows)
    return abs(lost - sum(one.once_parameters for one in once)) < abs(lost)


def _notes(
    model: ExportedModel, copies_bytes: int, why_none: str | None, runtime: str
) -> tuple[str, ...]:
    """What a reader of a model's numbers should know; `runtime` is the version of onnxruntime."""
    said = []
    if model.compiled_for:
        said.append(f"compiled for {model.compiled_for}: the size of its weights is not known")
    elif model.unread_bytes:
        share = model.unread_bytes / (model.unread_bytes + model.weights_bytes)
        said.append(
            f"{share:.0%} of its stored weights ({model.unread_bytes / MIB:,.1f} MiB) are not"
            " understood: its parameters are at least as many as counted"
        )
    said += [_taken_apart(graph, runtime) for graph in model.graphs if graph.loaded_nodes]
    if model.once_tensors:
        said.append(
            f"{model.once_tensors:,} tensors of {model.once_parameters:,} values are stored once"
            " with their equals, as exporters do with norms that were never trained: its"
            f" architecture has {model.parameters + model.once_parameters:,} parameters"
        )
    if copies_bytes:
        said.append(
            f"a tied table is stored twice: {copies_bytes / MIB:,.1f} MiB are a second copy"
        )
    return (*model.differences, *said, *([why_none] if why_none else ()))


def _differences(
    described: Described, kind: ExportedKind, reads: Sequence[_Read]
) -> tuple[str, ...]:
    """What the graphs that decode have otherwise than their configuration says."""
    spec = described.spec
    turns = merged([read.turns for read in reads])
    if kind not in _SPEAK:
        return ()
    if type(spec) is ModelSpec:
        return differences(turns, spec, described.context)
    return lost_window(turns, described.window, described.context)


def _taken_apart(graph: ExportedGraph, runtime: str) -> str:
    """What becomes of a graph whose operators have no kernel."""
    lost = ", ".join(f"{count} {operator}" for operator, count in graph.lost_operators.items())
    return (
        f"onnxruntime {runtime} has no CPU kernel for {lost} and takes them apart: {graph.nodes:,}"
        f" nodes of {graph.file} become {graph.loaded_nodes:,}"
    )


def _read(
    role: Role, found: FoundFiles, file: str, described: Described, runtime: Runtime
) -> _Read:
    """Return one graph file."""
    where, path = f"{found.name}/{file}", found.folder / file
    check_regular(path, where, found.is_own_copy)
    model = load_graph(path, where)
    folder, inner = path.parent, PurePosixPath(file).parent
    data = check_tensors(model, path, where, found.is_own_copy)
    check_versions(model, path, where, runtime)
    flat = flatten(model)
    is_half = Role.ENCODER in found.graphs and role is not Role.ENCODER
    graph = _graph(role, file, model, flat, described, where, is_half)
    stored = count_weights(flat, folder)
    lost = without_kernel(model, runtime)
    loaded = runtime.nodes_loaded if lost else None
    counted = replace(
        graph,
        lost_operators=lost,
        loaded_nodes=loaded and loaded(frozen(path, graph.input_weights), folder),
        parameters=sum(weight.parameters for weight in stored.weights),
        weights_bytes=sum(weight.stored_bytes for weight in stored.weights),
    )
    compiled = (node.attributes.get("source") for node in flat.nodes if node.op == COMPILED_OP)
    device = next((str(source or "another device") for source in compiled), "")
    exporter = f"{model.producer_name} {model.producer_version}".strip()[:80]
    names = tuple(str(inner / name) for name in data)
    table = token_table(flat, graph.names.ids)
    numbers = {name for name in (graph.names.positions, graph.names.cache_position) if name}
    limit = position_limit(flat, frozenset(numbers), path.parent)
    features, given = (
        graph.port(name) if name else None
        for name in (graph.names.input_features, graph.names.hidden)
    )
    frames = frames_taken(flat, features, given)
    return _Read(
        counted, stored, names, exporter, device, table, limit, frames, turns_of(flat, folder)
    )


def _graph(
    role: Role,
    file: str,
    model: onnx.ModelProto,
    flat: FlatGraph,
    described: Described,
    where: str,
    is_half: bool,
) -> ExportedGraph:
    """Return the record of a graph but for its weights: names first, then shapes."""
    inputs, outputs = graph_ports(model, where)
    part = "encoder" if role is Role.ENCODER else "decoder"
    renamed, patterns = genai_names(described.genai, part)
    past, present = cache_names(inputs, patterns.past), cache_names(outputs, patterns.present)
    names = name_ports(_without(inputs, past), _without(outputs, present), renamed)
    if speaks(flat, inputs, outputs, names, has_cache=bool(past)):
        rest = [
            _unnamed(_without(inputs, past), names),
            _unnamed(_without(outputs, present), names),
        ]
        more_past, more_present = paired_by_shape(flat, *rest)
        past, present = {**past, **more_past}, {**present, **more_present}
    names = shaped_inputs(
        *(flat, _without(inputs, past), names),
        has_cache=bool(past),
        is_half=is_half,
    )
    table = token_table(flat, names.ids)
    vocab_size = described.vocab_size if table is None else table.rows
    vectors = next((port for port in inputs if port.name == names.embeds), None)
    versions = {item.domain: item.version for item in model.opset_import}
    return ExportedGraph(
        role=role,
        file=file,
        inputs=inputs,
        outputs=outputs,
        names=shaped_outputs(
            _without(outputs, present), names, vocab_size, vectors, has_cache=bool(past)
        ),
        cache=cache_layout(flat, past, present, described.head_dim),
        parameters=0,
        weights_bytes=0,
        opset=max(versions.get("", 0), versions.get("ai.onnx", 0)),
        domains=tuple(sorted(versions.keys() - {"", "ai.onnx"})),
        input_weights=input_weights(model),
        nodes=sum(node.op != "Constant" for node in flat.nodes),
        score_arrays=score_arrays(flat),
    )


def _looks_at_encoder(graphs: Sequence[ExportedGraph]) -> bool:
    """Whether a decoder takes what an encoder gives; one of pictures may lie beside any other."""
    decoders = [graph for graph in graphs if graph.role is not Role.ENCODER]
    return not decoders or any(
        graph.names.encoder_hidden_states or (graph.cache and graph.cache.cross)
        for graph in decoders
    )


def _without(ports: Sequence[Port], caches: Mapping[CacheName, Port]) -> list[Port]:
    """Return the ports that are no cache."""
    cached = {port.name for port in caches.values()}
    return [port for port in ports if port.name not in cached]


def _unnamed(ports: Sequence[Port], names: PortNames) -> list[Port]:
    """Return the ports that play no part by their names."""
    known = {getattr(names, part) for part in PortNames.__slots__}
    return [port for port in ports if port.name not in known]


def _vocab_size(main: _Read, described: Described, kind: ExportedKind) -> int | None:
    """Return the number of token ids: of the logits, the table, or the configuration."""
    names = main.graph.names
    if names.ids is None and names.embeds is None and names.decoder_ids is None:
        return None
    logits = main.graph.names.logits
    shape = main.graph.port(logits).shape if logits else None
    speaks = kind in _SPEAK
    if speaks and shape and isinstance(shape[-1], int):
        return shape[-1]
    if main.table is not None:
        return main.table.rows
    return described.vocab_size


def _context(kind: ExportedKind, described: Described, reads: Sequence[_Read]) -> int | None:
    """Return the longest sequence: what tables of positions, fixed caches and files say.

    Of a pair that of the decoder, whose tokens are the target.
    """
    is_pair = kind is ExportedKind.ENCODER_DECODER
    said = (described.target if is_pair else None) or described.context
    caches = (read.graph.cache for read in reads)
    capacities = (cache.capacity_tokens for cache in caches if cache is not None)
    return _least(said, *(read.positions for read in reads), *capacities)


def _least(*limits: int | None) -> int | None:
    """Return the least of the limits that are known."""
    return min((limit for limit in limits if limit is not None), default=None)


def _width(main: _Read) -> int | None:
    """Return the width of the vectors that come out, or of the table of tokens."""
    hidden = main.graph.names.hidden
    shape = main.graph.port(hidden).shape if hidden else None
    if shape and isinstance(shape[-1], int):
        return shape[-1]
    return None if main.table is None else main.table.width


def _image_size(graph: ExportedGraph, described: Described) -> tuple[int, int] | None:
    """Return height and width: as the input fixes them, else as the configuration says."""
    if graph.names.pixel_values is None:
        return None
    match graph.port(graph.names.pixel_values).shape:
        case (_, int(height), int(width), 1 | 3 | 4):  # channels last
            return height, width
        case (_, _, int(height), int(width)):
            return height, width
    return described.image_size


def _sound(described: Described, read: _Read) -> Sound:
    """Return how sounds go in: as configurations say, and as long as the graph takes."""
    frames = described.sound.frames or read.frames
    return replace(described.sound, frames=frames)


def _content_hash(folder: Path, files: Sequence[str]) -> str:
    """Return the digest of names and contents of a model's files, read in pieces."""
    total = hashlib.sha256()
    for name in files:
        with (folder / name).open("rb") as file:
            content = hashlib.file_digest(file, "sha256").digest()
        total.update(f"{name}\0".encode() + content)
    return f"sha256:{total.hexdigest()[:_HASH_DIGITS]}"
