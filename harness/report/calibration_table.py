"""The constants of a calibration: one row each, with its interval. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from msgspec import to_builtins

from harness.core.units import GB, KIB, MIB
from harness.estimator.calibration.constants import CHOICE, ELEMENTWISE
from harness.estimator.calibration.device_sizes import SIMULATED_BASIS
from harness.report.grid import PEOPLE, Column, draw_columns, draw_records, prose
from harness.report.numbers import two_decimals
from harness.results.calibration import Constants, RatePoint, StoredConstants

CALL = " call"  # how the names of fixed times of a call end
US_PER_S = 1e6


@dataclass(frozen=True, slots=True)
class ConstantRow:
    """One constant.

    Attributes:
        name: what was measured.
        rows: tokens at once; None: it does not depend on them.
        working_set_bytes: that were read; None: it does not depend on them.
        threads: intra-op.
        values: the constant and both ends of its 95 % interval, in `unit`.
        unit: GB/s, Gflop/s or µs.
        processes: fresh ones that measured it.
    """

    name: str
    rows: int | None
    working_set_bytes: float | None
    threads: int
    values: tuple[float, float, float]
    unit: str
    processes: int


COLUMNS: tuple[Column[ConstantRow], ...] = (
    Column("constant", lambda row: row.name),
    Column("tokens", lambda row: row.rows),
    Column("working set MiB", lambda row: row.working_set_bytes, lambda size: f"{size / MIB:.1f}"),
    Column("threads", lambda row: row.threads),
    Column("value", lambda row: row.values[0], two_decimals),
    Column("low", lambda row: row.values[1], two_decimals),
    Column("high", lambda row: row.values[2], two_decimals),
    Column("unit", lambda row: row.unit),
    Column("n", lambda row: row.processes),
)


def draw_constants(stored: Sequence[StoredConstants], style: str) -> str:
    """Draw every constant, or the stored records themselves where a program reads them.

    Args:
        stored: one record per thread count.
        style: of `options.FORMATS`.
    """
    if style in ("json", "jsonl"):
        return draw_records([to_builtins(record) for record in stored], style)
    rows = [row for record in stored for row in constant_rows(record.constants)]
    table = draw_columns(COLUMNS, rows, style)
    if style not in PEOPLE:
        return table
    mark = "- " if style == "md" else ""
    told = dict.fromkeys(
        f"{record.device}: {record.constants.basis}"
        for record in stored
        if record.constants.basis == SIMULATED_BASIS
    )
    return table + "".join(f"\n\n{prose(line, style, mark)}" for line in told)


def constant_rows(constants: Constants) -> Iterator[ConstantRow]:
    """Yield one row per constant."""
    for point in constants.bandwidth:
        yield _rate("read bandwidth", point, constants.threads, "GB/s")
    for kernel, points in sorted(constants.rates.items()):
        unit = "GB/s" if kernel in (ELEMENTWISE, CHOICE) else "Gflop/s"
        for point in sorted(points, key=lambda point: (point.rows, point.size_bytes)):
            if kernel.endswith(CALL):
                yield _call(kernel, point, constants.threads)
            else:
                yield _rate(kernel, point, constants.threads, unit)
    for name, time in sorted(constants.times.items()):
        seconds = (time.seconds, time.low_s, time.high_s)
        yield _time(name, seconds, None, constants.threads, time.processes)


def _rate(name: str, point: RatePoint, threads: int, unit: str) -> ConstantRow:
    """Return one rate in thousand millions per second."""
    rates = (point.rate_per_s / GB, point.low_per_s / GB, point.high_per_s / GB)
    size = point.size_bytes if point.size_bytes >= KIB else 0.0
    return ConstantRow(name, point.rows, size, threads, rates, unit, point.processes)


def _call(name: str, point: RatePoint, threads: int) -> ConstantRow:
    """Return the time of a call, which is stored as calls per second."""
    seconds = (1 / point.rate_per_s, 1 / point.high_per_s, 1 / point.low_per_s)
    return _time(name, seconds, point.size_bytes, threads, point.processes)


def _time(
    name: str,
    seconds: tuple[float, float, float],
    size_bytes: float | None,
    threads: int,
    processes: int,
) -> ConstantRow:
    """Return one fixed time in microseconds."""
    value, low, high = (second * US_PER_S for second in seconds)
    return ConstantRow(name, None, size_bytes, threads, (value, low, high), "µs", processes)
