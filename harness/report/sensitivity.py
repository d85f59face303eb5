"""Which matrices a level costs most: one table for each level whose groups were measured. Pure."""

from collections.abc import Iterator, Sequence
from typing import Any

from harness.core.units import MIB
from harness.report.columns import three_digits
from harness.report.escape import markdown, one_line
from harness.report.grid import MISSING, draw_rows
from harness.results.schema import Document, Record

HEADER = ("group", "saves MiB", "KLD nats", "low", "high", "KLD nats/MiB")
TITLE = "one group at {level}, all else at fp32 (costliest first; keep the first at more bits)"

Json = dict[str, Any]


def draw_sensitivities(document: Document, style: str) -> Iterator[str]:
    """Yield a title and a table for each (model, level).

    Args:
        document: one run.
        style: `table` or `md`.
    """
    escape = markdown if style == "md" else one_line
    measured: dict[tuple[str, str], Record] = {}
    for record in document.records:
        if (record.quality or {}).get("sensitivity"):
            measured.setdefault((record.cell.model, record.cell.level), record)
    for (model, level), record in measured.items():
        quality = record.quality or {}
        label = f" · {quality['label']}" if quality.get("label") else ""
        yield escape(f"{model} · {TITLE.format(level=level)}{label}")
        yield draw_rows(HEADER, [_row(loss) for loss in quality["sensitivity"]], style)


def _row(loss: Json) -> Sequence[str]:
    """One group."""
    kld = loss["kld_nats"] or {}
    values = (*(kld.get(end) for end in ("value", "low", "high")), loss["kld_nats_per_mib"])
    shown = [MISSING if value is None else f"{value:.3g}" for value in values]
    return [loss["group"], three_digits(loss["saved_bytes"] / MIB), *shown]
