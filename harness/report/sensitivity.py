"""Which matrices a level costs most: one table for each level whose groups were measured. Pure."""

from collections.abc import Callable, Iterator

from harness.core.units import MIB
from harness.report.grid import Column, draw_columns, prose
from harness.report.numbers import three_digits, three_significant
from harness.results.quality import GroupLoss, Quality
from harness.results.schema import Document

TITLE = "one group at {level}, all else at fp32 (costliest first; keep the first at more bits)"


def draw_sensitivities(document: Document, style: str) -> Iterator[str]:
    """Yield a title and a table for each (model, level).

    Args:
        document: one run.
        style: `table` or `md`.
    """
    measured: dict[tuple[str, str], Quality] = {}
    for record in document.records:
        if record.quality is not None and record.quality.sensitivity:
            measured.setdefault((record.cell.model, record.cell.level), record.quality)
    for (model, level), quality in measured.items():
        label = f" · {quality.label}" if quality.label else ""
        yield prose(f"{model} · {TITLE.format(level=level)}{label}", style)
        yield draw_columns(COLUMNS, quality.sensitivity or (), style)


def _of_kld(end: str) -> Callable[[GroupLoss], float | None]:
    """Return what reads the divergence, or an end of its interval."""
    return lambda loss: getattr(loss.kld_nats, end, None)


COLUMNS: tuple[Column[GroupLoss], ...] = (
    Column("group", lambda loss: loss.group),
    Column("saves MiB", lambda loss: loss.saved_bytes / MIB, three_digits),
    Column("KLD nats", _of_kld("value"), three_significant),
    Column("low", _of_kld("low"), three_significant),
    Column("high", _of_kld("high"), three_significant),
    Column("KLD nats/MiB", lambda loss: loss.kld_nats_per_mib, three_significant),
)
