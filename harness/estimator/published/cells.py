"""The engines' table out of the fits: a cell for each place that can be asked about."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from math import exp, log, sqrt

from harness.estimator.published.asking import AskedRow
from harness.estimator.published.effects import (
    ENCODER,
    FLOAT_ACTIVATIONS,
    KINDS,
    PHONE,
    REQUEST_S,
    ROOM_BYTES,
    Place,
    constant,
    engine_kind,
    run_s,
)
from harness.estimator.published.fit import Fits, step_value, without_device
from harness.estimator.published.hierarchy import Effect, Posterior, predict
from harness.estimator.published.runtimes import FAMILY_RUNTIMES
from harness.estimator.published.table import (
    ANOTHER,
    WITHIN,
    Cell,
    EngineTable,
    Evidence,
    KindRow,
)
from harness.models.catalog.devices import catalog_devices

DIGITS = 3
ANY_OTHER = "any other"
ENOUGH_ROWS = 3  # of a device, to tell what its users run
Pair = tuple[float, float, float, float, float]


def make_table(rows: Sequence[AskedRow], fits: Mapping[str, Fits], basis: str) -> EngineTable:
    """Return the table of fits to rows."""
    known = [(device, engine) for device in catalog_devices() for engine in device.engine]
    families = {engine.family: engine_kind(engine) for _, engine in known}
    phones = {(engine.family, device.device_class == PHONE) for device, engine in known}
    cells = [*_device_cells(rows, fits), *_family_cells(rows, fits, families, phones)]
    return EngineTable(
        basis=basis,
        kinds=tuple(_kind_row(kind, fits[kind]) for kind in KINDS),
        cells=tuple(cells),
        defaults=_defaults(rows, families),
        devices=_device_evidence(rows, fits),
        classes=_class_evidence(rows, fits),
    )


def _device_cells(rows: Sequence[AskedRow], fits: Mapping[str, Fits]) -> Iterator[Cell]:
    """Yield the cells of devices with rows, under each runtime that there is for them."""
    places = {(asked.device.key, asked.place.family): asked.place for asked in rows}
    decoded = Counter(
        (asked.device.key, asked.place.family, asked.place.runtime)
        for asked in rows
        if asked.row.decode_tok_s is not None
    )
    for (device, family), place in sorted(places.items()):
        for runtime in _runtimes((one for one in rows if one.place.family == family), family):
            count = decoded[device, family, runtime]
            at = Place(place.kind, family, place.is_phone, device, runtime)
            yield _cell(at, fits[place.kind], count)


def _family_cells(
    rows: Sequence[AskedRow],
    fits: Mapping[str, Fits],
    families: Mapping[str, str],
    phones: Iterable[tuple[str, bool]],
) -> Iterator[Cell]:
    """Yield the cells of families, on phones and elsewhere, where there are such."""
    decoded = Counter(
        (asked.place.family, asked.place.runtime)
        for asked in rows
        if asked.row.decode_tok_s is not None
    )
    for family, is_phone in sorted(phones):
        kind = families[family]
        for runtime in _runtimes((one for one in rows if one.place.kind == kind), family):
            # A device that no row has: its own effects are unseen, and widen the cell.
            at = Place(kind, family, is_phone, ANY_OTHER, runtime)
            yield _cell(at, fits[kind], decoded[family, runtime])


def _runtimes(rows: Iterable[AskedRow], family: str) -> tuple[str, ...]:
    """Return the runtimes of a family that rows tell apart, and the empty word for any other."""
    seen = {asked.place.runtime for asked in rows}
    return (*(name for name in FAMILY_RUNTIMES[family] if name in seen), "")


def _cell(place: Place, fits: Fits, count: int) -> Cell:
    """Return the cell of one place."""
    any_device = place.device == ANY_OTHER
    power = constant("power", place)
    width = sqrt(fits.power.covariance([power])[0][0])
    return Cell(
        family=place.family,
        runtime=place.runtime or ANOTHER,
        step=_pair(fits.step, place, ("read", "layer"), run_s(place.kind) * 1e6),
        prefill=_pair(fits.passes, place, ("compute", "request"), REQUEST_S * 1e3),
        memory=_pair(fits.memory, place, ("copies", "room"), ROOM_BYTES / 1e6)
        if any_device
        else None,
        power=(_rounded(exp(fits.power.mean(power))), _rounded(width)) if any_device else None,
        device="" if any_device else place.device,
        phone=place.is_phone,
        rows=count,
    )


def _pair(posterior: Posterior, place: Place, names: tuple[str, str], unit: float) -> Pair:
    """Return two constants of a place, and how their logarithms vary.

    The correlation is of the times that they give: a rate that rises makes its time fall.
    """
    sums = [constant(name, place) for name in names]
    (first, both), (_, second) = posterior.covariance(sums)
    sign = -1.0 if names[0] in ("read", "compute") else 1.0
    return (
        _rounded(exp(posterior.mean(sums[0]))),
        _rounded(exp(posterior.mean(sums[1])) * unit),
        _rounded(sqrt(first)),
        _rounded(sqrt(second)),
        round(sign * both / sqrt(first * second), 2),
    )


def _kind_row(kind: str, fits: Fits) -> KindRow:
    """Return what the engines of a kind share."""

    def bits(posterior: Posterior, name: str, count: str) -> float:
        return _rounded(exp(posterior.mean((Effect(name, "bits", count),))))

    def form(posterior: Posterior, word: str) -> float:
        return _rounded(exp(posterior.mean((Effect("format", "format", word),))))

    return KindRow(
        name=kind,
        step_noise=fits.step.priors.noise,
        pass_noise=fits.passes.priors.noise,
        memory_noise=fits.memory.priors.noise,
        power_noise=fits.power.priors.noise,
        read_8=bits(fits.step, "read", "8"),
        read_16=bits(fits.step, "read", "16"),
        compute_8=bits(fits.passes, "compute", "8"),
        compute_16=bits(fits.passes, "compute", "16"),
        float_step=form(fits.step, FLOAT_ACTIVATIONS),
        float_pass=form(fits.passes, FLOAT_ACTIVATIONS),
        encoder=form(fits.passes, ENCODER),
    )


def _rounded(value: float) -> float:
    """Round to the digits of the table."""
    return float(f"{value:.{DIGITS}g}")


def _defaults(rows: Sequence[AskedRow], families: Mapping[str, str]) -> dict[str, str]:
    """Return the runtime that users run: of a device by rows, of a family by devices, then rows."""
    of_device: dict[str, Counter[str]] = defaultdict(Counter)
    of_family: dict[str, Counter[str]] = defaultdict(Counter)
    pairs: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for asked in rows:
        if asked.runtime is None or asked.row.decode_tok_s is None:
            continue
        of_device[f"{asked.device.key} {asked.engine.kind}"][asked.runtime] += 1
        of_family[asked.place.family][asked.runtime] += 1
        pairs[asked.place.family].add((asked.runtime, asked.device.key))
    found = {family: FAMILY_RUNTIMES[family][0] for family in sorted(families)}
    for family, counts in of_family.items():
        devices = Counter(runtime for runtime, _ in pairs[family])
        found[family] = max(counts, key=lambda one: (devices[one], counts[one]))
    for key, counts in sorted(of_device.items()):
        runtime, count = counts.most_common(1)[0]
        if count >= ENOUGH_ROWS:
            found[key] = runtime
    return found


def _device_evidence(rows: Sequence[AskedRow], fits: Mapping[str, Fits]) -> tuple[Evidence, ...]:
    """Return how many decode rates of each device's engines its own answers hold."""
    return _counted((asked.device.key, asked, fits[asked.place.kind]) for asked in rows)


def _class_evidence(rows: Sequence[AskedRow], fits: Mapping[str, Fits]) -> tuple[Evidence, ...]:
    """Return how many decode rates of each class and engine answers hold, a device left out."""
    left = {
        device: without_device(rows, device, fits)
        for device in sorted({asked.device.key for asked in rows})
    }
    return _counted(
        (asked.device.device_class, asked, left[asked.device.key][asked.place.kind])
        for asked in rows
    )


def _counted(questions: Iterable[tuple[str, AskedRow, Fits]]) -> tuple[Evidence, ...]:
    """Return rows and those inside, by owner and engine."""
    counts: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
    for owner, asked, fits in questions:
        value = step_value(asked)
        if value is None:
            continue
        expected = predict(fits.step, value.observation)
        away = abs(log(value.observation.value) - expected.log_value)
        count = counts[owner, asked.engine.kind]
        count[0] += 1
        count[1] += away <= WITHIN * sqrt(expected.variance)
    return tuple(Evidence(*key, *count) for key, count in sorted(counts.items()))


def table_text(table: EngineTable) -> str:
    """Return the table as its TOML file."""
    head = [
        "# Constants of engines under runtimes; written by benchmarks/fit_engines.py, not by hand.",
        "# step: share of the data sheet's rate, us a layer (npu: a step); prefill: share of the",
        "# peak, ms a request; memory: copies, MB; then two standard deviations, a correlation.",
        f"basis = {_toml(table.basis)}",
    ]
    lists = {
        name: [
            _toml({key: value for key, value in asdict(row).items() if not _is_default(value)})
            for row in getattr(table, name)
        ]
        for name in ("kinds", "cells", "devices", "classes")
    }
    body = [f"{name} = [\n  " + ",\n  ".join(rows) + ",\n]" for name, rows in lists.items()]
    defaults = [f"{_toml(key)} = {_toml(value)}" for key, value in table.defaults.items()]
    return "\n".join([*head, *body, "", "[defaults]", *defaults]) + "\n"


def _is_default(value: object) -> bool:
    """Whether a value says nothing: none, an empty word, or false."""
    return value is None or value is False or value == ""


def _toml(value: object) -> str:
    """Return a value as TOML writes it on one line."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(one)}" for key, one in value.items()) + " }"
    if isinstance(value, tuple | list):
        return "[" + ", ".join(_toml(one) for one in value) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + value + '"'
    return repr(value)
