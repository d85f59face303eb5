"""The engines' table: constants of engines under runtimes, and how sure they are.

`configs/catalog/engines.toml` holds it, written by `benchmarks/fit_engines.py` from the published
rows. A cell is of a device, or, without one, of any device of a family.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from math import exp

from harness.core.records import data_folder, read_record, read_table
from harness.estimator.published.effects import Place

ANOTHER = "another"  # runtime of a cell: one that no row of the kind has
COVERAGE = 0.8
# Of a standard normal: four fifths lie within so many standard deviations.
WITHIN = 1.2815515655446004


@dataclass(frozen=True, slots=True)
class KindRow:
    """What all engines of a kind share.

    Attributes:
        name: of effects.KINDS.
        step_noise: scatter of decode rates of one device and runtime, of the logarithm.
        pass_noise: the same of passes over prompts.
        memory_noise: the same of peaks.
        power_noise: the same of watts.
        read_8: reading at 8 bits over reading at 4, as rates.
        read_16: the same at 16 and 32 bits.
        compute_8: multiplying at 8 bits over multiplying at 4, as rates.
        compute_16: the same at 16 and 32 bits.
        float_step: a step of w4, whose activations are floats, over one of w4a16, as times.
        float_pass: the same of a pass.
        encoder: a pass of an encoder over what a prompt's flop let expect, as times.
    """

    name: str
    step_noise: float
    pass_noise: float
    memory_noise: float
    power_noise: float
    read_8: float
    read_16: float
    compute_8: float
    compute_16: float
    float_step: float
    float_pass: float
    encoder: float


@dataclass(frozen=True, slots=True)
class Cell:
    """Constants of engines of one family under one runtime.

    Attributes:
        family: of the engine.
        runtime: our word, or ANOTHER.
        step: share of the reference rate, microseconds of a layer, of an NPU of a step; of their
            logarithms the standard deviations and the correlation.
        prefill: share of the peak, milliseconds of a request; the same three.
        memory: copies of what is counted, MB of the runtime; the same three; None: a device's
            cell, where its family's holds.
        power: share of the stated watts; the standard deviation of its logarithm; None likewise.
        device: key; empty: of any device.
        phone: of phones.
        rows: decode rates behind it: of this device and runtime; of a family's cell of both.
    """

    family: str
    runtime: str
    step: tuple[float, float, float, float, float]
    prefill: tuple[float, float, float, float, float]
    memory: tuple[float, float, float, float, float] | None = None
    power: tuple[float, float] | None = None
    device: str = ""
    phone: bool = False
    rows: int = 0


@dataclass(frozen=True, slots=True)
class Evidence:
    """Published decode rates that stand behind answers, and how many the ranges hold.

    Attributes:
        of: a device's key, or a class of devices.
        engine: `cpu`, `gpu` or `npu`.
        rows: of it.
        inside: of them, inside our range: of a device with its own rows known, of a class with
            the device of each row left out of the fit.
    """

    of: str
    engine: str
    rows: int
    inside: int


@dataclass(frozen=True, slots=True)
class EngineTable:
    """The whole table.

    Attributes:
        basis: what it was fitted to.
        kinds: of engines.
        cells: of devices first.
        defaults: `device engine` or family -> the runtime that its users run.
        devices: evidence by device.
        classes: evidence by class.
    """

    basis: str
    kinds: tuple[KindRow, ...]
    cells: tuple[Cell, ...]
    defaults: dict[str, str]
    devices: tuple[Evidence, ...] = ()
    classes: tuple[Evidence, ...] = ()

    def kind(self, name: str) -> KindRow:
        """Return what engines of a kind share."""
        return next(row for row in self.kinds if row.name == name)

    def cell(self, place: Place) -> Cell:
        """Return the nearest cell: device and runtime, device, family and runtime, family."""
        found = [one for one in self.cells if one.family == place.family]
        mine = [one for one in found if one.device and one.device == place.device]
        others = [one for one in found if not one.device]
        others = [one for one in others if one.phone == place.is_phone] or others
        for runtime in (place.runtime, ANOTHER):
            for cells in (mine, others):
                match = next((one for one in cells if one.runtime == runtime), None)
                if match is not None and (cells is mine or not mine or runtime != ANOTHER):
                    return match
        return others[-1]

    def family_cell(self, place: Place) -> Cell:
        """Return the cell of the family: what no device's cell tells stands there."""
        return self.cell(replace(place, device=""))

    def family_runtimes(self, place: Place) -> tuple[Cell, ...]:
        """Return the cells of runtimes that have rows on this family, where the place is."""
        names = {one.runtime for one in self.cells if one.family == place.family and one.rows}
        pool = [one for one in self.cells if one.family == place.family]
        mine = [one for one in pool if one.device == place.device and one.runtime in names]
        return tuple(mine or [one for one in pool if not one.device and one.runtime in names])

    def family_rows(self, family: str) -> int:
        """Return how many decode rates there are of a family."""
        cells = (one for one in self.cells if one.family == family and not one.device)
        return max((one.rows for one in cells), default=0)

    def evidence(self, device: str, class_name: str, engine: str) -> tuple[Evidence, Evidence]:
        """Return what stands behind a device's engine, and behind its class and engine."""
        return (
            _evidence(self.devices, device, engine),
            _evidence(self.classes, class_name, engine),
        )


def _evidence(rows: Sequence[Evidence], of: str, engine: str) -> Evidence:
    """Return the row of these two words, or one without rows."""
    none = Evidence(of, engine, 0, 0)
    return next((one for one in rows if (one.of, one.engine) == (of, engine)), none)


@cache
def engine_table() -> EngineTable:
    """Return the table that ships, read once.

    Raises:
        ModelError: it is damaged.
    """
    path = data_folder("configs") / "catalog" / "engines.toml"
    return read_record(EngineTable, read_table(path), path.name)


@dataclass(frozen=True, slots=True)
class Spread:
    """A value with its width: of the logarithm.

    Attributes:
        parts: of the centre.
        deviation: standard, of the logarithm.
    """

    parts: tuple[float, ...]
    deviation: float

    @property
    def centre(self) -> float:
        """The sum of the parts."""
        return sum(self.parts)

    @property
    def factor(self) -> float:
        """Four fifths lie between the centre over this and the centre times this."""
        return exp(WITHIN * self.deviation)


def two_part(
    parts: tuple[float, ...],
    owners: tuple[int, ...],
    pair: tuple[float, float, float, float, float],
    noise: float,
) -> Spread:
    """Return the spread of a sum whose parts follow two constants.

        variance = Σ slope · slope · covariance + noise²,  slope: a part's share of the sum

    Args:
        parts: of the centre.
        owners: which constant a part follows: 0, 1, or -1 for none.
        pair: as in a cell: two values, two standard deviations, their correlation.
        noise: of single rows.
    """
    total = sum(parts)
    slopes = [0.0, 0.0]
    for part, owner in zip(parts, owners, strict=True):
        if owner >= 0:
            slopes[owner] += part / total
    first, second = slopes[0] * pair[2], slopes[1] * pair[3]
    variance = first**2 + second**2 + 2 * first * second * pair[4] + noise**2
    return Spread(parts, variance**0.5)
