"""Estimates for this machine, from constants measured on it."""

from msgspec import structs

from harness.builder.quantize.levels import QuantLevel, find_level
from harness.core.units import GB
from harness.estimator.answer import Estimate, answer
from harness.estimator.query import Budget, Case, Lengths
from harness.models.catalog.devices import CatalogDevice, Engine
from harness.models.catalog.target import EstimateTarget
from harness.results.calibration import Constants, RatePoint

OS_SHARE = 0.25  # as the laptops of the device catalog
HERE = "here"


def estimate_here(
    model: EstimateTarget,
    level: str | QuantLevel,
    constants: Constants,
    memory_bytes: int,
    *,
    depth: int = 0,
    prompt: int = 128,
    batch: int = 1,
    capacity: int = 0,
    gen: int = 0,
    turn: int = 0,
    os_share: float = OS_SHARE,
    price_per_kwh: float | None = None,
) -> Estimate:
    """Estimate a model on this machine's CPU.

    Args:
        model: as in harness.estimator.answer.estimate.
        level: a quantization level.
        constants: measured here; a range is their 95 % interval, not that of the estimate.
        memory_bytes: of this machine, or of the container around us.
        depth: tokens already in the cache.
        prompt: tokens of the prefill.
        batch: sequences at once.
        capacity: positions that the cache is allocated for; 0: as many as are needed.
        gen: tokens of the answer, of a turn of a chat; 0: it is none.
        turn: its number in its chat.
        os_share: share of the memory kept by the system.
        price_per_kwh: checked and noted: without a stated power there is no cost.

    Returns:
        An estimate without energy: no power is known.

    Raises:
        HarnessError: unknown level, lengths that describe no run, no constants.
    """
    engine = Engine("cpu", f"{constants.threads} threads" if constants.threads else "all threads")
    device = CatalogDevice(
        key=HERE,
        name="this machine",
        aliases=(),
        device_class="laptop",
        memory_type="",
        max_memory_gb=memory_bytes / GB,
        bandwidth_gb_s=constants.bytes_per_s(float("inf")) / GB,
        sources=(constants.basis,),
        engine=(engine,),
    )
    case = Case(
        target=model,
        level=find_level(level) if isinstance(level, str) else level,
        device=device,
        engine=engine,
        lengths=Lengths(depth, prompt, batch, capacity, gen, turn),
        budget=Budget(memory_bytes, os_share, is_stated=True),
        peaks=(interval_end(constants, fast=False), interval_end(constants, fast=True)),
    )
    return answer(case, price_per_kwh)


def interval_end(constants: Constants, *, fast: bool) -> Constants:
    """Return constants with every rate at one end of its interval, where it has one."""
    return structs.replace(
        constants,
        bandwidth=tuple(_point_end(point, fast) for point in constants.bandwidth),
        rates={
            name: tuple(_point_end(point, fast) for point in points)
            for name, points in constants.rates.items()
        },
    )


def _point_end(point: RatePoint, fast: bool) -> RatePoint:
    """Return a point at one end of its interval; without an interval as it is."""
    end = point.high_per_s if fast else point.low_per_s
    return structs.replace(point, rate_per_s=end) if end > 0 else point
