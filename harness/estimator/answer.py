"""`harness.estimate`: memory, speed and energy of a model on a device, without running it.

Energy is a floor from physics and a model from stated watts, never a measurement; the floor is far
below what platforms draw: 8 times on a laptop GPU, 240 times on a Raspberry Pi 4.

Beside it stands the estimate people do in their heads, the honest baseline: parameters times bits,
over bandwidth. It knows nothing of scales, caches, embeddings or kernels; that is the point.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from harness.builder.quantize.levels import QuantLevel, find_level
from harness.core.errors import UsageError
from harness.core.units import GB
from harness.estimator.calibration.constants import CHOICE, ELEMENTWISE, kernel_name
from harness.estimator.memory import (
    ANY_ENGINE,
    MemoryBreakdown,
    MemoryTerm,
    peak_memory,
    stored_model_bytes,
)
from harness.estimator.query import Case, Lengths, Range, device_constants, make_case, stored_bits
from harness.estimator.timing import Breakdown, decode_step, prefill, timed
from harness.estimator.work import MATRIX_STREAM, Pass, Work, pass_work
from harness.models.catalog.devices import catalog_device, device_class
from harness.models.catalog.target import EstimateTarget
from harness.models.specs.structure import ModelStructure, Stage
from harness.results.calibration import Constants

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


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bytes of a case.

    Attributes:
        weights_bytes: in the file, scales included.
        kv_bytes_per_token: one token adds to the cache; None: not known.
        memory: the estimated peak and its parts.
        available_bytes: that the device leaves.
    """

    weights_bytes: float
    kv_bytes_per_token: int | None
    memory: MemoryBreakdown
    available_bytes: float

    @property
    def fits(self) -> bool:
        """Whether the peak is within what is available."""
        return self.memory.peak_bytes <= self.available_bytes


def case_sizes(case: Case) -> Sizes:
    """Return the bytes of a case; of a bare count only its weights and the runtime."""
    structure, level, lengths = case.target.structure, case.level, case.lengths
    available = case.budget.available_bytes
    if structure is None:
        weights = weights_bytes(case.target.parameters, stored_bits(level))
        runtime = MemoryTerm("runtime", float(case.runtime.base_bytes))
        memory = MemoryBreakdown((MemoryTerm("weights", weights), runtime), case.runtime.name)
        return Sizes(weights, None, memory, available)
    memory = peak_memory(
        structure,
        level,
        prompt_tokens=lengths.prompt_tokens,
        depth_tokens=lengths.depth_tokens,
        gen_tokens=lengths.gen_tokens,
        capacity_tokens=lengths.capacity_tokens,
        batch=lengths.batch,
        runtime=case.runtime,
    )
    kv_bytes = structure.kv_bytes_per_token(level.float_bytes)
    return Sizes(float(stored_model_bytes(structure, level)), kv_bytes, memory, available)


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


# Activations: the floor of energy does without them.
MAY_STAY_IN_A_CACHE = (MATRIX_STREAM, ELEMENTWISE, CHOICE)


@dataclass(frozen=True, slots=True)
class Speeds:
    """Estimated times and rates; None: the model does not do it, or a peak is not known.

    Attributes:
        step_s: one decode step; of an encoder, its pass.
        ttft_s: prefill up to the logits of the last token, warm.
        reread_ttft_s: of a turn the same where everything before it is read again.
        encode_s: one pass of the encoder (and the first token, where a decoder follows).
        prefill_tok_s: prompt tokens per second.
        decode_tok_s: generated tokens per second, of all sequences.
        bound: what most of the step goes to: `memory`, `compute`, `overhead`, or two of them
            where the ends differ.
        steps: the step at the slow and at the fast end, term by term.
        prefills: the prefill at both ends; empty where a peak is not known.
    """

    step_s: Range
    ttft_s: Range | None
    encode_s: Range | None
    prefill_tok_s: Range | None
    decode_tok_s: Range | None
    bound: str
    steps: tuple[Breakdown, ...]
    prefills: tuple[Breakdown, ...]
    reread_ttft_s: Range | None = None


def case_speeds(case: Case) -> Speeds:
    """Return the estimated speeds of a case."""
    ends = case.peaks or [
        device_constants(case.device, case.level, case.engine, fast=fast) for fast in (False, True)
    ]
    prefills = tuple(_prefill(case, end) for end in ends)
    steps = tuple(_decode_step(case, end) for end in ends) if case.decodes else prefills
    known = all(breakdown.compute_known for breakdown in prefills)
    spent = _seconds(prefills) if known else None
    step = _seconds(steps)
    encodes = prefills[0].name == "encode"
    batch, prompt = case.lengths.batch, case.lengths.prompt_tokens
    return Speeds(
        step_s=step,
        ttft_s=spent if case.decodes else None,
        encode_s=spent if encodes else None,
        prefill_tok_s=None if encodes or spent is None else _rate(spent, prompt * batch),
        decode_tok_s=_rate(step, batch) if case.decodes else None,
        bound="/".join(dict.fromkeys(breakdown.bound for breakdown in steps)),
        steps=steps,
        prefills=prefills if known else (),
        reread_ttft_s=_reread(case, ends) if case.lengths.gen_tokens and known else None,
    )


def _reread(case: Case, ends: Sequence[Constants]) -> Range:
    """Return the time to the first token of a turn whose cache was lost."""
    whole = replace(case, lengths=case.lengths.read_again)
    return _seconds(tuple(_prefill(whole, end) for end in ends))


def least_work(case: Case) -> tuple[Work, ...]:
    """Return what any engine must do for one step (an encoder: its pass): the floor of energy."""
    structure, lengths = case.target.structure, case.lengths
    if structure is None:
        return _count_work(case, rows=lengths.batch)
    shape = Pass(
        1, lengths.step_depth_tokens, lengths.batch, encoder_tokens=structure.encoder_tokens or 0
    )
    if not case.decodes:
        tokens = structure.encoder_tokens or lengths.prompt_tokens
        shape = Pass(tokens, 0, lengths.batch, Stage.ENCODER)
    work = pass_work(structure, case.level, ANY_ENGINE, shape)
    return tuple(term for term in work if term.kernel not in MAY_STAY_IN_A_CACHE)


def _prefill(case: Case, constants: Constants) -> Breakdown:
    """Return the prefill, or the encoder's pass."""
    structure, lengths = case.target.structure, case.lengths
    if structure is None:
        work = _count_work(case, rows=lengths.prompt_tokens * lengths.batch)
        return timed("prefill", work, constants)
    return prefill(
        structure,
        case.level,
        constants,
        prompt_tokens=lengths.prompt_tokens,
        depth_tokens=lengths.depth_tokens,
        batch=lengths.batch,
        runtime=case.runtime,
    )


def _decode_step(case: Case, constants: Constants) -> Breakdown:
    """Return one decode step."""
    structure, lengths = case.target.structure, case.lengths
    if structure is None:
        return timed("decode step", _count_work(case, rows=lengths.batch), constants)
    return decode_step(
        structure,
        case.level,
        constants,
        depth_tokens=lengths.step_depth_tokens,
        batch=lengths.batch,
        runtime=case.runtime,
    )


def _count_work(case: Case, rows: int) -> tuple[Work, ...]:
    """Return the work of a bare parameter count: every weight once, two flop per weight and row."""
    parameters = case.target.parameters
    read_bytes = weights_bytes(parameters, stored_bits(case.level))
    flop = 2.0 * parameters * rows
    kernel = kernel_name(case.level.body)
    return (Work("all weights", kernel, rows, read_bytes, flop, flop),)


def _seconds(ends: tuple[Breakdown, ...]) -> Range:
    """Return the least and greatest time."""
    seconds = [breakdown.seconds for breakdown in ends]
    return Range(min(seconds), max(seconds))


def _rate(seconds: Range, count: int) -> Range:
    """Return events per second: the longer the time, the lower the rate."""
    return Range(count / seconds.high, count / seconds.low)


METHOD_VERSION = 2  # raise it with any change that moves an estimated value


@dataclass(frozen=True, slots=True)
class Energy:
    """Energy of one token; of an encoder, of one sequence.

    Attributes:
        floor_j: below which no device of this memory can be; a floor, not an estimate. None: the
            memory's type is not known.
        modelled_j: stated watts times estimated time, least times least and most times most;
            None: no power is stated.
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
    """

    case: Case
    sizes: Sizes
    speeds: Speeds
    naive_decode_tok_s: float | None
    energy: Energy
    basis: str
    notes: tuple[str, ...]


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
        engine: `cpu`, `gpu` or `npu`; None: the fastest one with a stated peak.
        memory_bytes: that the device carries; None: the most that is sold.
        os_share: share of the memory kept by the operating system; None: the class's.
        price_per_kwh: turns modelled energy into operating cost; None: no cost.

    Raises:
        HarnessError: unknown level, device or engine, or lengths that describe no run.
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
    )


def _naive_decode_tok_s(case: Case) -> float | None:
    """Return the rate people compute in their heads: bandwidth over parameters times bits."""
    if not case.decodes:
        return None
    bandwidth = case.device.bandwidth_bytes_per_s
    bits = case.level.weight_bits
    return decode_tok_s(case.target.parameters, bits, bandwidth, case.lengths.batch)


def _energy(case: Case, speeds: Speeds, price_per_kwh: float | None) -> Energy:
    """Return the energy of one token of one sequence, which shares its step with the batch."""
    batch = case.lengths.batch
    modelled = cost = None
    if case.device.power_w is not None:
        least_w, most_w = case.device.power_w
        modelled = Range(
            modelled_j(least_w, speeds.step_s.low) / batch,
            modelled_j(most_w, speeds.step_s.high) / batch,
        )
    if price_per_kwh is not None and modelled is not None and case.decodes:
        low, high = (
            cost_per_million_tokens(joules, price_per_kwh)
            for joules in (modelled.low, modelled.high)
        )
        cost = Range(low, high)
    pj_per_byte = memory_pj_per_byte(case.device.memory_type)
    floor = None
    if pj_per_byte is not None:
        work = least_work(case)
        read_bytes = sum(term.read_bytes for term in work)
        flop = sum(term.useful_flop for term in work)
        floor = floor_j(read_bytes, flop, pj_per_byte) / batch
    return Energy(floor, modelled, cost)


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
    if price_per_kwh is not None and case.device.power_w is None:
        yield "no power of this device is stated: no energy and no cost"


def _notes(case: Case, sizes: Sizes, speeds: Speeds) -> Iterator[str]:
    """Yield what a reader must know beside the numbers."""
    target, device, lengths = case.target, case.device, case.lengths
    yield from target.notes
    yield from device.remarks
    structure = target.structure
    if structure is None:
        yield "cache, activations and operator calls are left out: only the count is known"
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
    if case.engine is not None and case.engine.note:
        yield f"{case.engine.kind}: {case.engine.note}"
