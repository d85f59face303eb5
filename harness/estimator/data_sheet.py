"""Constants of a catalog device: its data sheet times the shares its class was seen to reach."""

from harness.builder.quantize.levels import Form, MatrixFormat, QuantLevel
from harness.core.errors import UsageError
from harness.core.names import suggestion
from harness.estimator.calibration.constants import ATTENTION, Constants, RatePoint
from harness.estimator.calibration.shapes import kernel_name
from harness.models.catalog.devices import ENGINE_KINDS, CatalogDevice, Engine, device_class

TERA = 1e12
US = 1e-6


def pick_engine(device: CatalogDevice, level: QuantLevel, kind: str | None) -> Engine | None:
    """Return the engine of that kind, or without one the fastest stated at this level.

    Returns:
        None where no engine of the device states a peak.

    Raises:
        UsageError: the device has no such engine.
    """
    if kind is not None:
        for engine in device.engine:
            if engine.kind == kind:
                return engine
        raise UsageError(
            f"{device.key} has no {kind!r} engine of {ENGINE_KINDS}",
            fix=suggestion(kind, sorted({engine.kind for engine in device.engine})),
        )
    stated = [engine for engine in device.engine if peak_flop_per_s(engine, level.body)]
    return max(stated, key=lambda e: peak_flop_per_s(e, level.body) or 0.0, default=None)


def peak_flop_per_s(engine: Engine, form: MatrixFormat) -> float | None:
    """Peak of an engine for a matrix format; None where the data sheet states nothing.

    Integer formats multiply in 8 bit, float ones at their own width. Assumes, where that width is
    not stated: half the rate at twice the bits, and 8 bit no faster than 16 bit.
    """
    int8, half, full = engine.int8_tops, engine.fp16_tflops, engine.fp32_tflops
    if form.form is not Form.FLOAT:
        tera = int8 or half or full
    elif form.bits == 16:
        tera = half or full or _divided(int8, 2)
    else:
        tera = full or _divided(half, 2) or _divided(int8, 4)
    return None if tera is None else tera * TERA


def device_constants(
    device: CatalogDevice, level: QuantLevel, engine: Engine | None, *, fast: bool
) -> Constants:
    """Return the upper (`fast`) or lower end of what the device should reach.

    Every peak is a share of the data sheet, typical for the class; the time of an operator
    call is that of other devices, with its own range.
    """
    row = device_class(device.device_class)
    end = 1 if fast else 0
    share, compute = row.bandwidth_share[end], row.compute_share[end]
    rates = {}
    if engine is not None:
        attention = MatrixFormat(Form.FLOAT, 8 * level.float_bytes)
        kernels = {kernel_name(form): form for form in (level.body, level.table)}
        kernels[ATTENTION] = attention
        for kernel, form in kernels.items():
            peak = peak_flop_per_s(engine, form)
            if peak is not None:
                rates[kernel] = (RatePoint(peak * compute),)
    return Constants(
        basis=constants_basis(device, engine),
        bandwidth=(RatePoint(device.bandwidth_bytes_per_s * share),),
        rates=rates,
        operator_s=row.operator_us[1 - end] * US,
    )


def constants_basis(device: CatalogDevice, engine: Engine | None) -> str:
    """Return the words that say what the constants are."""
    row = device_class(device.device_class)
    low, high = (round(100 * share) for share in row.bandwidth_share)
    least, most = (round(100 * share) for share in row.compute_share)
    part = "no engine with a stated peak" if engine is None else f"{engine.kind} {engine.name}"
    return (
        f"data sheet: {device.bandwidth_gb_s:g} GB/s, {part};"
        f" {low}-{high} % of the bandwidth, {least}-{most} % of the peak (class {row.name})"
    )


def _divided(tera: float | None, by: int) -> float | None:
    """Return a share of a peak, None of None."""
    return None if tera is None else tera / by
