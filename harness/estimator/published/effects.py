"""Which effects a time on an engine is made of, and how far apart they may be.

Constants: `read` (share of the reference rate), `layer` (time of one layer; of an NPU of a step),
`compute` (share of the peak), `request` (fixed time of a request), `copies` (memory over what is
counted), `room` (the runtime's own memory), `power` (share of the stated watts): each a sum over
the levels kind of engine, family, phone, runtime, device, and runtime on that device.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log

from harness.estimator.published.hierarchy import Effect, Observation, Priors, Summand
from harness.models.catalog.devices import CatalogDevice, Engine

LAYER_S = 50e-6  # references: the constants are factors of these
STEP_S = 28 * LAYER_S  # of an NPU, which runs a whole graph in one call
REQUEST_S = 30e-3
ROOM_BYTES = 300e6
CARDS = ("geforce", "radeon", "instinct", "intel-arc", "nvidia-datacenter")
KINDS = ("cpu", "card", "shared", "npu")  # `card`, `shared`: GPUs with memory of their own, without
PHONE = "phone"
FLOAT_ACTIVATIONS = "w4"  # beside w4a16, whose activations are integers
ENCODER = "encoder"
PLAIN_BITS = 4


@dataclass(frozen=True, slots=True)
class Place:
    """Where something runs, as far as effects tell places apart.

    Attributes:
        kind: of KINDS.
        family: of the engine.
        is_phone: the device is held in a hand, and sheds little heat.
        device: key; empty: any.
        runtime: our word, or a source's own; empty: one that no row has.
    """

    kind: str
    family: str
    is_phone: bool
    device: str = ""
    runtime: str = ""


def engine_kind(engine: Engine) -> str:
    """Return the kind of an engine: GPUs apart by whether they have memory of their own."""
    if engine.kind != "gpu":
        return engine.kind
    return "card" if engine.family in CARDS else "shared"


def place_of(device: CatalogDevice, engine: Engine, runtime: str) -> Place:
    """Return the place of an engine of a device and a runtime."""
    is_phone = device.device_class == PHONE
    return Place(engine_kind(engine), engine.family, is_phone, device.key, runtime)


def constant(name: str, place: Place, bits: int = PLAIN_BITS) -> tuple[Effect, ...]:
    """Return the effects that a constant is the sum of."""
    found = [Effect(name, "kind", place.kind), Effect(name, "family", place.family)]
    if place.is_phone:
        found.append(Effect(name, PHONE, PHONE))
    if place.runtime:
        found.append(Effect(name, "runtime", place.runtime))
    else:
        found.append(Effect(name, "runtime", "another"))
    if place.device:
        found.append(Effect(name, "device", place.device))
        found.append(Effect(name, "pair", f"{place.device}, {place.runtime or 'another'}"))
    if bits != PLAIN_BITS and name in ("read", "compute"):
        found.append(Effect(name, "bits", str(bits)))
    return tuple(found)


def runs(kind: str, layers: float) -> float:
    """Return how often a step waits for its engine: once a layer, an NPU once a step."""
    return 1.0 if kind == "npu" else layers


def run_s(kind: str) -> float:
    """Return the reference of such a wait."""
    return STEP_S if kind == "npu" else LAYER_S


def step_observation(
    place: Place,
    read_s: float,
    layers: float,
    *,
    bits: int = PLAIN_BITS,
    precision: str = "",
    seconds: float = 1.0,
) -> Observation:
    """Return a decode step: what is read at the reference rate, and its layers."""
    summands = (
        Summand(read_s, -1, constant("read", place, bits)),
        Summand(runs(place.kind, layers) * run_s(place.kind), 1, constant("layer", place)),
    )
    factors: tuple[Effect, ...] = ()
    if precision == FLOAT_ACTIVATIONS:
        factors = (Effect("format", "format", FLOAT_ACTIVATIONS),)
    return Observation(seconds, summands, factors)


def pass_observation(
    place: Place,
    compute_s: float,
    streamed_s: float,
    *,
    bits: int = PLAIN_BITS,
    with_request: bool = True,
    is_encoder: bool = False,
    precision: str = "",
    seconds: float = 1.0,
) -> Observation:
    """Return a pass over a prompt: its flop at the peak, reading all weights, a request's rest."""
    summands = [Summand(compute_s, -1, constant("compute", place, bits))]
    if streamed_s:
        summands.append(Summand(streamed_s, 1, ()))
    if with_request:
        summands.append(Summand(REQUEST_S, 1, constant("request", place)))
    factors = []
    if is_encoder:
        factors.append(Effect("format", "format", ENCODER))
    if precision == FLOAT_ACTIVATIONS:
        factors.append(Effect("format", "format", FLOAT_ACTIVATIONS))
    return Observation(seconds, tuple(summands), tuple(factors))


def memory_observation(place: Place, counted_bytes: float, peak_bytes: float = 1.0) -> Observation:
    """Return a peak of memory: what is counted, as often as it is held, and the runtime's own."""
    summands = (
        Summand(counted_bytes, 1, constant("copies", place)),
        Summand(ROOM_BYTES, 1, constant("room", place)),
    )
    return Observation(peak_bytes, summands)


def power_observation(place: Place, stated_w: float, watts: float = 1.0) -> Observation:
    """Return the power of an engine that decodes, as a share of what is stated of it."""
    return Observation(watts, (Summand(stated_w, 1, constant("power", place)),))


LEVELS = ("family", PHONE, "runtime", "device", "pair", "bits")
# Widths by kind of engine: families, phones, runtimes, devices, runtimes on one device, bits of a
# weight; the last is the noise of rows of one device and runtime. Chosen on the published rows so
# that left-out devices lie inside four times of five, and rounded.
STEP_WIDTHS: dict[str, dict[str, Sequence[float]]] = {
    "cpu": {"read": (0.1, 0.1, 0.6, 0.2, 0.1, 0.2), "layer": (0.3, 0.3, 0.3, 0.9, 0.3, 0.2)},
    "card": {"read": (0.1, 0.1, 0.1, 0.1, 0.05, 0.2), "layer": (0.25, 0.2, 0.4, 0.25, 0.2, 0.2)},
    "shared": {"read": (0.2, 0.5, 0.4, 0.12, 0.1, 0.2), "layer": (0.9, 0.8, 0.6, 0.35, 0.5, 0.2)},
    "npu": {"read": (0.4, 0.1, 0.3, 0.25, 0.15, 0.2), "layer": (0.5, 0.1, 0.45, 0.5, 0.1, 0.2)},
}
STEP_NOISE = {"cpu": 0.14, "card": 0.09, "shared": 0.17, "npu": 0.22}
PASS_WIDTHS: dict[str, dict[str, Sequence[float]]] = {
    kind: {"compute": (0.4, 0.3, 0.4, 0.3, 0.2, 0.3), "request": (0.6, 0.3, 0.8, 0.5, 0.4, 0.3)}
    for kind in KINDS
}
PASS_NOISE = {"cpu": 0.2, "card": 0.2, "shared": 0.25, "npu": 0.25}
MEMORY_WIDTHS: dict[str, Sequence[float]] = {
    "copies": (0.1, 0.1, 0.3, 0.1, 0.1, 0.1),
    "room": (0.5, 0.3, 0.8, 0.3, 0.3, 0.3),
}
MEMORY_NOISE = 0.2
POWER_WIDTHS: dict[str, Sequence[float]] = {"power": (0.3, 1.5, 0.2, 0.4, 0.2, 0.1)}
POWER_NOISE = 0.15
WIDE = 2.0  # of what only rows can tell: the mean of a kind
COPIES_WIDTH = 0.3
STARTS = {
    "read": log(0.6),
    "layer": 0.0,
    "compute": log(0.3),
    "request": 0.0,
    "copies": 0.0,
    "room": 0.0,
    "power": log(0.5),
}
FORMAT_WIDTH = 1.0


def step_priors(kind: str) -> Priors:
    """Return the priors of decode steps on engines of a kind."""
    return _priors(kind, STEP_WIDTHS[kind], STEP_NOISE[kind])


def pass_priors(kind: str) -> Priors:
    """Return the priors of passes over prompts on engines of a kind."""
    return _priors(kind, PASS_WIDTHS[kind], PASS_NOISE[kind])


def memory_priors(kind: str) -> Priors:
    """Return the priors of peaks of memory on engines of a kind."""
    return _priors(kind, MEMORY_WIDTHS, MEMORY_NOISE)


def power_priors(kind: str) -> Priors:
    """Return the priors of power on engines of a kind."""
    return _priors(kind, POWER_WIDTHS, POWER_NOISE)


def _priors(kind: str, widths: Mapping[str, Sequence[float]], noise: float) -> Priors:
    """Return the priors of constants with these widths."""
    table = {
        (name, level): width
        for name, row in widths.items()
        for level, width in zip(LEVELS, row, strict=True)
    }
    table |= {(name, "kind"): COPIES_WIDTH if name == "copies" else WIDE for name in widths}
    table["format", "format"] = FORMAT_WIDTH
    means = {Effect(name, "kind", kind): STARTS[name] for name in widths}
    return Priors(table, means, noise)
