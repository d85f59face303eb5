"""The devices of `bench estimate --on list`, by class: memory, bandwidth, engines, peaks. Pure."""

from collections.abc import Callable, Sequence
from itertools import groupby

from harness.estimator.published.table import engine_table
from harness.models.catalog.devices import RECALLED, CatalogDevice, Engine
from harness.models.catalog.families import ENGINE_KINDS
from harness.report.grid import PEOPLE, TABLE, Column, draw_columns, draw_records, prose
from harness.report.numbers import counted, plain_digits

NOTE = (
    "peaks are dense and not reached: of npu and cpu at 8 bit, of a gpu at 16, at the next width"
    " where that is not known; W: sustained power; source: whether all, some or none of the values"
    " stand in one, the others are recalled. --wide adds names, memory and how many published"
    " decode rates there are (rows), --format json the rest"
)
# What a column shows of an engine of a kind: the width that models run at on it, else the next.
_SHOWN: dict[str, Callable[[Engine], float | None]] = {
    "npu": lambda engine: engine.int8_tops or engine.fp16_tflops,
    "gpu": lambda engine: engine.fp16_tflops or engine.fp32_tflops or engine.int8_tops,
    "cpu": lambda engine: engine.int8_tops or engine.fp32_tflops,
}


def engine_of(device: CatalogDevice, kind: str) -> Engine | None:
    """Return the device's engine of that kind, or None."""
    return next((engine for engine in device.engine if engine.kind == kind), None)


def _peak(kind: str) -> Callable[[CatalogDevice], float | str | None]:
    """Return what reads the peak of a kind; `yes` where there is one and its peak is not known."""

    def read(device: CatalogDevice) -> float | str | None:
        engine = engine_of(device, kind)
        return None if engine is None else _SHOWN[kind](engine) or "yes"

    return read


def _peak_text(value: float | str) -> str:
    """Draw a peak."""
    return value if isinstance(value, str) else plain_digits(float(f"{value:.3g}"))


def _power(device: CatalogDevice) -> str | None:
    """Least and greatest power, or the one that there is."""
    return None if device.power_w is None else "–".join(f"{w:g}" for w in _ends(device.power_w))


def _ends(pair: tuple[float, float]) -> tuple[float, ...]:
    """Both ends of a range, one where they are the same."""
    return pair if pair[0] != pair[1] else pair[:1]


def _sourced(device: CatalogDevice) -> str:
    """Whether all, some or none of its values stand in a source."""
    return ("some" if device.recalled else "all") if device.sources else "none"


def published_rows(device: CatalogDevice) -> int:
    """How many published decode rates of the device the engines' table was fitted to."""
    return sum(row.rows for row in engine_table().devices if row.of == device.key)


COLUMNS: tuple[Column[CatalogDevice], ...] = (
    Column("device", lambda device: device.key),
    Column("most GB", lambda device: device.max_memory_gb, plain_digits),
    Column("read GB/s", lambda device: device.bandwidth_gb_s, plain_digits),
    Column("npu TOPS", _peak("npu"), _peak_text, shown="known"),
    Column("gpu TFLOPS", _peak("gpu"), _peak_text, shown="known"),
    Column("cpu TOPS", _peak("cpu"), _peak_text, shown="known"),
    Column("power W", _power, leaves=1),
    Column("source", _sourced),
)
WIDE_COLUMNS: tuple[Column[CatalogDevice], ...] = (
    *COLUMNS,
    Column("rows", lambda device: published_rows(device) or None, shown="known"),
    Column("memory", lambda device: device.memory_type),
    Column("name", lambda device: device.name),
)


def draw_catalog_devices(devices: Sequence[CatalogDevice], style: str) -> str:
    """Draw one row per device, for people one table per class; no line feed at the end.

    Args:
        devices: by class.
        style: of `options.FORMATS`.
    """
    if style not in PEOPLE:
        return draw_records([device_values(device) for device in devices], style)
    columns = COLUMNS if style == TABLE else WIDE_COLUMNS
    mark = "### " if style == "md" else ""
    tables = []
    for name, group in groupby(devices, key=lambda device: device.device_class):
        members = list(group)
        heading = f"{mark}{name}: {counted(len(members), 'devices')}"
        tables.append(f"{heading}\n\n{draw_columns(columns, members, style)}")
    return "\n\n".join([*tables, prose(NOTE, style, mark="- ")])


def device_values(device: CatalogDevice) -> dict[str, object]:
    """Return one device as values, units in their names; null where nothing is known."""
    low_w, high_w = device.power_w or (None, None)
    engines: dict[str, object] = {}
    for kind in ENGINE_KINDS:
        engine = engine_of(device, kind)
        for field in ("name", "family", "int8_tops", "fp16_tflops", "fp32_tflops", "note"):
            engines[f"{kind}_{field}"] = getattr(engine, field, None)
        power_w = None if engine is None else engine.power_w
        engines[f"{kind}_power_w"] = None if power_w is None else list(power_w)
    return {
        "device": device.key,
        "name": device.name,
        "aliases": list(device.aliases),
        "device_class": device.device_class,
        "memory_type": device.memory_type,
        "max_memory_gb": device.max_memory_gb,
        "bandwidth_gb_s": device.bandwidth_gb_s,
        "measured_bandwidth_gb_s": device.measured_bandwidth_gb_s,
        "power_w_low": low_w,
        "power_w_high": high_w,
        "power_basis": device.power_basis,
        **engines,
        "published_rows": published_rows(device),
        "recalled": [word for word in RECALLED if word in device.recalled],
        "sources": list(device.sources),
        "notes": list(device.notes),
    }
