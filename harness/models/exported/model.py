"""A model that others exported, as far as its files tell: what a caller must know to run it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import Any

from harness.models.exported.ports import CacheLayout, Port, PortNames
from harness.models.specs.model import AnySpec, spec_type

WEIGHTS = "exported"  # nobody here knows whether they were trained


class ExportedKind(StrEnum):
    """What a model does, and with it which tests make sense.

    `decoder`: reads a cache and writes it. `decoder_without_past`: reads the whole text at every
    step. `encoder`: one vector per token. `embedding`: one vector per text. `encoder_decoder`: an
    encoder, and a decoder that looks at what it gave. `vision`: images in. `sound`: sounds in.
    `any`: a graph of which only shapes and types are known.
    """

    DECODER = "decoder"
    DECODER_WITHOUT_PAST = "decoder_without_past"
    ENCODER = "encoder"
    EMBEDDING = "embedding"
    ENCODER_DECODER = "encoder_decoder"
    VISION = "vision"
    SOUND = "sound"
    ANY = "any"


_WITH_STEPS = (
    ExportedKind.DECODER,
    ExportedKind.DECODER_WITHOUT_PAST,
    ExportedKind.ENCODER_DECODER,
)
COMPILED, UNKNOWN = "compiled", "unknown"  # levels of files whose weights cannot be counted


class Role(StrEnum):
    """What one graph file is for.

    `model`: all there is. `encoder`: the first half of two. `decoder`: the half that begins a
    text and fills the cache. `decoder_with_past`: the half that goes on with a filled cache.
    `decoder_merged`: both in one, chosen by `use_cache_branch`.
    """

    MODEL = "model"
    ENCODER = "encoder"
    DECODER = "decoder"
    DECODER_WITH_PAST = "decoder_with_past"
    DECODER_MERGED = "decoder_merged"


@dataclass(frozen=True, slots=True)
class Storage:
    """The weights of a model that are stored alike.

    Attributes:
        level: in words, such as `int4 b32 (MatMulNBits)` or `fp32`.
        bits: of one stored weight, scales left out.
        parameters: trained values.
        stored_bytes: with scales, zero points and copies.
    """

    level: str
    bits: int
    parameters: int
    stored_bytes: int


@dataclass(frozen=True, slots=True)
class Sound:
    """How sounds go into a model, by its configuration; else as most models of speech take them.

    Attributes:
        rate_hz: samples of a second.
        hop_samples: from one frame of a spectrogram to the next.
        bins: of a spectrogram.
        frames: of the one length that its encoder takes; None: any.
    """

    rate_hz: int = 16_000
    hop_samples: int = 160
    bins: int = 80
    frames: int | None = None

    def frames_of(self, seconds: float) -> int:
        """Frames of so much sound."""
        return round(seconds * self.rate_hz / self.hop_samples)

    def seconds_of(self, frames: int) -> float:
        """How long so many frames last."""
        return frames * self.hop_samples / self.rate_hz


USUAL_SOUND = Sound()


@dataclass(frozen=True, slots=True)
class DataFile:
    """A file beside the graphs that holds tensors.

    Attributes:
        name: relative to the model's folder, with `/`.
        size_bytes: as found.
    """

    name: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class ExportedGraph:
    """One graph file.

    Attributes:
        role: what it is for.
        file: its name in the model's folder.
        inputs: without those that only name a weight.
        outputs: all.
        names: which port plays which part.
        cache: keys and values, or None.
        parameters: trained values in this file.
        weights_bytes: as stored in this file and its data files.
        opset: of the standard operators.
        domains: of the others, such as `com.microsoft`.
        input_weights: stored tensors that are inputs too, so that they are not constant.
        nodes: operators of the graph and its branches, functions written out.
        lost_operators: those without a kernel on the CPU, such as `Attention (opset 25)` -> nodes.
        loaded_nodes: what the graph becomes where such are taken apart; None: not asked.
        score_arrays: whole matrices of attention's scores that live at once where it is written
            out; 0: it is not.
    """

    role: Role
    file: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    names: PortNames
    cache: CacheLayout | None
    parameters: int
    weights_bytes: int
    opset: int
    domains: tuple[str, ...] = ()
    input_weights: tuple[str, ...] = ()
    nodes: int = 0
    lost_operators: dict[str, int] = field(default_factory=dict)
    loaded_nodes: int | None = None
    score_arrays: int = 0

    def port(self, name: str) -> Port:
        """Return an input or output by its name.

        Raises:
            KeyError: there is none.
        """
        for port in (*self.inputs, *self.outputs):
            if port.name == name:
                return port
        raise KeyError(name)

    @property
    def mask_rank(self) -> int | None:
        """Dimensions of the attention mask: 2 or 4; None without one."""
        return None if self.names.mask is None else self.port(self.names.mask).rank

    @property
    def free_dimensions(self) -> tuple[str, ...]:
        """Free dimensions of the inputs, each once, in order."""
        return tuple(dict.fromkeys(name for port in self.inputs for name in port.free))


@dataclass(frozen=True, slots=True)
class ExportedModel:
    """One recognised model.

    Attributes:
        name: of its folder or file; never a path.
        kind: what it does.
        folder: holds the graph files and their data; absolute. Never part of results.
        graphs: each once; the first is the one that stands for the model.
        exporter: the program that wrote it and its version, as the file says; may be empty.
        parameters: trained values, each counted once however often it is stored.
        weights_bytes: of the weights as stored, copies in several graphs counted once.
        storages: the same by form, most parameters first.
        data_files: of all graphs, each once.
        content_hash: `sha256:<16 hex digits>` of graphs and data.
        vocab_size: one more than the largest token id; None where there are no tokens.
        max_context_tokens: longest sequence, of a decoder half its own; None where nothing says so.
        source_context_tokens: longest text of an encoder, of a pair the one that its decoder looks
            at; None where nothing says so.
        hidden_size: width of the residual stream, where it is known.
        image_size: height and width in pixels, where they are fixed.
        sound: how sounds go in.
        tokenizer_folder: holds tokenizer.json, or None.
        spec: the architecture as far as counting needs it, where a config.json describes one that
            we know, or genai_config.json and the count do.
        variants: other model files of the same folder that may be chosen instead.
        unread_bytes: of stored tensors that no rule reads as weights.
        once_tensors: equal vectors of a model that was never trained, beside those that are stored.
        once_parameters: their values.
        compiled_for: the provider that has compiled it (`QNN`); empty: it is a graph of operators.
        notes: what a reader of its numbers should know, in sentences.
        differences: those that say what its graphs have otherwise than its configuration.
    """

    name: str
    kind: ExportedKind
    folder: Path
    graphs: tuple[ExportedGraph, ...]
    exporter: str
    parameters: int
    weights_bytes: int
    storages: tuple[Storage, ...]
    data_files: tuple[DataFile, ...]
    content_hash: str
    vocab_size: int | None = None
    max_context_tokens: int | None = None
    source_context_tokens: int | None = None
    hidden_size: int | None = None
    image_size: tuple[int, int] | None = None
    sound: Sound = USUAL_SOUND
    tokenizer_folder: Path | None = None
    spec: AnySpec | None = None
    variants: tuple[str, ...] = ()
    unread_bytes: int = 0
    once_tensors: int = 0
    once_parameters: int = 0
    compiled_for: str = ""
    notes: tuple[str, ...] = ()
    differences: tuple[str, ...] = ()

    @property
    def main(self) -> ExportedGraph:
        """The graph that stands for the model: of two halves the decoder that begins a text."""
        return self.graphs[0]

    def graph(self, role: Role) -> ExportedGraph | None:
        """Return the graph of a role, or None."""
        return next((graph for graph in self.graphs if graph.role is role), None)

    def path(self, graph: ExportedGraph) -> Path:
        """Where a graph file lies."""
        return self.folder / graph.file

    @property
    def free_dimensions(self) -> tuple[str, ...]:
        """Free dimensions of all its graphs' inputs, each once, in order."""
        return tuple(dict.fromkeys(n for graph in self.graphs for n in graph.free_dimensions))

    @property
    def input_weights(self) -> int:
        """Stored tensors that are inputs too, of all its graphs."""
        return sum(len(graph.input_weights) for graph in self.graphs)

    @property
    def level(self) -> str:
        """How most of its parameters are stored, in words; `fp32` of a graph without any."""
        if self.compiled_for:
            return COMPILED
        if self.storages:
            return self.storages[0].level
        return UNKNOWN if self.unread_bytes else "fp32"

    @property
    def cache_kind(self) -> str:
        """How steps are handed what was read before.

        `static`: a buffer whose size the graph fixes. `shared`: one of any size, written in place.
        `growing`: each run returns longer tensors, beside states in a hybrid. `states`: nothing
        grows. `none`: every step reads the whole text again, or there are no steps.
        """
        layouts = [graph.cache for graph in self.graphs if graph.cache and graph.cache.own]
        if not layouts or self.kind not in _WITH_STEPS:
            return "none"
        layout = layouts[-1]
        if layout.capacity_tokens:
            return "static"
        if layout.shares_buffer:
            return "shared"
        return "growing" if layout.growing else "states"

    @property
    def bits_per_weight(self) -> float | None:
        """8 · weights_bytes / parameters; None without parameters."""
        return 8 * self.weights_bytes / self.parameters if self.parameters else None


@dataclass(frozen=True, slots=True)
class ExportedSource:
    """A recognised model and the word that named it.

    Attributes:
        argument: what the user typed.
        model: as recognised.
    """

    argument: str
    model: ExportedModel

    @property
    def name(self) -> str:
        """The last component of its folder or file; never a path."""
        return self.model.name

    @property
    def spec(self) -> AnySpec | None:
        """The architecture, where a configuration beside the files tells one that is known."""
        return self.model.spec

    @property
    def folder(self) -> Path:
        """Where its files lie."""
        return self.model.folder

    @property
    def weights_kind(self) -> str:
        """What a record says of its weights."""
        return WEIGHTS


def to_json(model: ExportedModel) -> dict[str, Any]:
    """Return a model as JSON takes it: how it travels to another process."""
    table = asdict(model)
    for key in _FOLDERS:
        table[key] = None if table[key] is None else str(table[key])
    return table


def from_json(table: Mapping[str, Any]) -> ExportedModel:
    """Return the model that to_json wrote.

    Raises:
        msgspec.ValidationError: the table is of another form.
    """
    import msgspec  # only this needs it

    folders: dict[str, Any] = {key: table[key] and Path(table[key]) for key in _FOLDERS}
    found = table["spec"]
    spec = None if found is None else msgspec.convert(found, spec_type(found))
    values: dict[str, Any] = {
        field.name: msgspec.convert(table[field.name], field.type)
        for field in fields(ExportedModel)
        if field.name not in (*_FOLDERS, "spec")
    }
    return ExportedModel(**values, **folders, spec=spec)


_FOLDERS = ("folder", "tokenizer_folder")
