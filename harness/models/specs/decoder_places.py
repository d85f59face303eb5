"""Where a checkpoint of a family keeps one of our tensors: which stored one, and which part of it.

What each family calls them says harness.models.specs.decoder_names.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache

from harness.models.specs.blocks import EXPERTS, SHARED_GATE
from harness.models.specs.decoder_names import LAYERS, Family, family_of
from harness.models.specs.model import NORM_ORDERS, ModelSpec
from harness.models.specs.tensors import (
    SIDE_IN,
    SIDE_IN_NORM,
    SIDE_TABLE,
    Tensor,
    layer_shapes,
)


@dataclass(frozen=True, slots=True)
class Place:
    """One of our tensors in a checkpoint.

    Attributes:
        name: of the stored tensor, without a prefix that some checkpoints leave out.
        shape: of the whole stored tensor.
        first_row: where ours begins along its outputs.
        transposed: it lies as [inputs, outputs].
        added: what is added to a stored value to get ours.
        flat: a vector of ours lies as a matrix of one row.
        factor: what a stored value is multiplied by, after that, to get ours.
        expert: which of the stacked experts is ours; None: they are not stacked.
        turns: so many of ours give their outputs by turns, the first of them at first_row.
        run_rows: so many rows of ours lie in a row, then come others; 0: all do.
        stride_rows: from the beginning of one run to that of the next.
        by_rows: stacked experts lie as [experts, outputs, inputs], ours one below the other.
        joined: ours is made of these, one below the other, each with its rows; the name is only
            ours then.
        other: where another version of the class keeps it; None: nowhere else.
    """

    name: str
    shape: tuple[int, ...]
    first_row: int = 0
    transposed: bool = False
    added: float = 0.0
    flat: bool = False
    factor: float = 1.0
    expert: int | None = None
    turns: int = 1
    run_rows: int = 0
    stride_rows: int = 0
    by_rows: bool = False
    joined: tuple[tuple[int, "Place"], ...] = ()
    other: "Place | None" = None


# A classifier on top of a decoder's body: one matrix.
_SCORES = {"dense.0": "score"}


@dataclass(frozen=True, slots=True)
class _Ours:
    """One of our tensors, its name taken apart.

    Attributes:
        spec: the architecture.
        family: how its checkpoints call tensors.
        tensor: name and shape.
        layer: its number, or empty.
        part: the name within a layer, or the whole one, without its end.
        end: `weight`, `bias` or the last word of a small array.
    """

    spec: ModelSpec
    family: Family
    tensor: Tensor
    layer: str
    part: str
    end: str

    @property
    def before(self) -> str:
        """What stands before a name within this layer in a checkpoint."""
        return f"{self.family.layers}{self.layer}." if self.layer else ""

    @property
    def is_transposed(self) -> bool:
        """Whether it lies as [inputs, outputs]."""
        return self.family.transposed and bool(self.layer) and len(self.tensor.shape) == 2

    @property
    def added(self) -> float:
        """What is added to a stored value."""
        is_shifted = self.part.endswith("norm") and self.part not in self.family.plain_norms
        return 1.0 if self.family.norms_add_one and is_shifted else 0.0

    @property
    def factor(self) -> float:
        """What it is multiplied by after that."""
        return _folded(self.spec, self.part, self.end)


def checkpoint_place(spec: ModelSpec, tensor: Tensor) -> Place:
    """Return where a checkpoint of the spec's family keeps our tensor."""
    plain, _, end = tensor.name.rpartition(".")
    in_layer = plain.startswith(LAYERS)
    layer, _, part = plain.removeprefix(LAYERS).partition(".") if in_layer else ("", "", plain)
    ours = _Ours(spec, family_of(spec), tensor, layer, part, end)
    found = (case(ours) for case in (_packed, _expert, _gated_query, _interleaved_delta, _joined))
    return next((place for place in found if place is not None), None) or _alone(ours, plain)


def _packed(ours: _Ours) -> Place | None:
    """Return the place of one of several that lie in one, one below the other."""
    family, shape = ours.family, ours.tensor.shape
    for stored, parts in (*family.packed.items(), *family.packed_shared.items()):
        if ours.part in parts:
            of_layer = _heights(ours.spec, int(ours.layer or 0))
            heights = [of_layer[f"{name}.{ours.end}"] for name in parts]
            whole = (sum(heights), *shape[1:])
            return Place(
                f"{ours.before}{stored}.{ours.end}",
                whole[::-1] if ours.is_transposed else whole,
                sum(heights[: parts.index(ours.part)]),
                ours.is_transposed,
                ours.added,
                factor=ours.factor,
            )
    return None


def _gated_query(ours: _Ours) -> Place | None:
    """Return the place of queries or of their gates, which take turns head by head."""
    if not ours.family.gated_queries or ours.part not in ("self_attn.q_proj", "self_attn.g_proj"):
        return None
    rows, *columns = ours.tensor.shape
    run = ours.spec.layer(int(ours.layer)).head_dim
    first = 0 if ours.part == "self_attn.q_proj" else run
    name = f"{ours.before}self_attn.q_proj.{ours.end}"
    return Place(name, (2 * rows, *columns), first, run_rows=run, stride_rows=2 * run)


def _joined(ours: _Ours) -> Place | None:
    """Return the places of queries, keys and values that are stored apart."""
    rule, theirs = ours.spec.delta_rule, ours.family.joined.get(ours.part)
    if theirs is None or rule is None:
        return None
    shape = ours.tensor.shape
    widths = (rule.keys_width, rule.keys_width, rule.values_width)
    pieces = (
        (rows, Place(f"{ours.before}{name}.{ours.end}", (rows, *shape[1:])))
        for rows, name in zip(widths, theirs, strict=True)
    )
    return Place(f"{ours.before}{ours.part}.{ours.end}", shape, joined=tuple(pieces))


def _alone(ours: _Ours, plain: str) -> Place:
    """Return the place of what is a stored tensor of its own."""
    family, part, shape = ours.family, ours.part, ours.tensor.shape
    whole = family.names.get(plain, _SCORES.get(plain))
    names = {**family.names, **_names_of_order(ours.spec, family)}
    begin = whole or ours.before + names.get(part, part)
    name = f"{begin}.{ours.end}" if whole or part else f"{ours.before}{ours.end}"
    if part == SHARED_GATE:
        return Place(name, (1, *shape), flat=True)
    shape = shape[::-1] if ours.is_transposed else shape
    place = Place(name, shape, transposed=ours.is_transposed, added=ours.added, factor=ours.factor)
    if part not in family.names_behind or not ours.spec.layer(int(ours.layer)).attends:
        return place
    behind = f"{ours.before}{family.names_behind[part]}.{ours.end}"
    return replace(place, other=replace(place, name=behind))


def _names_of_order(spec: ModelSpec, family: Family) -> Mapping[str, str]:
    """Return what is called otherwise by where the norms of a layer stand."""
    return family.names_before if spec.norm_order == "before" else {}


def _expert(ours: _Ours) -> Place | None:
    """Return the place of one expert's matrix or bias: by itself, or in a stack of all experts."""
    if not ours.part.startswith(f"{EXPERTS}."):
        return None
    family, before, shape = ours.family, ours.before, ours.tensor.shape
    count = ours.spec.experts.count if ours.spec.experts is not None else 1
    expert, _, matrix = ours.part.removeprefix(f"{EXPERTS}.").partition(".")
    for stored, parts in family.stacked.items():
        if matrix in parts:
            outputs, *inputs = shape
            return Place(
                f"{before}{stored}" + ("_bias" if ours.end == "bias" else ""),
                (count, *inputs, len(parts) * outputs),
                first_row=parts.index(matrix),
                expert=int(expert),
                turns=len(parts),
            )
    theirs = family.expert_names.get(matrix, matrix)
    name = f"{before}{family.experts}.{expert}.{theirs}.{ours.end}"
    alone = Place(name, shape, factor=ours.factor)
    for stored, parts in family.stacked_rows.items():
        if matrix in parts:
            rows, columns = shape
            place = Place(
                f"{before}{stored}",
                (count, len(parts) * rows, columns),
                first_row=parts.index(matrix) * rows,
                expert=int(expert),
                by_rows=True,
                factor=ours.factor,
            )
            return replace(place, other=alone) if family.unstacked else place
    return alone


def _interleaved(spec: ModelSpec) -> Mapping[str, tuple[tuple[int, int], ...]]:
    """Return of each interleaved part the runs it is made of: first row and rows of a key head.

    A key head's rows are those of its query, key, values and gates in `in_proj_qkvz`, and its
    rates of writing and of forgetting in `in_proj_ba`.
    """
    rule = spec.delta_rule
    if rule is None:
        return {}
    key, shared = rule.key_dim, rule.value_heads // rule.key_heads
    values = shared * rule.value_dim
    return {
        "linear_attn.in_proj_qkv": ((0, key), (key, key), (2 * key, values)),
        "linear_attn.in_proj_z": ((2 * key + values, values),),
        "linear_attn.in_proj_b": ((0, shared),),
        "linear_attn.in_proj_a": ((shared, shared),),
    }


def _interleaved_delta(ours: _Ours) -> Place | None:
    """Return the place of a part of linear attention that lies between others, head by head."""
    rule, runs = ours.spec.delta_rule, _interleaved(ours.spec)
    if not ours.family.interleaved_delta or ours.part not in runs or rule is None:
        return None
    is_rate = ours.part.endswith(("_a", "_b"))
    together = ("linear_attn.in_proj_b", "linear_attn.in_proj_a") if is_rate else tuple(runs)[:2]
    stride = sum(rows for one in together for _first, rows in runs[one])
    name = f"{ours.before}linear_attn.in_proj_{'ba' if is_rate else 'qkvz'}.{ours.end}"
    shape = (stride * rule.key_heads, *ours.tensor.shape[1:])
    pieces = tuple(
        (rows * rule.key_heads, Place(name, shape, first, run_rows=rows, stride_rows=stride))
        for first, rows in runs[ours.part]
    )
    return pieces[0][1] if len(pieces) == 1 else Place(name, shape, joined=pieces)


# Of a second embedding: rows · sqrt(width) and the projection / sqrt(hidden), whose norm is taken;
# their sum / sqrt(2).
_SIDE_FACTORS: Mapping[str, Callable[[ModelSpec], float]] = {
    SIDE_TABLE: lambda spec: (spec.per_layer_width / 2) ** 0.5,
    SIDE_IN: lambda spec: spec.hidden_size**-0.5,
    SIDE_IN_NORM: lambda _spec: 0.5**0.5,
}


def _folded(spec: ModelSpec, part: str, end: str) -> float:
    """Return what the multipliers of a model make of a tensor: the last ones of each branch."""
    if part == "model.norm":
        return spec.logit_multiplier
    if part in _SIDE_FACTORS:
        return _SIDE_FACTORS[part](spec)
    if spec.part_multipliers:
        factors = dict(spec.part_multipliers)
        return factors.get(f"{part}.{end}", factors.get(part, 1.0))
    is_last = part.startswith(f"{EXPERTS}.") and part.endswith("down_proj")
    own = spec.experts.scale if spec.experts is not None and is_last else 1.0
    order = NORM_ORDERS[spec.norm_order]
    norms = (order.after_attention, order.after_block)
    if any(norms):
        return spec.residual_multiplier if part in norms else own
    ends = ("o_proj", "down_proj", "out_proj")
    return own * spec.residual_multiplier if part.endswith(ends) else 1.0


@cache
def _heights(spec: ModelSpec, layer: int) -> dict[str, int]:
    """Outputs of every tensor of a layer."""
    return {name: shape[0] for name, shape in layer_shapes(spec, spec.layer(layer))}
