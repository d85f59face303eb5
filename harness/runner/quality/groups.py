"""Groups of a model's matrices whose sensitivity is measured, each held at a level by itself."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from harness.builder.graph.matrix import EMBEDDING, head_name
from harness.builder.graph.names import layer_name
from harness.builder.graph.storage import Role, StoredWeight, plan_storage
from harness.builder.quantize.levels import QuantLevel
from harness.models.specs.model import ModelSpec

MOST_DEPTHS = 8  # runs of neighbouring layers: more of them cost minutes on larger models
# The matrices of a layer by the last part of their name; gate and up read the same activations.
KINDS = {
    "qkv": ("qkv_proj",),
    "o": ("o_proj",),
    "gate and up": ("gate_proj", "up_proj"),
    "down": ("down_proj",),
    "states in": ("in_proj", "in_proj_qkv", "in_proj_z"),
    "states rates": ("in_proj_a", "in_proj_b"),
    "states out": ("out_proj",),
    "router": ("router",),
    "experts": ("experts_gate_up", "experts_down"),
}


@dataclass(frozen=True, slots=True)
class Group:
    """Matrices that are held at a level together, everything else at fp32.

    Attributes:
        name: as a table prints it.
        matrices: names of the stored weights.
        saved_bytes: stored bytes at fp32 minus those at the level, scales included.
    """

    name: str
    matrices: frozenset[str]
    saved_bytes: int


def groups_of(spec: ModelSpec, reference: QuantLevel, level: QuantLevel) -> tuple[Group, ...]:
    """Split the matrices of a model twice: by what they do, and by how deep they lie.

    The tables are groups of their own (one, where the head is the embedding), then come qkv, o,
    gate and up, and down over all layers, then runs of neighbouring layers, at most MOST_DEPTHS.

    Args:
        spec: the architecture.
        reference: fp32.
        level: one of integers; at a level of floats the activations would change with the weights.
    """
    saved = _saved_bytes(spec, reference, level)
    named = (*_tables(spec), *_kinds(saved), *_depths(spec, saved))
    return tuple(
        Group(name, matrices, sum(saved[matrix] for matrix in matrices)) for name, matrices in named
    )


def _saved_bytes(spec: ModelSpec, reference: QuantLevel, level: QuantLevel) -> dict[str, int]:
    """Bytes that each matrix saves, by its stored name."""
    before, after = (
        {weight.name: _stored(weight) for weight in plan_storage(spec, one) if _is_matrix(weight)}
        for one in (reference, level)
    )
    return {name: before[name] - after[name] for name in before}


def _is_matrix(weight: StoredWeight) -> bool:
    return weight.role is not Role.VECTOR


def _stored(weight: StoredWeight) -> int:
    return sum(region.array.size_bytes for region in weight.regions)


def _tables(spec: ModelSpec) -> Iterator[tuple[str, frozenset[str]]]:
    if spec.tied_embeddings:
        yield "embedding and head", frozenset((EMBEDDING,))
        return
    yield "embedding", frozenset((EMBEDDING,))
    yield "head", frozenset((head_name(spec),))


def _kinds(names: dict[str, int]) -> Iterator[tuple[str, frozenset[str]]]:
    for kind, endings in KINDS.items():
        matrices = frozenset(name for name in names if name.rpartition(".")[2] in endings)
        if matrices:
            yield kind, matrices


def _depths(spec: ModelSpec, names: dict[str, int]) -> Iterator[tuple[str, frozenset[str]]]:
    """Runs of layers, as equal as they can be: run r of n begins at layer floor(r · L / n)."""
    runs = min(MOST_DEPTHS, spec.num_layers)
    starts = [run * spec.num_layers // runs for run in range(runs + 1)]
    for first, end in pairwise(starts):
        prefixes = tuple(f"{layer_name(layer)}." for layer in range(first, end))
        words = f"layer {first}" if end == first + 1 else f"layers {first}-{end - 1}"
        yield words, frozenset(name for name in names if name.startswith(prefixes))
