"""What was measured of a machine's hardware peaks, as it is stored and read at a shape.

One record serves both sources: constants measured here by micro-graphs, and the numbers of a data
sheet. Nothing in it comes from timing a whole model.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import groupby, pairwise

import msgspec

from harness.core.errors import MeasurementError
from harness.results.background import Background


class RatePoint(msgspec.Struct, frozen=True):
    """One rate at one shape.

    Attributes:
        rate_per_s: bytes or flop per second, the centre over processes.
        size_bytes: what one call reads: the working set of a bandwidth, the weights of a matrix
            kernel as it holds them, the cached keys and values of an attention.
        rows: tokens multiplied at once; 1 for a bandwidth and for decoding.
        low_per_s: lower end of the 95 % interval; 0: not known.
        high_per_s: upper end; 0: not known.
        processes: that the centre is taken over; 0: not measured.
    """

    rate_per_s: float
    size_bytes: float = 1.0
    rows: int = 1
    low_per_s: float = 0.0
    high_per_s: float = 0.0
    processes: int = 0

    def __post_init__(self) -> None:
        """Refuse what no machine does."""
        positive = (self.rate_per_s, self.size_bytes, float(self.rows))
        if not all(value > 0 and math.isfinite(value) for value in positive):
            raise MeasurementError(
                f"a rate of {self.rate_per_s}/s at {self.rows} rows and {self.size_bytes} bytes",
                fix="measure it again: a rate and its shape are positive and finite",
            )


class TimePoint(msgspec.Struct, frozen=True):
    """One fixed time.

    Attributes:
        seconds: the centre over processes; not below 0.
        low_s: lower end of the 95 % interval; noise may put it below 0.
        high_s: upper end.
        processes: that the centre is taken over.
    """

    seconds: float
    low_s: float
    high_s: float
    processes: int

    def __post_init__(self) -> None:
        """Refuse what no clock gives."""
        ends = (self.seconds, self.low_s, self.high_s)
        if self.seconds < 0 or not all(math.isfinite(value) for value in ends):
            raise MeasurementError(
                f"a fixed time of {self.seconds} s", fix="measure it again: bench calibrate --again"
            )


class Pulse(msgspec.Struct, frozen=True):
    """What a machine did in moments of a calibration or a run: three rates of one probe.

    Attributes:
        read_bytes_per_s: memory, beyond any cache.
        flop_per_s: a product of matrices that stay in a cache.
        calls_per_s: operators of next to nothing.
        readings: that each is the centre of.
    """

    read_bytes_per_s: float
    flop_per_s: float
    calls_per_s: float
    readings: int

    def __post_init__(self) -> None:
        """Refuse what no machine does."""
        rates = (self.read_bytes_per_s, self.flop_per_s, self.calls_per_s)
        if not all(value > 0 and math.isfinite(value) for value in rates):
            raise MeasurementError(
                f"rates of {rates} a second", fix="measure them again: they are positive"
            )


class Drift(msgspec.Struct, frozen=True):
    """How fast a machine is now, as shares of what it was when it was calibrated.

    Attributes:
        memory: reading beyond any cache; 0.8: it reads 0.8 of what it did.
        matrix: multiplying.
        calls: what is fixed of each call.
        readings: of this run, that they are the centres of.
    """

    memory: float
    matrix: float
    calls: float
    readings: int

    def __post_init__(self) -> None:
        """Refuse what is no share."""
        shares = (self.memory, self.matrix, self.calls)
        if not all(value > 0 and math.isfinite(value) for value in shares):
            raise MeasurementError(f"a drift of {shares}", fix="measure again: shares are positive")


class Constants(msgspec.Struct, frozen=True):
    """The hardware peaks of one device with one thread count.

    Attributes:
        basis: where they come from, in the words a table prints.
        bandwidth: read rate in bytes/s over the working set.
        rates: over rows and size: flop/s by kernel (`shapes.kernel_name`) or attention_name,
            bytes/s of ELEMENTWISE and CHOICE, calls/s of OPERATOR_CALL, ATTENTION_CALL (what one
            attention takes at depth 1 on top of an operator call) and of each matrix kernel
            (call_name); a kernel without points has no known compute peak.
        operator_s: fixed time of one operator call where no calls/s are known; None: counted as
            nothing.
        threads: that they hold for; 0: the whole device.
        times: other fixed times with their intervals: SESSION_CALL (one empty run).
        inputs: by kernel: values/s that a matrix takes in on top of its products, which
            weighs more the narrower it is; a kernel without points takes none.
        pulse: what a short probe read meanwhile; null: it did not run.
        drift: how fast the machine is now, by which every time is scaled; null: it is not known,
            and nothing is. Never stored with constants.
    """

    basis: str
    bandwidth: tuple[RatePoint, ...]
    rates: Mapping[str, tuple[RatePoint, ...]] = {}
    operator_s: float | None = None
    threads: int = 0
    times: Mapping[str, TimePoint] = {}
    inputs: Mapping[str, tuple[RatePoint, ...]] = {}
    pulse: Pulse | None = None
    drift: Drift | None = None

    @property
    def measured(self) -> bool:
        """Whether kernels were timed as they read their weights, not taken from a data sheet."""
        return any(point.processes for points in self.rates.values() for point in points)

    def bytes_per_s(self, working_set_bytes: float) -> float:
        """Read rate at a working set, interpolated between the measured ones."""
        return rate_at(self.bandwidth, rows=1, size_bytes=working_set_bytes)

    def rate_per_s(self, kernel: str, rows: int, size_bytes: float) -> float | None:
        """Rate of a kernel at a shape; None where none is known."""
        points = self.rates.get(kernel)
        return rate_at(points, rows, size_bytes) if points else None

    def inputs_per_s(self, kernel: str, rows: int) -> float | None:
        """Values/s that a kernel takes in with so many rows; None: nothing on top of products."""
        points = self.inputs.get(kernel)
        return rate_at(points, rows, 1.0) if points else None


class StoredConstants(msgspec.Struct, frozen=True):
    """Constants with what they are valid for, as kept between runs.

    Attributes:
        fingerprint: of the machine: processor, cores, system; names no person or host.
        onnxruntime: its version.
        device: row of the device table.
        method_version: of the measuring code; a change makes stored constants stale.
        complete: every level was measured, not only those of a plan.
        constants: the numbers.
        background_share: processor time that others used meanwhile, as a share of what ours could
            do, of the worst process; None: not known, as before it was counted.
        measured_on: the day, as 2026-11-28 (UTC); None: not known, as before it was kept.
    """

    fingerprint: str
    onnxruntime: str
    device: str
    method_version: int
    complete: bool
    constants: Constants
    background_share: float | None = None
    measured_on: str | None = None

    @property
    def is_busy(self) -> bool:
        """Whether others used so much that the constants serve until the machine is quiet."""
        return Background(cpu_share=self.background_share).is_busy


def rate_at(points: Sequence[RatePoint], rows: int, size_bytes: float) -> float:
    """Return the rate at a shape, from measured shapes.

    Straight lines between neighbours in log(rate) over log(size), then over log(rows); outside
    the measured shapes the nearest one holds.

    Raises:
        MeasurementError: there is no point.
    """
    if not points:
        raise MeasurementError("no rate was measured", fix="bench calibrate")
    if len(points) == 1:
        return points[0].rate_per_s
    ordered = sorted(points, key=lambda point: (point.rows, point.size_bytes))
    curve = []
    for at_rows, group in groupby(ordered, key=lambda point: point.rows):
        line = [(math.log(point.size_bytes), math.log(point.rate_per_s)) for point in group]
        curve.append((math.log(at_rows), _interpolate(line, math.log(max(size_bytes, 1e-9)))))
    return math.exp(_interpolate(curve, math.log(max(rows, 1))))


def _interpolate(line: Sequence[tuple[float, float]], x: float) -> float:
    """Return y at `x` on a line through points with rising x; constant outside."""
    if x <= line[0][0]:
        return line[0][1]
    for (x0, y0), (x1, y1) in pairwise(line):
        if x <= x1:
            return y0 if x1 == x0 else y0 + (y1 - y0) * (x - x0) / (x1 - x0)
    return line[-1][1]
