"""`harness.estimate`: memory, speed and energy of a model on a device, without running it.

Energy is a floor from physics and a model from stated watts, never a measurement; the floor is far
below what platforms draw: 8 times on a laptop GPU, 240 times on a Raspberry Pi 4.

Beside it stands the estimate people do in their heads, the honest baseline: parameters times bits,
over bandwidth. It knows nothing of scales, caches, embeddings or kernels; that is the point.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import exp, log

from harness.builder.quantize.levels import QuantLevel, find_level
from harness.core.errors import UsageError
from harness.core.units import GB
from harness.estimator.published.answering import (
    power_drawn,
)
from harness.estimator.published.table import COVERAGE, Evidence, engine_table
from harness.estimator.query import Case, Lengths, Range, make_case
from harness.estimator.taken import Sizes, Speeds, case_sizes, case_speeds, least_work
from harness.models.catalog.devices import catalog_device, device_class
from harness.models.catalog.target import EstimateTarget
from harness.models.specs.structure import ModelStructure

RULE_OF_THUMB_SHARE = 0.55


def weights_bytes(parameters: int, bits_per_weight: float) -> float:
    """Bytes that the weights should need.

        bytes = parameters * bits / 8

    Leaves out scales, zero points, alignment and whatever the runtime keeps beside them.
    Source: the rule of thumb on every model card ("7B at 4 bit is 3.5 GB").
    """
    return parameters * bits_per_weight / 8


def decode_tok_s(
    parameters: int, bits_per_weight: float, read_bytes_per_s: float, batch: int = 1
) -> float:
    """Tokens per second if decoding did nothing but read every weight once per step.

        tok/s = batch * bandwidth / (parameters * bits / 8)

    Assumes: the whole of `read_bytes_per_s` is reached and nothing else takes time; a step
    serves `batch` sequences. `read_bytes_per_s` is measured on this machine by the run itself.
    Source: memory side of the roofline, Williams et al. 2009, doi:10.1145/1498765.1498785.
    """
    return batch * read_bytes_per_s / weights_bytes(parameters, bits_per_weight)


def prefill_tok_s(parameters: int, peak_flop_per_s: float) -> float:
    """Prompt tokens per second if every weight cost two flop and nothing else took time.

        tok/s = peak / (2 * parameters)

    Counts embeddings, which are only looked up, and leaves out attention. `peak_flop_per_s` is
    the peak of a data sheet or of a matrix product in float32.
    Source: compute side of the roofline; 2 flop per weight, Kaplan et al. 2020, arXiv:2001.08361.
    """
    return peak_flop_per_s / (2 * parameters)


def rule_of_thumb_decode_tok_s(
    parameters: int, bits_per_weight: float, read_bytes_per_s: float, batch: int = 1
) -> float:
    """Tokens per second by the best-known rule: bandwidth over size, of which 55 % is reached.

        tok/s = 0.55 * batch * bandwidth / (parameters * bits / 8)

    Source: the constant of llmfit (github.com/AlexsJones/llmfit), which takes it at 4 bit.
    """
    return RULE_OF_THUMB_SHARE * decode_tok_s(parameters, bits_per_weight, read_bytes_per_s, batch)


J_PER_KWH = 3.6e6
PICO = 1e-12
MAX_PRICE_PER_KWH = 1e9  # in any currency
# Least energy to move one byte out of memory, pJ; by the first letters of the memory's type.
# LPDDR 4-8 pJ/bit, DDR 12-20, GDDR 7-7.5 (ranges of general knowledge, the least is taken);
# HBM 3.9 pJ/bit (O'Connor et al., MICRO 2017).
MEMORY_PJ_PER_BYTE = {"LPDDR": 32.0, "DDR": 96.0, "GDDR": 56.0, "HBM": 31.2}
# The least published: 0.22 pJ per fused multiply-add in 8 bit on one data-centre GPU.
COMPUTE_PJ_PER_FLOP = 0.11


def memory_pj_per_byte(memory_type: str) -> float | None:
    """Least energy of reading one byte from memory of this type; None for an unknown one."""
    kinds = (kind for kind in MEMORY_PJ_PER_BYTE if memory_type.startswith(kind))
    kind = next(kinds, None)
    return None if kind is None else MEMORY_PJ_PER_BYTE[kind]


def floor_j(read_bytes: float, flop: float, pj_per_byte: float) -> float:
    """Energy below which no device of this memory can do the work, in joules.

        J = (bytes · pJ/byte + flop · pJ/flop) / 1e12

    Leaves out leakage, caches, the operating system, the power supply: almost everything.
    Source: Horowitz, ISSCC 2014 (form); numbers as above.
    """
    return (read_bytes * pj_per_byte + flop * COMPUTE_PJ_PER_FLOP) * PICO


def modelled_j(power_w: float, seconds: float) -> float:
    """Energy of work that takes `seconds` at a stated power: P · t. Modelled, not measured."""
    return power_w * seconds


def cost_per_million_tokens(j_per_token: float, price_per_kwh: float) -> float:
    """Operating cost of a million tokens, in the currency of the price.

        J/token · 1e6 / 3.6e6 J/kWh · price

    Raises:
        UsageError: the price is negative, or none that anyone pays.
    """
    check_price(price_per_kwh)
    return j_per_token * 1e6 / J_PER_KWH * price_per_kwh


def check_price(price_per_kwh: float) -> None:
    """Refuse a price that is negative, or none that anyone pays.

    Raises:
        UsageError: it is.
    """
    if not 0 <= price_per_kwh <= MAX_PRICE_PER_KWH:
        raise UsageError(
            f"--price-per-kwh {price_per_kwh} is no price: "
            f"it takes numbers from 0 to {MAX_PRICE_PER_KWH:g}",
            fix="--price-per-kwh 0.20",
        )


METHOD_VERSION = 3  # raise it with any change that moves an estimated value


@dataclass(frozen=True, slots=True)
class Energy:
    """Energy of one token; of an encoder, of one sequence.

    Attributes:
        floor_j: below which no device of this memory can be; a floor, not an estimate. None: the
            memory's type is not known.
        modelled_j: the engine's watts, as a share of those stated, times estimated time; None: no
            power is stated.
        cost_per_million_tokens: of the modelled energy at the price given; None: no price, or
            no energy.
    """

    floor_j: float | None
    modelled_j: Range | None
    cost_per_million_tokens: Range | None


@dataclass(frozen=True, slots=True)
class Estimate:
    """One model at one level on one device, before it is run. None: not known, never 0.

    Attributes:
        case: what was asked.
        sizes: bytes in the file and in memory, and whether they fit.
        speeds: time to the first token, rates, and the terms they are sums of.
        naive_decode_tok_s: data-sheet bandwidth over parameters times bits: the baseline.
        energy: floor, model and cost.
        basis: of the speeds.
        notes: warnings, doubts, contradictions.
        evidence: published rows behind it, of the device and of its class and engine; empty: of
            this machine, which was measured.
    """

    case: Case
    sizes: Sizes
    speeds: Speeds
    naive_decode_tok_s: float | None
    energy: Energy
    basis: str
    notes: tuple[str, ...]
    evidence: tuple[Evidence, ...] = ()

    @property
    def coverage(self) -> float | None:
        """Share of published values that ranges should hold; None: of this machine."""
        return COVERAGE if self.case.peaks is None else None


def estimate(
    model: EstimateTarget,
    level: str | QuantLevel,
    *,
    device: str,
    depth: int = 0,
    prompt: int = 128,
    batch: int = 1,
    capacity: int = 0,
    gen: int = 0,
    turn: int = 0,
    engine: str | None = None,
    memory_bytes: int | None = None,
    os_share: float | None = None,
    price_per_kwh: float | None = None,
    runtime_of: str | None = None,
    precision: str | None = None,
    context: int = 0,
    context_where_static: bool = False,
) -> Estimate:
    """Estimate a model on a catalog device.

    Args:
        model: what is known of it; harness.estimate takes the words for models instead.
        level: a quantization level, or a QuantLevel such as `case.nominal_level(4)`.
        device: key or alias of the device catalog.
        depth: tokens already in the cache.
        prompt: tokens of the prefill.
        batch: sequences at once.
        capacity: positions that the cache is allocated for; 0: as many as are needed.
        gen: tokens of the answer, of a turn of a chat; 0: it is none.
        turn: its number in its chat.
        engine: `cpu`, `gpu` or `npu`; None: the one that people run models on.
        memory_bytes: that the device carries; None: the most that is sold.
        os_share: share of the memory kept by the operating system; None: the class's.
        price_per_kwh: turns modelled energy into operating cost; None: no cost.
        runtime_of: that runs it there, such as `llama.cpp` or `mlx`; None: the one that the
            device's users run, and ranges reckon with the others.
        precision: of an NPU's format, `w4` or `w4a16`; None: the usual one.
        context: of an NPU's static graph, tokens; 0: the usual one.
        context_where_static: where caches grow, it is passed over.

    Raises:
        HarnessError: unknown level, device or engine, a runtime, format or context that the engine
            does not take, or lengths that describe no run.
    """
    return answer(
        make_case(
            model,
            find_level(level) if isinstance(level, str) else level,
            catalog_device(device),
            Lengths(depth, prompt, batch, capacity, gen, turn),
            engine=engine,
            memory_bytes=memory_bytes,
            os_share=os_share,
            runtime_of=runtime_of,
            precision=precision,
            context=context,
            context_where_static=context_where_static,
        ),
        price_per_kwh,
    )


def answer(case: Case, price_per_kwh: float | None = None) -> Estimate:
    """Return every estimate of a case.

    Raises:
        UsageError: the price is none.
    """
    if price_per_kwh is not None:
        check_price(price_per_kwh)
    sizes, speeds = case_sizes(case), case_speeds(case)
    return Estimate(
        case=case,
        sizes=sizes,
        speeds=speeds,
        naive_decode_tok_s=_naive_decode_tok_s(case),
        energy=_energy(case, speeds, price_per_kwh),
        basis=case.basis,
        notes=(*_notes(case, sizes, speeds), *_no_cost(case, price_per_kwh)),
        evidence=_evidence(case),
    )


def _evidence(case: Case) -> tuple[Evidence, ...]:
    """Return the published rows of the device's engine, and of its class and engine."""
    if case.peaks is not None:
        return ()
    device = case.device
    return engine_table().evidence(device.key, device.device_class, case.engine.kind)


def _naive_decode_tok_s(case: Case) -> float | None:
    """Return the rate people compute in their heads: bandwidth over parameters times bits."""
    if not case.decodes:
        return None
    bandwidth = case.device.bandwidth_bytes_per_s
    bits = case.level.weight_bits
    return decode_tok_s(case.target.parameters, bits, bandwidth, case.lengths.batch)


def _energy(case: Case, speeds: Speeds, price_per_kwh: float | None) -> Energy:
    """Return the energy of one token of one sequence, which shares its step with the batch."""
    batch, floor = case.lengths.batch, None
    pj_per_byte = memory_pj_per_byte(case.device.memory_type)
    if pj_per_byte is not None:
        work = least_work(case)
        read_bytes = sum(term.read_bytes for term in work)
        flop = sum(term.useful_flop for term in work)
        floor = floor_j(read_bytes, flop, pj_per_byte) / batch
    modelled = _modelled(case, speeds, floor or 0.0)
    cost = None
    if price_per_kwh is not None and modelled is not None and case.decodes:
        low, high = (
            cost_per_million_tokens(joules, price_per_kwh)
            for joules in (modelled.low, modelled.high)
        )
        cost = Range(low, high)
    return Energy(floor, modelled, cost)


def _modelled(case: Case, speeds: Speeds, floor: float) -> Range | None:
    """Return watts times seconds, neither end below the floor; None: no power is stated.

    Both vary apart: the variances of their logarithms add up.
    """
    power = None if case.peaks is not None else power_drawn(case.question)
    if power is None:
        return None
    step = log(speeds.step_s.high / speeds.step_s.low) / 2
    whole = exp((log(power.factor) ** 2 + step**2) ** 0.5)
    centre_s = (speeds.step_s.high * speeds.step_s.low) ** 0.5
    joules = modelled_j(power.centre, centre_s) / case.lengths.batch
    return Range(max(joules / whole, floor), max(joules * whole, floor))


def _beyond_context(structure: ModelStructure, lengths: Lengths) -> Iterator[str]:
    """Warn of a sequence that the model does not take; a fixed encoder input is no prompt."""
    prompt = lengths.prompt_tokens if structure.encoder_tokens is None else 0
    depth = lengths.depth_tokens if structure.decodes else 0
    gen = lengths.gen_tokens
    if depth + prompt + gen > structure.max_context_tokens:
        more = f" + answer {gen:,}" if gen else ""
        yield (
            f"depth {depth:,} + prompt {prompt:,}{more} is beyond the model's context of"
            f" {structure.max_context_tokens:,} tokens"
        )


def _no_cost(case: Case, price_per_kwh: float | None) -> Iterator[str]:
    """Say why a price gives no cost."""
    if price_per_kwh is not None and case.device.power_w is None and case.engine.power_w is None:
        yield "no power of this device is stated: no energy and no cost"


def _notes(case: Case, sizes: Sizes, speeds: Speeds) -> Iterator[str]:
    """Yield what a reader must know beside the numbers."""
    target, device, lengths = case.target, case.device, case.lengths
    yield from target.notes
    yield from device.remarks
    structure = target.structure
    if structure is None:
        yield "the cache is left out, and layers are typical of the count: only that is known"
    else:
        yield from _beyond_context(structure, lengths)
    if device_class(device.device_class).memory_varies and not case.budget.is_stated:
        yield f"{device.max_memory_gb:g} GB is the most that is sold; say what it has: --memory 8GB"
    if not sizes.fits:
        yield (
            f"does not fit: {sizes.memory.peak_bytes / GB:,.1f} GB of"
            f" {case.budget.available_bytes / GB:,.1f} GB left by the system;"
            " the speeds hold only if it did"
        )
    if not speeds.prefills:
        yield "no compute peak of this engine is known: nor is the time to the first token"
    claimed = device.claimed_max_parameters
    if claimed is not None:
        yield f"its makers name up to {claimed / 1e9:g} billion parameters"
    if case.engine.note:
        yield f"{case.engine.kind}: {case.engine.note}"
