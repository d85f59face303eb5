"""How large a model may be on a device, as people read it and as values; and systems of parts."""

from collections.abc import Sequence
from dataclasses import dataclass

from harness.builder.quantize.levels import QuantLevel
from harness.core.units import GB, MIB
from harness.estimator.answer import METHOD_VERSION, Estimate, weights_bytes
from harness.estimator.largest import ENDS, SHOWN_MODELS, Largest
from harness.estimator.query import stored_bits
from harness.models.catalog.systems import SystemPart, Unpublished
from harness.models.catalog.target import MAX_PARAMETERS
from harness.report.grid import (
    KNOWN,
    VARIES,
    Column,
    bullets,
    draw_columns,
    draw_records,
    prose,
)

NONE = "none"
LIKELY = ENDS.index("likely")
_UNITS = ((10**12, "T"), (10**9, "B"), (10**6, "M"))


def draw_count(parameters: int | None) -> str:
    """Draw a count to three digits as people write it: 7.08B; `none` where there is none."""
    if parameters is None:
        return NONE
    if parameters >= MAX_PARAMETERS:
        return f">={draw_count(MAX_PARAMETERS - 1)}"
    size, unit = next(row for row in _UNITS if parameters >= row[0])
    return f"{parameters / size:.3g}{unit}"


def _named(row: Largest) -> str | None:
    """Catalog models that likely keep to it."""
    return ", ".join(row.models[LIKELY]) or NONE if row.models else None


COLUMNS: tuple[Column[Largest], ...] = (
    Column("device", lambda row: row.example.case.device.key, shown=VARIES),
    Column("quant", lambda row: row.example.case.level.name, shown=VARIES),
    Column("depth", lambda row: row.example.case.lengths.depth_tokens, shown=VARIES),
    Column("prompt", lambda row: row.example.case.lengths.prompt_tokens, shown=VARIES),
    Column("batch", lambda row: row.example.case.lengths.batch, shown=VARIES),
    Column("limit", lambda row: ", ".join(row.limits) or "fits", shown=VARIES),
    *(
        Column(name, lambda row, end=end: draw_count(row.counts[end]))  # type: ignore[misc]
        for end, name in enumerate(ENDS)
    ),
    Column("held by", lambda row: ", ".join(row.held_by) or None, shown=KNOWN, leaves=1),
    Column("largest models, likely", _named, shown=KNOWN),
)
MEANING = (
    "surely, likely, at best: the largest parameter count by the slow end, the centre and the fast"
    " end of the estimated ranges",
    "counts: of a typical decoder, its layers, width and cache as published models of that size"
    " have them; to 1 %",
    f"models: the {SHOWN_MODELS} largest of the catalog that keep to it; a mixture of experts may"
    " have more parameters than the count, since a token reads few of them",
)


def draw_largest(
    rows: Sequence[Largest], style: str, systems: Sequence[Unpublished] = ()
) -> tuple[str, tuple[str, ...]]:
    """Draw answers.

    Args:
        rows: at least one.
        style: of `options.FORMATS`.
        systems: models without a published count, for which it was asked.

    Returns:
        The text, and the notes that the format has no room for.
    """
    notes = (*MEANING, *_bases(rows), *_notes(rows))
    if style in ("json", "jsonl"):
        return draw_records([largest_values(row, systems) for row in rows], style), ()
    if style == "csv":
        flat = [_flat(largest_values(row, systems)) for row in rows]
        return draw_records(flat, style), notes
    head = [prose(_unknown(system), style) for system in systems]
    head.append(prose(_headline(rows), style))
    parts = [*head, draw_columns(COLUMNS, rows, style), bullets(notes, style)]
    return "\n\n".join(parts), ()


def largest_values(row: Largest, systems: Sequence[Unpublished] = ()) -> dict[str, object]:
    """Return one answer as values, units in their names."""
    case, sizes = row.example.case, row.example.sizes
    ends = ("low", "centre", "high")
    counts = {f"parameters_{end}": count for end, count in zip(ends, row.counts, strict=True)}
    models = row.models or ((),) * len(ends)
    return {
        "question": "largest",
        "systems": [system.key for system in systems],
        "device": case.device.key,
        "engine": None if case.engine is None else case.engine.kind,
        "level": case.level.name,
        "depth_tokens": case.lengths.depth_tokens,
        "prompt_tokens": case.lengths.prompt_tokens,
        "batch": case.lengths.batch,
        "limits": list(row.limits),
        **counts,
        "held_by": list(row.held_by),
        **{f"models_{end}": list(names) for end, names in zip(ends, models, strict=True)},
        "available_bytes": round(sizes.available_bytes),
        "basis": row.example.basis,
        "method_version": METHOD_VERSION,
    }


def _flat(values: dict[str, object]) -> dict[str, object]:
    """The same for a table of text: lists as words."""
    return {
        key: "; ".join(map(str, value)) if isinstance(value, list) else value
        for key, value in values.items()
    }


def _headline(rows: Sequence[Largest]) -> str:
    """Return what all rows share."""
    shared = []
    for column in COLUMNS:
        cells = {column.cell(row) for row in rows}
        if column.shown == VARIES and len(cells) == 1:
            shared.append(f"{column.header} {cells.pop()}")
    return "Largest model, estimated, not measured: " + ", ".join(shared)


def _unknown(system: Unpublished) -> str:
    """Say that nothing was published, and what the system is."""
    made = f", and it makes {system.makes}" if system.makes else ""
    return f"{system.name}: no parameter count was ever published{made}. What could run there:"


def _bases(rows: Sequence[Largest]) -> list[str]:
    """Return the memory of every device and what speeds stand on, each once."""
    lines = {}
    for row in rows:
        sizes, device = row.example.sizes, row.example.case.device.key
        lines[f"memory: {sizes.available_bytes / GB:,.3g} GB of {device} for the model"] = 1
        if row.limits:
            lines[f"speed: {row.example.basis}"] = 1
    return list(lines)


def _notes(rows: Sequence[Largest]) -> list[str]:
    """Return what is to be known of the devices, each once; not of the count that was tried."""
    told = {note: 1 for row in rows for note in row.example.case.device.notes}
    return list(told)


@dataclass(frozen=True, slots=True)
class PartRow:
    """One part of a system that writes no text, at one level on one device.

    Attributes:
        system: whose part.
        part: its name and count.
        level: how it would be stored.
        example: an estimate of the question's case, which knows the device and its memory.
    """

    system: Unpublished
    part: SystemPart
    level: QuantLevel
    example: Estimate

    @property
    def weights_bytes(self) -> float:
        """Stored bytes: parameters times bits of the level, scales included."""
        return weights_bytes(self.part.parameters, stored_bits(self.level))

    @property
    def fits(self) -> bool:
        """Whether the weights alone are within the memory."""
        return self.weights_bytes <= self.example.sizes.available_bytes


PART_COLUMNS: tuple[Column[PartRow], ...] = (
    Column("part", lambda row: row.part.name),
    Column("system", lambda row: row.system.key, shown=VARIES, leaves=1),
    Column("parameters", lambda row: draw_count(row.part.parameters)),
    Column("device", lambda row: row.example.case.device.key, shown=VARIES),
    Column("quant", lambda row: row.level.name),
    Column("weights MiB", lambda row: row.weights_bytes / MIB, "{:,.0f}".format),
    Column("fits", lambda row: "yes" if row.fits else "no"),
)


def draw_parts(rows: Sequence[PartRow], style: str) -> tuple[str, tuple[str, ...]]:
    """Draw what is known of systems that write no text: their sizes, and whether those fit.

    Args:
        rows: at least one.
        style: of `options.FORMATS`.

    Returns:
        The text, and the notes that the format has no room for.
    """
    systems = {row.system.key: row.system for row in rows}.values()
    notes = [f"{row.part.name}: {row.part.source}" for row in rows]
    notes = [*dict.fromkeys(notes), "no rate is estimated: no token follows another"]
    if style in ("json", "jsonl", "csv"):
        told = () if style != "csv" else tuple(notes)
        return draw_records([part_values(row) for row in rows], style), told
    heads = [
        prose(f"{one.name} makes {one.makes}: it is no text transformer.", style) for one in systems
    ]
    return "\n\n".join([*heads, draw_columns(PART_COLUMNS, rows, style), bullets(notes, style)]), ()


def part_values(row: PartRow) -> dict[str, object]:
    """Return one part as values, units in their names."""
    return {
        "question": "parts",
        "system": row.system.key,
        "makes": row.system.makes,
        "part": row.part.name,
        "parameters": row.part.parameters,
        "device": row.example.case.device.key,
        "level": row.level.name,
        "weights_bytes": round(row.weights_bytes),
        "available_bytes": round(row.example.sizes.available_bytes),
        "fits": row.fits,
        "source": row.part.source,
    }
