"""`harness.estimate`: memory, speed and energy of a model on a device, without running it."""

from collections.abc import Iterator
from dataclasses import dataclass

from harness.builder.quantize.levels import QuantLevel, find_level
from harness.core.units import GB
from harness.estimator.case import Case, Lengths, Range, make_case
from harness.estimator.energy import (
    check_price,
    cost_per_million_tokens,
    floor_j,
    memory_pj_per_byte,
    modelled_j,
)
from harness.estimator.parameters import decode_tok_s
from harness.estimator.sizes import Sizes, case_sizes
from harness.estimator.speeds import Speeds, case_speeds, least_work
from harness.models.catalog.devices import catalog_device, device_class
from harness.models.catalog.target import EstimateTarget
from harness.models.specs.structure import ModelStructure

METHOD_VERSION = 1  # raise it with any change that moves an estimated value


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
            Lengths(depth, prompt, batch),
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


def _beyond_context(anatomy: ModelStructure, lengths: Lengths) -> Iterator[str]:
    """Warn of a sequence that the model does not take; a fixed encoder input is no prompt."""
    prompt = lengths.prompt_tokens if anatomy.encoder_tokens is None else 0
    depth = lengths.depth_tokens if anatomy.decodes else 0
    if depth + prompt > anatomy.max_context_tokens:
        yield (
            f"depth {depth:,} + prompt {prompt:,} is beyond the model's context of"
            f" {anatomy.max_context_tokens:,} tokens"
        )


def _no_cost(case: Case, price_per_kwh: float | None) -> Iterator[str]:
    """Say why a price gives no cost."""
    if price_per_kwh is not None and case.device.power_w is None:
        yield "no power of this device is stated: no energy and no cost"


def _notes(case: Case, sizes: Sizes, speeds: Speeds) -> Iterator[str]:
    """Yield what a reader must know beside the numbers."""
    target, device, lengths = case.target, case.device, case.lengths
    yield from target.notes
    yield from device.notes
    anatomy = target.anatomy
    if anatomy is None:
        yield "cache, activations and operator calls are left out: only the count is known"
    else:
        yield from _beyond_context(anatomy, lengths)
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
