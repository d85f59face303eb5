"""The rotary part of a Hugging Face config.json, old (`rope_scaling`) and new form alike."""

import math
from dataclasses import dataclass

from harness.core.records import JsonValues
from harness.models.specs.model import RopeScaling

SUPPORTED = (
    "rope types default, linear, llama3 and yarn over the whole head, the same in every layer"
)
_FULL, _WINDOWED = "full_attention", "sliding_attention"
_PROPORTIONAL = "proportional"
_LONG = ("longrope", "su", "yarn")  # what Phi-3's class takes for longrope


@dataclass(frozen=True, slots=True)
class Rotary:
    """What the rotary positions of a class may be, and its defaults.

    Attributes:
        default_theta: base where config.json has none.
        partial: a part of each head may be rotated.
        default_share: that part where config.json says nothing.
        long: frequencies may have a divisor each (longrope).
        local_theta: base in layers with a window; None: as in the others.
        theta_key: what transformers 4 calls the base.
        local_key: what it calls that of layers with a window.
        by_kind: layers with a window are never stretched, and transformers 5 writes an object for
            each kind of layer.
        grows: queries may grow with their position (Ministral 3).
    """

    default_theta: float = 10_000.0
    partial: bool = False
    default_share: float = 1.0
    long: bool = False
    local_theta: float | None = None
    theta_key: str = "rope_theta"
    local_key: str = "rope_local_base_freq"
    by_kind: bool = False
    grows: bool = False


@dataclass(frozen=True, slots=True)
class Turns:
    """The rotary positions of a model; fields as those of ModelSpec.

    Attributes:
        theta: base of the frequencies.
        scaling: how they are stretched, or None.
        local_theta: base in layers with a window; None: as in the others.
        share: the part of a head that is rotated.
    """

    theta: float
    scaling: RopeScaling | None
    local_theta: float | None
    share: float


def turns_of(values: JsonValues, rotary: Rotary) -> Turns:
    """Return base, stretching and share of the rotary positions.

    transformers 4 writes `rope_theta` beside an optional `rope_scaling`; transformers 5 writes
    both into `rope_parameters`. Where both objects exist, `rope_scaling` wins, as there.

    Raises:
        ModelError: a rope type that is not built, part of the head rotated, or other parameters
            in other layers; the message names the type and the supported ones.
    """
    table = values.table("rope_scaling") or values.table("rope_parameters")
    windowed: JsonValues | None = None
    if rotary.by_kind and table is not None and (table.has(_FULL) or table.has(_WINDOWED)):
        windowed = table.table(_WINDOWED)
        table = table.table(_FULL) or windowed
    share = _share(values, table, rotary)
    theta = values.number(rotary.theta_key, rotary.default_theta)
    if table is None:
        return Turns(theta, None, _local_theta(values, rotary, None, theta, None), share)
    if any(isinstance(value, dict) for value in table.values.values()):
        raise table.unsupported("it gives other rotary positions to other layers", SUPPORTED)
    theta = table.number("rope_theta", theta)
    scaling = _scaling(values, table, rotary)
    return Turns(theta, scaling, _local_theta(values, rotary, windowed, theta, scaling), share)


def _local_theta(
    values: JsonValues,
    rotary: Rotary,
    windowed: JsonValues | None,
    theta: float,
    scaling: RopeScaling | None,
) -> float | None:
    """Return the base in layers with a window, which are not stretched; None: as in the others."""
    if not rotary.by_kind:
        return None
    if windowed is not None and windowed.text("rope_type", "default") != "default":
        if _scaling(values, windowed, rotary) == scaling and windowed.number("rope_theta") == theta:
            return None
        raise windowed.unsupported("it stretches the positions of layers with a window", SUPPORTED)
    local = values.number(rotary.local_key, rotary.local_theta or theta)
    if windowed is not None:
        local = windowed.number("rope_theta", local)
    return None if rotary.local_theta is None and local == theta and scaling is None else local


def _scaling(values: JsonValues, table: JsonValues, rotary: Rotary) -> RopeScaling | None:
    """Return how frequencies are stretched, or None."""
    kind = table.text("rope_type", table.text("type", "default"))
    if kind == "default":
        return None
    if kind == "linear":
        return RopeScaling("linear", factor=table.number("factor"))
    if kind == "llama3":
        return _llama3(values, table)
    if rotary.long and kind in _LONG:
        return _longrope(values, table)
    if kind == _PROPORTIONAL:
        share = table.number("partial_rotary_factor", 1.0)
        return RopeScaling(kind, factor=table.number("factor", 1.0), turned_share=share)
    if kind == "yarn":
        return _yarn(values, table, rotary)
    if kind == "dynamic" and table.has("alpha"):
        return RopeScaling("ntk", factor=table.number("alpha"))
    raise table.unsupported(f"rope type {kind!r} is not built", SUPPORTED)


def _llama3(values: JsonValues, table: JsonValues) -> RopeScaling:
    """Return the four numbers of the llama3 rule; the context may stand beside the table."""
    return RopeScaling(
        kind="llama3",
        factor=table.number("factor"),
        low_frequency_factor=table.number("low_freq_factor"),
        high_frequency_factor=table.number("high_freq_factor"),
        original_context_tokens=_original_context(values, table),
    )


def _longrope(values: JsonValues, table: JsonValues) -> RopeScaling:
    """Return the divisors within the original context, and the amplitude.

        amplitude = sqrt(1 + ln(factor) / ln(original context))

    Where config.json has no factor it is context / original context.

    Source: _compute_longrope_parameters of transformers (modeling_rope_utils.py).
    """
    original = _original_context(values, table)
    factor = table.number("factor", values.integer("max_position_embeddings") / original)
    amplitude = 1.0 if factor <= 1 else math.sqrt(1 + math.log(factor) / math.log(original))
    return RopeScaling(
        kind="longrope",
        factor=factor,
        original_context_tokens=original,
        divisors=table.numbers("short_factor"),
        amplitude=table.number("attention_factor", amplitude),
    )


def _yarn(values: JsonValues, table: JsonValues, rotary: Rotary) -> RopeScaling:
    """Return bounds, factor and amplitude.

        amplitude = grown(mscale) / grown(mscale_all_dim) where both are given, else grown(1),
        grown(m) = 1 + m / 10 · ln(factor)

    Source: _compute_yarn_parameters of transformers (modeling_rope_utils.py).
    """
    stated = any(place.has("original_max_position_embeddings") for place in (values, table))
    longest = values.integer("max_position_embeddings")
    original = _original_context(values, table) if stated else longest
    factor = table.number("factor", longest / original)

    def grown(scale: float) -> float:
        return 1.0 if factor <= 1 else 1 + scale / 10 * math.log(factor)

    scale, everywhere = table.number("mscale", 0.0), table.number("mscale_all_dim", 0.0)
    amplitude = grown(scale) / grown(everywhere) if scale and everywhere else grown(1.0)
    return RopeScaling(
        kind="yarn",
        factor=factor,
        original_context_tokens=original,
        amplitude=table.number("attention_factor", amplitude),
        fast_turns=table.number("beta_fast", 32.0),
        slow_turns=table.number("beta_slow", 1.0),
        whole_pairs=table.flag("truncate", True),
        query_growth=table.number("llama_4_scaling_beta", 0.0) if rotary.grows else 0.0,
    )


def _original_context(values: JsonValues, table: JsonValues) -> int:
    """Return the context a model was first trained with; it may stand beside the table."""
    outer = values.values.get("original_max_position_embeddings")
    context = values if outer is not None else table
    return context.integer("original_max_position_embeddings")


def _share(values: JsonValues, table: JsonValues | None, rotary: Rotary) -> float:
    """Return the part of a head that is rotated; a part only where the class takes one.

    Proportional positions turn the whole head, most of it by no angle.
    """
    if table is not None and table.text("rope_type", "default") == _PROPORTIONAL:
        return 1.0
    share = values.number("partial_rotary_factor", rotary.default_share)
    if table is not None:
        share = table.number("partial_rotary_factor", share)
    if share != 1.0 and not rotary.partial:
        raise values.unsupported(f"partial_rotary_factor is {share}", SUPPORTED)
    return share
