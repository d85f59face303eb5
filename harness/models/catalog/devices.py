"""The devices that ship: what data sheets say, engine by engine; read strictly.

`configs/catalog/devices/*.toml` hold those of one class each, `configs/catalog/devices.toml` the
classes. A bandwidth is that of bus and rate, peaks of processors are those of their cores, and
what was read in no source is listed as recalled.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from harness.core.encoding import read_text
from harness.core.errors import ModelError, UsageError, suggestion
from harness.core.records import data_folder, read_record, read_table
from harness.core.units import GB
from harness.models.catalog.cores import core_peaks
from harness.models.catalog.families import FAMILIES

BANDWIDTH_ROUNDING = 0.03  # makers round: 100 GB/s for 102.4
RECALLED = ("memory", "bandwidth", "peaks", "power")  # what of a device may be recalled
DERIVED_CORES = "DERIVED: cores x clock x width of their vector units"
# The end of a memory is free: where it lies, who shares it.
_MEMORY = re.compile(r"([A-Z0-9a-z]+)-(\d+(?:\.\d+)?), (\d+) bit(?:, .+)?")
# What systems add to a name: `12th Gen Intel(R) Core(TM) i7-1260P CPU @ 2.10GHz`.
_REPORTED = re.compile(
    r"\((?:r|tm)\)|\b\d+th gen\b| w/.*| with .*| @.*| \d+-cores?\b"
    r"| processor\b| cpu\b| gpu\b| generation\b"
)
_MEMORY_SIZE = re.compile(r"-\d+-?gb$")  # rtx-3060-12gb, where no key says it
_ULTRA_TIER = re.compile(r"^core-ultra-x?[3579]-")  # keys go without: Core Ultra 7 155H
# What people add to the name of an Apple chip: its GPU's cores, or the computer that holds it.
_APPLE = (
    re.compile(r"(?:apple-)?(m\d-(?:pro|max|ultra))-\d\d(?:-cores?)?"),
    re.compile(
        r"(?:macbook-air|macbook-pro|mac-mini|mac-studio|mac-pro|imac|ipad-air|ipad-pro)"
        r"-(m\d(?:-(?:pro|max|ultra))?)"
    ),
)
_CORE_I = re.compile(r"i[3579]-\d")  # Intel's own names begin with Core
# Words before a name that people type and keys do without.
_MAKERS = ("nvidia", "geforce", "amd", "radeon", "intel", "apple", "qualcomm", "google", "samsung")


_FAMILY_OF = {family.name: family for family in FAMILIES}


@dataclass(frozen=True, slots=True)
class DeviceClass:
    """What devices of one class leave for a model.

    Attributes:
        name: `phone`, `laptop` and so on.
        os_share: share of the memory that the operating system and others keep.
        memory_varies: one device may carry less than the most that is sold.
    """

    name: str
    os_share: float
    memory_varies: bool


@dataclass(frozen=True, slots=True)
class Engine:
    """One processor of a device; peaks are dense, None where no source states one.

    Attributes:
        kind: `cpu`, `gpu` or `npu`.
        name: of the part.
        family: row of FAMILIES; empty only for an engine that stands in no file.
        int8_tops: 1e12 integer operations per second at 8 bit.
        fp16_tflops: 1e12 operations per second at 16 bit.
        fp32_tflops: 1e12 operations per second at 32 bit.
        note: what the peaks mean, or where they are doubtful.
        power_w: least and greatest sustained power of this engine alone; None: not known.
    """

    kind: str
    name: str
    family: str = ""
    int8_tops: float | None = None
    fp16_tflops: float | None = None
    fp32_tflops: float | None = None
    note: str = ""
    power_w: tuple[float, float] | None = None

    @property
    def has_peaks(self) -> bool:
        """Whether any of its peaks is known."""
        return any((self.int8_tops, self.fp16_tflops, self.fp32_tflops))


@dataclass(frozen=True, slots=True)
class CatalogDevice:
    """One device by its data sheet.

    Attributes:
        key: the word the user types.
        name: in full.
        aliases: other words for it, such as a phone that carries it.
        device_class: row of `[[class]]`.
        memory_type: of the memory that holds the weights: kind, million transfers a second and
            bus, as in `LPDDR5-6400, 128 bit`, or words where those are not known.
        max_memory_gb: the most that is sold; what one device carries may be less.
        bandwidth_gb_s: of the data sheet, 1e9 bytes per second.
        sources: where the numbers were read; may be empty where all are recalled.
        engine: its processors.
        power_w: least and greatest sustained power; None: not stated.
        power_basis: what those two are.
        measured_bandwidth_gb_s: sustained rate someone measured, or None.
        claimed_max_parameters: the largest model its makers name, or None.
        notes: contradictions between sources, and which of several memories was taken.
        recalled: which of RECALLED are general knowledge, read in none of the sources.
    """

    key: str
    name: str
    aliases: tuple[str, ...]
    device_class: str
    memory_type: str
    max_memory_gb: float
    bandwidth_gb_s: float
    sources: tuple[str, ...]
    engine: tuple[Engine, ...]
    power_w: tuple[float, float] | None = None
    power_basis: str = ""
    measured_bandwidth_gb_s: float | None = None
    claimed_max_parameters: int | None = None
    notes: tuple[str, ...] = ()
    recalled: tuple[str, ...] = ()

    @property
    def max_memory_bytes(self) -> int:
        """The most memory that is sold, in bytes."""
        return int(self.max_memory_gb * GB)

    @property
    def remarks(self) -> tuple[str, ...]:
        """The notes, and which values stand in no source."""
        if not self.recalled:
            return self.notes
        return (*self.notes, f"data sheet values recalled, not read: {', '.join(self.recalled)}")

    @property
    def bandwidth_bytes_per_s(self) -> float:
        """Memory bandwidth of the data sheet."""
        return self.bandwidth_gb_s * GB


@dataclass(frozen=True, slots=True)
class _WrittenEngine:
    """An engine as its file writes it: its family says the kind, its cores may say the peaks."""

    family: str = ""
    name: str = ""
    cores: str = ""
    int8_tops: float | None = None
    fp16_tflops: float | None = None
    fp32_tflops: float | None = None
    note: str = ""
    power_w: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class _WrittenDevice:
    """A device as its file writes it; `memory` is memory_type and may say the bandwidth."""

    key: str
    name: str
    memory: str
    max_memory_gb: float
    engine: tuple[_WrittenEngine, ...]
    aliases: tuple[str, ...] = ()
    bandwidth_gb_s: float | None = None
    measured_bandwidth_gb_s: float | None = None
    power_w: tuple[float, float] | None = None
    power_basis: str = "data sheet"
    claimed_max_parameters: int | None = None
    sources: tuple[str, ...] = ()
    recalled: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Devices:
    """One file of devices, all of one class."""

    device_class: str
    device: tuple[_WrittenDevice, ...]


@dataclass(frozen=True, slots=True)
class _Classes:
    """The file of classes."""

    classes: tuple[DeviceClass, ...]  # `class` is a word of Python; the reader renames it


def catalog_devices() -> tuple[CatalogDevice, ...]:
    """Return all devices, by class in the order of the classes, as their files name them.

    Raises:
        ModelError: a damaged file, or one word for two devices.
    """
    order = {row.name: place for place, row in enumerate(device_classes())}
    found = [device for path in _paths() for device in _devices_of(path)]
    _refuse_twice(found)
    return tuple(sorted(found, key=lambda device: order[device.device_class]))


def device_keys() -> tuple[str, ...]:
    """Return the keys of all devices, in the order of `catalog_devices`."""
    return tuple(device.key for device in catalog_devices())


def catalog_device(name: str) -> CatalogDevice:
    """Return the device called `name`, by key or alias.

    Case, spaces, `_` and the makers' names before it do not matter. Only a file that holds the
    word is taken apart: reading all of them costs more than an estimate.

    Raises:
        UsageError: no such device; the fix names the nearest keys and aliases.
        ModelError: its file is damaged.
    """
    for spelled in _spellings(name):
        for path in _paths():
            if f'"{spelled}"' in _text(path):
                for device in _devices_of(path):
                    if spelled in (device.key, *device.aliases):
                        return device
    words = [word for device in catalog_devices() for word in (device.key, *device.aliases)]
    raise UsageError(
        f"no device of the catalog is called {name!r}",
        fix=f"{suggestion(name, words)}; bench estimate --on list shows all",
    )


def _spellings(name: str) -> list[str]:
    """Return the words that a name may stand for: as it is, and without makers before it.

    Names as systems report them lose what keys do without: marks, clocks, generations, core counts.
    """
    spelled = "-".join(name.lower().replace("_", " ").replace("-", " ").split())
    words = _REPORTED.sub(" ", name.lower()).replace("_", " ").replace("-", " ").split()
    found = [spelled, "-".join(words)]
    while len(words) > 1 and words[0] in _MAKERS:
        words = words[1:]
        found.append("-".join(words))
    found += [_ULTRA_TIER.sub("core-ultra-", word) for word in found]
    found += [f"core-{word}" for word in found if _CORE_I.match(word)]
    found += [match[1] for word in found for one in _APPLE if (match := one.fullmatch(word))]
    shorter = [_MEMORY_SIZE.sub("", word) for word in found]
    return list(dict.fromkeys([*found, *shorter]))


@cache
def device_classes() -> tuple[DeviceClass, ...]:
    """Return all classes, in the order of their file."""
    path = data_folder("configs") / "catalog" / "devices.toml"
    table = read_table(path)
    return read_record(_Classes, {"classes": table.pop("class", []), **table}, path.name).classes


def device_class(name: str) -> DeviceClass:
    """Return the class called `name`; every device of a file that was read has one."""
    return next(row for row in device_classes() if row.name == name)


def read_devices(path: Path) -> tuple[CatalogDevice, ...]:
    """Read one file of devices, all of one class.

    Raises:
        ModelError: not TOML, an unknown or missing key, a wrong type, a word used twice, an
            unknown class, family or core, a number that is not positive, or a bandwidth that is
            not that of its bus.
    """
    file = read_record(_Devices, read_table(path), path.name)
    classes = [row.name for row in device_classes()]
    if file.device_class not in classes:
        raise ModelError(
            f"{path.name}: no class of devices is called {file.device_class!r}",
            fix=suggestion(file.device_class, classes),
        )
    devices = tuple(
        _device(row, file.device_class, f"{path.name}: {row.key}") for row in file.device
    )
    _refuse_twice(devices)
    return devices


_devices_of = cache(read_devices)
_text = cache(read_text)


def _paths() -> list[Path]:
    """Return the shipped files of devices, in alphabetical order."""
    return sorted((data_folder("configs") / "catalog" / "devices").glob("*.toml"))


def _refuse_twice(devices: Iterable[CatalogDevice]) -> None:
    """Refuse one word for two devices."""
    owners: dict[str, str] = {}
    for device in devices:
        for word in (device.key, *device.aliases):
            if word in owners:
                raise ModelError(
                    f"devices: {word!r} names {owners[word]} and {device.key}",
                    fix="rename one",
                )
            owners[word] = device.key


def _device(row: _WrittenDevice, class_name: str, where: str) -> CatalogDevice:
    """Return a device from what its file writes; what no source backs is recalled.

    Raises:
        ModelError: what no device can be.
    """
    if not set(row.recalled) <= set(RECALLED):
        raise ModelError(f"{where}: recalled is {list(row.recalled)}", fix=f"of {RECALLED}")
    if not row.engine:
        raise ModelError(f"{where}: it has no engine", fix="add one with its family and name")
    _check_numbers(
        where,
        max_memory_gb=row.max_memory_gb,
        bandwidth_gb_s=row.bandwidth_gb_s,
        measured_bandwidth_gb_s=row.measured_bandwidth_gb_s,
    )
    _check_power(row.power_w, where)
    engines = tuple(_engine(one, f"{where}: engine {one.name or one.cores}") for one in row.engine)
    return CatalogDevice(
        key=row.key,
        name=row.name,
        aliases=row.aliases,
        device_class=class_name,
        memory_type=row.memory,
        max_memory_gb=row.max_memory_gb,
        bandwidth_gb_s=_bandwidth_gb_s(row, where),
        sources=row.sources,
        engine=engines,
        power_w=row.power_w,
        power_basis=row.power_basis,
        measured_bandwidth_gb_s=row.measured_bandwidth_gb_s,
        claimed_max_parameters=row.claimed_max_parameters,
        notes=row.notes,
        recalled=row.recalled if row.sources else _all_recalled(engines, row.power_w),
    )


def _all_recalled(engines: tuple[Engine, ...], power_w: object) -> tuple[str, ...]:
    """Return all that a device without sources states, none of which was read."""
    known = {"peaks": any(engine.has_peaks for engine in engines), "power": power_w is not None}
    return tuple(word for word in RECALLED if known.get(word, True))


def _bandwidth_gb_s(row: _WrittenDevice, where: str) -> float:
    """Return bits / 8 x million transfers a second / 1000, or what is stated where that differs.

    Raises:
        ModelError: neither is there, or the one contradicts the other.
    """
    match = _MEMORY.fullmatch(row.memory)
    if match is None:
        if row.bandwidth_gb_s is None:
            raise ModelError(
                f"{where}: memory is {row.memory!r}, and no bandwidth_gb_s is stated",
                fix='memory = "LPDDR5-6400, 128 bit": kind, million transfers a second, bus',
            )
        return row.bandwidth_gb_s
    mt_s, bits = float(match[2]), int(match[3])
    of_bus = bits / 8 * mt_s / 1000
    _check_numbers(where, memory=of_bus)
    if row.bandwidth_gb_s is None:
        return float(f"{of_bus:.4g}")
    if abs(row.bandwidth_gb_s / of_bus - 1) > BANDWIDTH_ROUNDING:
        raise ModelError(
            f"{where}: bandwidth_gb_s is {row.bandwidth_gb_s:g}, and {bits} bit at {mt_s:g} MT/s"
            f" make {of_bus:.1f}",
            fix="correct one of them",
        )
    return row.bandwidth_gb_s


def _engine(row: _WrittenEngine, where: str) -> Engine:
    """Return an engine from what its file writes.

    Raises:
        ModelError: no known family, no name, or numbers that no engine has.
    """
    family = _FAMILY_OF.get(row.family)
    if family is None:
        raise ModelError(
            f"{where}: family is {row.family!r}",
            fix=suggestion(row.family, _FAMILY_OF) if row.family else f"of {', '.join(_FAMILY_OF)}",
        )
    name, note = row.name, row.note or family.peaks
    int8, fp16, fp32 = row.int8_tops, row.fp16_tflops, row.fp32_tflops
    if row.cores:
        if family.kind != "cpu":
            raise ModelError(f"{where}: only a cpu has cores", fix="state its peaks instead")
        derived = core_peaks(row.cores, where)
        int8, fp16 = int8 or derived.int8_tops, fp16 or derived.fp16_tflops
        fp32 = fp32 or derived.fp32_tflops
        name, note = name or f"{row.cores} GHz", row.note or DERIVED_CORES
    if not name:
        raise ModelError(f"{where}: it has neither a name nor cores", fix="add one of them")
    _check_numbers(
        where, int8_tops=row.int8_tops, fp16_tflops=row.fp16_tflops, fp32_tflops=row.fp32_tflops
    )
    _check_power(row.power_w, where)
    return Engine(family.kind, name, family.name, int8, fp16, fp32, note, row.power_w)


def _check_numbers(where: str, **numbers: float | None) -> None:
    """Refuse a number that is not positive."""
    for name, value in numbers.items():
        if value is not None and value <= 0:
            raise ModelError(
                f"{where}: {name} is {value:g}",
                fix=f"{name} must be positive; leave out a peak that is not known",
            )


def _check_power(power_w: tuple[float, float] | None, where: str) -> None:
    """Refuse powers that are none, or in the wrong order."""
    low, high = power_w or (1.0, 1.0)
    _check_numbers(where, power_w=low)
    if low > high:
        raise ModelError(f"{where}: power_w falls", fix="the least power first")
