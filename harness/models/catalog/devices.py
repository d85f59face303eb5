"""The devices that ship: what data sheets say, engine by engine; read strictly.

`configs/catalog/devices/*.toml` holds them, `configs/catalog/devices.toml` their classes. A
bandwidth whose bus and rate are stated is checked against them, and what was read in no source is
listed as recalled.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from harness.core.encoding import read_text
from harness.core.errors import ModelError, UsageError, suggestion
from harness.core.records import data_folder, read_record, read_table
from harness.core.units import GB

ENGINE_KINDS = ("cpu", "gpu", "npu")
BANDWIDTH_ROUNDING = 0.03  # makers round: 100 GB/s for 102.4
RECALLED = ("memory", "bandwidth", "peaks", "power")  # what of a device may be recalled


@dataclass(frozen=True, slots=True)
class Family:
    """Engines that one maker builds alike and the same runtimes drive.

    Attributes:
        name: as an engine states it.
        kind: of its engines.
        meaning: which those are.
    """

    name: str
    kind: str
    meaning: str


FAMILIES = (
    Family("arm-cpu", "cpu", "Cortex, Neoverse, Oryon and Carmel cores"),
    Family("apple-cpu", "cpu", "Apple's cores, with their matrix unit"),
    Family("x86-cpu", "cpu", "Intel's and AMD's cores"),
    Family("geforce", "gpu", "GeForce and RTX workstation cards, Pascal and later"),
    Family("nvidia-datacenter", "gpu", "NVIDIA's data centre cards and superchips"),
    Family("jetson", "gpu", "NVIDIA's GPUs on a board, beside the memory of its cores"),
    Family("radeon", "gpu", "Radeon cards"),
    Family("radeon-integrated", "gpu", "Radeon beside AMD's cores, in their memory"),
    Family("instinct", "gpu", "AMD's data centre cards"),
    Family("intel-integrated", "gpu", "Intel's graphics in the memory of its cores"),
    Family("intel-arc", "gpu", "Arc cards"),
    Family("apple-gpu", "gpu", "Apple's graphics in unified memory"),
    Family("adreno", "gpu", "Qualcomm's graphics"),
    Family("mali", "gpu", "Arm's graphics: Mali and Immortalis"),
    Family("powervr", "gpu", "Imagination's graphics"),
    Family("xclipse", "gpu", "Samsung's graphics of AMD's design"),
    Family("videocore", "gpu", "Broadcom's graphics"),
    Family("hexagon", "npu", "Qualcomm's tensor and vector processor"),
    Family("apple-neural-engine", "npu", "Apple's Neural Engine"),
    Family("xdna", "npu", "AMD's Ryzen AI engine"),
    Family("intel-npu", "npu", "Intel's AI Boost"),
    Family("hailo", "npu", "Hailo's modules"),
    Family("rknpu", "npu", "Rockchip's NPU"),
    Family("mediatek-apu", "npu", "MediaTek's APU"),
    Family("exynos-npu", "npu", "Samsung's NPU"),
    Family("tensor-tpu", "npu", "the TPU of Google's phones"),
    Family("zhouyi", "npu", "Arm China's Zhouyi, on boards of CIX"),
    Family("gaudi", "npu", "Intel's Gaudi cards"),
)
_FAMILY_KINDS = {family.name: family.kind for family in FAMILIES}


@dataclass(frozen=True, slots=True)
class DeviceClass:
    """What devices of one class were seen to reach of their data sheet, in public.

    Attributes:
        name: `phone`, `laptop` and so on.
        bandwidth_share: least and greatest share of the memory bandwidth while decoding.
        compute_share: least and greatest share of the peak while prefilling.
        operator_us: least and greatest fixed time of one operator call, microseconds.
        os_share: share of the memory that the operating system and others keep.
        memory_varies: one device may carry less than the most that is sold.
        basis: where the shares come from.
    """

    name: str
    bandwidth_share: tuple[float, float]
    compute_share: tuple[float, float]
    operator_us: tuple[float, float]
    os_share: float
    memory_varies: bool
    basis: str


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


@dataclass(frozen=True, slots=True)
class CatalogDevice:
    """One device by its data sheet.

    Attributes:
        key: the word the user types.
        name: in full.
        aliases: other words for it, such as a phone that carries it.
        device_class: row of `[[class]]`.
        memory_type: of the memory that holds the weights.
        max_memory_gb: the most that is sold; what one device carries may be less.
        bandwidth_gb_s: of the data sheet, 1e9 bytes per second.
        sources: where the numbers were read; may be empty where all are recalled.
        engine: its processors.
        power_w: least and greatest sustained power; None: not stated.
        power_basis: what those two are.
        measured_bandwidth_gb_s: sustained rate someone measured, or None.
        claimed_max_parameters: the largest model its makers name, or None.
        notes: contradictions between sources, and which of several memories was taken.
        memory_bits: width of the memory bus; None: not stated.
        memory_mt_s: million transfers per second of each of its bits; None: not stated.
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
    memory_bits: int | None = None
    memory_mt_s: float | None = None
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
class _Devices:
    """One file of devices."""

    device: tuple[CatalogDevice, ...]


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
    """Return the device called `name`, by key or alias; case, spaces and `_` do not matter.

    Only a file that holds the word is taken apart: reading all of them costs more than an estimate.

    Raises:
        UsageError: no such device; the fix names the nearest keys and aliases.
        ModelError: its file is damaged.
    """
    spelled = "-".join(name.lower().replace("_", " ").replace("-", " ").split())
    for path in _paths():
        if f'"{spelled}"' in read_text(path):
            for device in _devices_of(path):
                if spelled in (device.key, *device.aliases):
                    return device
    words = [word for device in catalog_devices() for word in (device.key, *device.aliases)]
    raise UsageError(f"no device of the catalog is called {name!r}", fix=suggestion(name, words))


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
    """Read one file of devices.

    Raises:
        ModelError: not TOML, an unknown or missing key, a wrong type, a word used twice, an
            unknown class or family, a number that is not positive, or a bandwidth that is not
            that of its bus.
    """
    devices = read_record(_Devices, read_table(path), path.name).device
    classes = {row.name for row in device_classes()}
    for device in devices:
        _check(device, classes, f"{path.name}: {device.key}")
    _refuse_twice(devices)
    return devices


_devices_of = cache(read_devices)


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


def _check(device: CatalogDevice, classes: set[str], where: str) -> None:
    """Refuse what no device can be."""
    if device.device_class not in classes:
        raise ModelError(
            f"{where}: device_class is {device.device_class!r}",
            fix=suggestion(device.device_class, sorted(classes)),
        )
    if not set(device.recalled) <= set(RECALLED):
        raise ModelError(
            f"{where}: recalled is {list(device.recalled)}", fix=f"of {', '.join(RECALLED)}"
        )
    if not device.sources and not device.recalled:
        raise ModelError(
            f"{where}: no source is named", fix="name one in sources, or list what is recalled"
        )
    if not device.engine:
        raise ModelError(f"{where}: it has no engine", fix="add one with kind, name and family")
    _check_positive(device, where)
    _check_bandwidth(device, where)
    for engine in device.engine:
        _check_engine(engine, f"{where}: engine {engine.name}")


def _check_positive(device: CatalogDevice, where: str) -> None:
    """Refuse a memory, a rate or a power that is none."""
    low, high = device.power_w or (1.0, 1.0)
    numbers = {
        "max_memory_gb": device.max_memory_gb,
        "bandwidth_gb_s": device.bandwidth_gb_s,
        "memory_bits": device.memory_bits,
        "memory_mt_s": device.memory_mt_s,
        "power_w": low,
    }
    for name, value in numbers.items():
        if value is not None and value <= 0:
            raise ModelError(f"{where}: {name} is {value:g}", fix=f"{name} must be positive")
    if low > high:
        raise ModelError(f"{where}: power_w falls", fix="the least power first")


def _check_bandwidth(device: CatalogDevice, where: str) -> None:
    """Refuse a bandwidth that its own bus contradicts.

    bits / 8 x million transfers per second / 1000 = GB/s.
    """
    if device.memory_bits is None or device.memory_mt_s is None:
        return
    of_bus = device.memory_bits / 8 * device.memory_mt_s / 1000
    if abs(device.bandwidth_gb_s / of_bus - 1) > BANDWIDTH_ROUNDING:
        raise ModelError(
            f"{where}: bandwidth_gb_s is {device.bandwidth_gb_s:g}, and {device.memory_bits} bit"
            f" at {device.memory_mt_s:g} MT/s make {of_bus:.1f}",
            fix="correct one of the three",
        )


def _check_engine(engine: Engine, where: str) -> None:
    """Refuse an engine of no known family, of another kind than its family, or without a rate."""
    if engine.kind not in ENGINE_KINDS:
        raise ModelError(f"{where}: kind is {engine.kind!r}", fix=f"of {', '.join(ENGINE_KINDS)}")
    if engine.family not in _FAMILY_KINDS:
        raise ModelError(
            f"{where}: family is {engine.family!r}",
            fix=suggestion(engine.family, sorted(_FAMILY_KINDS)),
        )
    if _FAMILY_KINDS[engine.family] != engine.kind:
        raise ModelError(
            f"{where}: {engine.family} is no family of a {engine.kind}",
            fix=f"kind = {_FAMILY_KINDS[engine.family]!r}, or another family",
        )
    low, high = engine.power_w or (1.0, 1.0)
    for value in (engine.int8_tops, engine.fp16_tflops, engine.fp32_tflops, low):
        if value is not None and value <= 0:
            raise ModelError(
                f"{where}: a peak or a power is {value:g}", fix="leave it out where it is not known"
            )
    if low > high:
        raise ModelError(f"{where}: power_w falls", fix="the least power first")
