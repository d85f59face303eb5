"""Operators that not every decoder has: names of their rates, shapes of their probes, and rates.

They are measured when a plan first meets a model with them, and join the constants that are stored.
A rate that is missing has a stand-in, see `stand_in`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from harness.builder.quantize.levels import CACHES, LEVELS, CacheLevel, QuantLevel
from harness.estimator.calibration.constants import (
    ATTENTION,
    OPERATOR_CALL,
    SESSION_CALL,
    Sizes,
    attention_flop,
    attention_name,
    cache_bytes,
    call_name,
    kernel_name,
)
from harness.estimator.calibration.rates import (
    Reply,
    calls_of,
    net,
    rate_point,
    seconds_of,
    time_point,
)
from harness.models.specs.layers import DeltaRule, Mamba, Mixer
from harness.models.specs.structure import STATE_BYTES
from harness.results.calibration import Constants, RatePoint

DELTA, MAMBA, CONVOLUTION = (mixer.value for mixer in (Mixer.DELTA, Mixer.MAMBA, Mixer.CONVOLUTION))
STATES = (DELTA, MAMBA, CONVOLUTION)
SCORES = ("softcap", "sinks", "softcap sinks")  # see structure.Attention.scores
EXPERTS = "experts"
# What attention to a prompt costs beside plain attention where it is not measured, by its scores:
# onnxruntime 1.32's CPU kernel leaves its blocked road then.
# Source: findings/softcap-needs-a-whole-score-matrix.sh's shapes, timed on two AVX2 cores.
TYPICAL_SLOWER = {"softcap": 4.2, "sinks": 2.0, "softcap sinks": 4.2}
# What a step's attention over half floats costs beside one over float32, where it is not measured.
# Source: benchmarks/attention_constants.py.
HALF_SLOWER = 2.5


def scored_name(cache: CacheLevel, scores: str) -> str:
    """Name of the rate of an attention: `attention-softcap`, or `attention` of plain scores."""
    return f"{attention_name(cache)}-{scores}" if scores else attention_name(cache)


def experts_name(kernel: str) -> str:
    """Name of the rate at which the experts of a mixture are multiplied."""
    return f"{EXPERTS}-{kernel}"


def stand_in(kernel: str) -> str:
    """Return the rate that is taken where one of these is missing; empty: memory alone is known."""
    if kernel in STATES:
        return ""
    if kernel.startswith(f"{EXPERTS}-"):
        return kernel.removeprefix(f"{EXPERTS}-")
    for scores in SCORES:
        if kernel.endswith(f"-{scores}") and kernel.startswith(ATTENTION):
            return kernel.removesuffix(f"-{scores}")
    return kernel


def other_cache(kernel: str) -> str:
    """Return the attention that is taken where one over half floats is missing."""
    half = attention_name(CACHES["fp16"])
    return kernel.replace(half, ATTENTION) if kernel.startswith(half) else kernel


def typical_slower(kernel: str, rows: int) -> float:
    """Return how much longer an attention takes than its stand-in.

    One token over half floats; over scores that are not plain it is alike, and prompts are longer.
    """
    if not kernel.startswith(ATTENTION):
        return 1.0
    if rows == 1:
        return HALF_SLOWER if kernel == attention_name(CACHES["fp16"]) else 1.0
    return TYPICAL_SLOWER.get(kernel.rpartition("-")[2], 1.0)


@dataclass(frozen=True, slots=True)
class Probe:
    """One operator as it is measured.

    Attributes:
        name: of its rate.
        command: of the probing process.
        level: of a mixture's weights; None: another operator.
        cache: that an attention reads; None: another operator.
        scores: what it does to scores.
    """

    name: str
    command: str
    level: QuantLevel | None = None
    cache: CacheLevel | None = None
    scores: str = ""


def probe_of(name: str) -> Probe | None:
    """Return the probe of a rate; None: it is no operator of this kind."""
    if name in STATES:
        return Probe(name, "recur")
    plain = stand_in(name)
    if plain == name:
        return None
    if name.startswith(f"{EXPERTS}-"):
        levels = {kernel_name(level.body): level for level in reversed(LEVELS.values())}
        return Probe(name, "mix", level=levels.get(plain))
    caches = {attention_name(cache): cache for cache in reversed(CACHES.values())}
    return Probe(name, "attend", cache=caches[plain], scores=name.removeprefix(f"{plain}-"))


def known_operators(constants: Constants) -> tuple[str, ...]:
    """Return the operators of this kind that were measured."""
    return tuple(name for name in constants.rates if probe_of(name) is not None)


def usual_operators() -> tuple[str, ...]:
    """Return those that a full calibration takes: all but experts at every level."""
    return (*STATES, *(scored_name(CACHES["fp32"], scores) for scores in SCORES[:2]))


@dataclass(frozen=True, slots=True)
class StateShape:
    """The shape that one kind of state is measured in.

    Attributes:
        values: of one layer's state.
        flop: of one token in one layer.
        layers: of the long chain, whose states are read from memory.
        shape: of one layer's state.
        nodes: of one layer.
    """

    values: int
    flop: int
    layers: int
    shape: tuple[int, ...]
    nodes: int


def delta_of(sizes: Sizes) -> DeltaRule:
    """Return the gated delta rule that is measured."""
    heads, keys, values = sizes.delta
    return DeltaRule(heads, heads, keys, values, sizes.taps)


def mamba_of(sizes: Sizes) -> Mamba:
    """Return the Mamba-2 mixer that is measured."""
    heads, state, values = sizes.mamba
    return Mamba(heads, values, state, kernel=sizes.taps)


def state_shape(kind: str, sizes: Sizes) -> StateShape:
    """Return the shape of one kind; its flop are those that harness.models.specs.blocks counts."""
    if kind == CONVOLUTION:
        shape: tuple[int, ...] = (sizes.channels, sizes.taps - 1)
        values, flop, nodes = shape[0] * shape[1], 2 * sizes.channels * sizes.taps, 3
        return StateShape(values, flop, sizes.convolutions, shape, nodes)
    if kind == DELTA:  # and the norm behind it
        rule = delta_of(sizes)
        shape, each, nodes = (rule.value_heads, rule.key_dim, rule.value_dim), 7, 2
    else:
        mamba = mamba_of(sizes)
        shape, each, nodes = (mamba.heads, mamba.state_dim, mamba.head_dim), 5, 1
    values = shape[0] * shape[1] * shape[2]
    layers = max(2, -(-sizes.state_bytes // (STATE_BYTES * values)))
    return StateShape(values, each * values, layers, shape, nodes)


def operator_rates(
    probe: Probe, replies: Sequence[Reply], sizes: Sizes, constants: Constants
) -> dict[str, tuple[RatePoint, ...]]:
    """Return the rates of one operator, fixed costs taken off as the other constants say.

    Raises:
        MeasurementError: fewer than two processes, or passes that no machine gives.
    """
    session_s = constants.times[SESSION_CALL].seconds
    operator_s = 1.0 / constants.rates[OPERATOR_CALL][0].rate_per_s
    if probe.command == "recur":
        return {probe.name: tuple(_state_points(probe, replies, sizes, session_s, operator_s))}
    if probe.level is not None:
        calls = _expert_calls(replies, session_s, operator_s)
        found = _expert_points(probe.level, replies, sizes, session_s, operator_s, calls)
        return {probe.name: tuple(found), call_name(probe.name): (calls,)}
    return {probe.name: tuple(_attention_points(probe, replies, sizes, session_s, constants))}


def _state_points(
    probe: Probe, replies: Sequence[Reply], sizes: Sizes, session_s: float, operator_s: float
) -> Iterator[RatePoint]:
    """Yield flop / (pass - session call - operators · call): of two layers, then of the chain."""
    shape = state_shape(probe.name, sizes)
    for shots in zip(*replies, strict=True):
        layers, rows = shots[0]["layers"], shots[0]["rows"]
        fixed_s = session_s + layers * shape.nodes * operator_s
        flop = float(layers * shape.flop * rows)
        rates = [flop / net(seconds_of(shot), fixed_s) for shot in shots]
        yield rate_point(rates, layers * shape.values * STATE_BYTES, rows)


def expert_flop(sizes: Sizes, layers: int, rows: int) -> float:
    """Operations of so many large mixtures: 6 · experts · hidden · width each, and token."""
    hidden, wide = sizes.expert_widths("pair")
    return 6.0 * layers * sizes.experts * hidden * wide * rows


def _expert_calls(replies: Sequence[Reply], session_s: float, operator_s: float) -> RatePoint:
    """Return calls/s of a mixture of tiny experts, router and reshape taken off."""
    passes = [next(shot for shot in reply if shot["graph"] == "few") for reply in replies]
    times = [(seconds_of(s) - session_s) / s["layers"] - 2 * operator_s for s in passes]
    return calls_of(time_point(times), 1.0)


def _expert_points(
    level: QuantLevel,
    replies: Sequence[Reply],
    sizes: Sizes,
    session_s: float,
    operator_s: float,
    calls: RatePoint,
) -> Iterator[RatePoint]:
    """Yield flop / time of every shape of large experts; each token takes all of them."""
    for shots in zip(*replies, strict=True):
        graph, rows, layers = shots[0]["graph"], shots[0]["rows"], shots[0]["layers"]
        if graph == "few":
            continue
        fixed_s = session_s + layers * (2 * operator_s + 1 / calls.rate_per_s)
        rates = [expert_flop(sizes, layers, rows) / net(seconds_of(s), fixed_s) for s in shots]
        yield rate_point(rates, sizes.expert_bytes(level, graph), rows)


def _attention_points(
    probe: Probe, replies: Sequence[Reply], sizes: Sizes, session_s: float, constants: Constants
) -> Iterator[RatePoint]:
    """Yield the rates of prompts; those of one token are as much off the plain ones as the last.

    Both were measured at the greatest depth.
    """
    assert probe.cache is not None
    layer_s = sum(1.0 / constants.rates[n][0].rate_per_s for n in (OPERATOR_CALL, "attention call"))
    plain = constants.rates.get(attention_name(probe.cache), constants.rates[ATTENTION])
    for shots in zip(*replies, strict=True):
        layers, tokens, seen = shots[0]["layers"], shots[0]["tokens"], shots[0]["seen"]
        fixed_s = session_s + layers * layer_s
        flop = attention_flop(sizes, layers, tokens, seen)
        rates = [flop / net(seconds_of(shot), fixed_s) for shot in shots]
        point = rate_point(rates, cache_bytes(sizes, layers, seen, probe.cache), tokens)
        if tokens > 1:
            yield point
            continue
        alike = [one for one in plain if one.rows == 1]
        share = point.rate_per_s / alike[-1].rate_per_s
        yield from (_scaled(one, share) for one in alike[:-1])
        yield point


def _scaled(point: RatePoint, share: float) -> RatePoint:
    """Return a point of a rate that is so much of another's."""
    low, high = (one * share for one in (point.low_per_s, point.high_per_s))
    return RatePoint(
        point.rate_per_s * share, point.size_bytes, point.rows, low, high, point.processes
    )


def probes_of(names: Sequence[str]) -> Mapping[str, Probe]:
    """Return the probes of these rates by name, each once."""
    found = ((name, probe_of(name)) for name in names)
    return {name: probe for name, probe in found if probe is not None}
