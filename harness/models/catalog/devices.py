"""The device catalog, `configs/catalog/devices.toml`: what data sheets say, engine by engine."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from harness.core.errors import ModelError, UsageError, suggestion
from harness.core.records import data_folder, read_record, read_table
from harness.core.units import GB

ENGINE_KINDS = ("cpu", "gpu", "npu")


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
        int8_tops: 1e12 integer operations per second at 8 bit.
        fp16_tflops: 1e12 operations per second at 16 bit.
        fp32_tflops: 1e12 operations per second at 32 bit.
        note: what the peaks mean, or where they are doubtful.
    """

    kind: str
    name: str
    int8_tops: float | None = None
    fp16_tflops: float | None = None
    fp32_tflops: float | None = None
    note: str = ""


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
        sources: where the numbers were read.
        engine: its processors.
        power_w: least and greatest sustained power; None: not stated.
        power_basis: what those two are.
        measured_bandwidth_gb_s: sustained rate someone measured, or None.
        claimed_max_parameters: the largest model its makers name, or None.
        notes: contradictions between sources.
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

    @property
    def max_memory_bytes(self) -> int:
        """The most memory that is sold, in bytes."""
        return int(self.max_memory_gb * GB)

    @property
    def bandwidth_bytes_per_s(self) -> float:
        """Memory bandwidth of the data sheet."""
        return self.bandwidth_gb_s * GB


@dataclass(frozen=True, slots=True)
class _File:
    """The whole file: one array of tables per field, called as TOML calls them."""

    device: tuple[CatalogDevice, ...]
    # `class` is a word of Python; the reader below renames it.
    classes: tuple[DeviceClass, ...]


def device_keys() -> tuple[str, ...]:
    """Return the keys of all devices, in the order of the file."""
    return tuple(device.key for device in _shipped().device)


def catalog_device(name: str) -> CatalogDevice:
    """Return the device called `name`, by key or alias; case, spaces and `_` do not matter.

    Raises:
        UsageError: no such device; the fix names the nearest keys and aliases.
    """
    spelled = "-".join(name.lower().replace("_", " ").replace("-", " ").split())
    for device in _shipped().device:
        if spelled in (device.key, *device.aliases):
            return device
    words = [word for device in _shipped().device for word in (device.key, *device.aliases)]
    raise UsageError(f"no device of the catalog is called {name!r}", fix=suggestion(name, words))


def device_class(name: str) -> DeviceClass:
    """Return the class called `name`; every device of a file that was read has one."""
    return next(row for row in _shipped().classes if row.name == name)


def read_devices(path: Path) -> tuple[tuple[CatalogDevice, ...], tuple[DeviceClass, ...]]:
    """Read a device file.

    Raises:
        ModelError: not TOML, an unknown or missing key, a wrong type, a word used twice, an
            unknown class or engine, or a number that is not positive.
    """
    table = read_table(path)
    table["classes"] = table.pop("class", [])
    file = read_record(_File, table, path.name)
    known = {row.name for row in file.classes}
    words: set[str] = set()
    for device in file.device:
        _check(device, known, f"{path.name}: {device.key}")
        own = {device.key, *device.aliases}
        if own & words:
            raise ModelError(
                f"{path.name}: {sorted(own & words)[0]!r} names two devices", fix="rename one"
            )
        words |= own
    return file.device, file.classes


@cache
def _shipped() -> _File:
    """Return the shipped file, read once."""
    return _File(*read_devices(data_folder("configs") / "catalog" / "devices.toml"))


def _check(device: CatalogDevice, classes: set[str], where: str) -> None:
    """Refuse what no device can be."""
    if device.device_class not in classes:
        raise ModelError(
            f"{where}: device_class is {device.device_class!r}",
            fix=suggestion(device.device_class, sorted(classes)),
        )
    kinds = {engine.kind for engine in device.engine}
    if not kinds <= set(ENGINE_KINDS):
        raise ModelError(f"{where}: engine kinds are {sorted(kinds)}", fix=f"of {ENGINE_KINDS}")
    peaks = [
        peak
        for engine in device.engine
        for peak in (engine.int8_tops, engine.fp16_tflops, engine.fp32_tflops)
        if peak is not None
    ]
    power_w = device.power_w or (1.0, 1.0)
    numbers = [device.max_memory_gb, device.bandwidth_gb_s, *power_w, *peaks]
    if min(numbers) <= 0 or power_w[0] > power_w[1]:
        raise ModelError(f"{where}: a number is not positive, or power_w falls", fix="correct it")
