"""What the emitter of every mixer is given."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from harness.builder.graph.emitter import Emitter
from harness.builder.graph.matrix import Matrix, multiply
from harness.builder.graph.mixture import Mixture
from harness.builder.graph.names import layer_name
from harness.builder.quantize.levels import CacheLevel
from harness.models.specs.layers import Layer
from harness.models.specs.model import ModelSpec


@dataclass(frozen=True, slots=True)
class AttentionInputs:
    """Names of the tensors that every layer's attention shares.

    Attributes:
        last_index: int32 [batch], tokens of each sequence, cached ones included, minus one.
        total_tokens: int32 scalar, the longest of them.
        turns: cosines and sines [context, rotated values / 2]; empty where positions are learned.
        windowed_turns: the same of layers with a window.
        turns_by_theta: the same by base, where each layer has one of its own.
        cache: how keys and values are stored; integers come with scales, see scale_name.
        positions: of each new token [batch, tokens], where attention needs them outside its node.
        sides: the part of a second embedding for each layer [batch, tokens, width]; empty: none.
        growth: what queries are multiplied by [batch, tokens, 1]; empty: by nothing.
        cached: whether keys and values are kept; without, a pass reads whole texts.
    """

    last_index: str
    total_tokens: str
    turns: tuple[str, ...]
    windowed_turns: tuple[str, ...]
    cache: CacheLevel
    positions: str = ""
    growth: str = ""
    cached: bool = True
    sides: tuple[str, ...] = ()
    turns_by_theta: Mapping[float, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Mixing:
    """One mixer of one layer.

    Attributes:
        emitter: takes the nodes.
        spec: the architecture.
        layer: which layer, and its sizes.
        matrices: of the layer, by short name; see harness.builder.graph.block.layer_matrices.
        levels: how they are stored.
        shared: what every attention reads; its kind says how it attends, see
            harness.builder.graph.attention.attended.
    """

    emitter: Emitter
    spec: ModelSpec
    layer: Layer
    matrices: Mapping[str, Matrix]
    levels: Mixture
    shared: AttentionInputs

    @property
    def prefix(self) -> str:
        """What stands before the names of the layer's tensors."""
        return layer_name(self.layer.number)

    def multiply(self, key: str, values: str) -> str:
        """Add the product with one of the layer's matrices."""
        matrix = self.matrices[key]
        return multiply(self.emitter, matrix, values, self.levels.of(matrix.name))
