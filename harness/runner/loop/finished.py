"""The numbers of a row that has just been measured, for who waits: its rate and its peak."""

from harness.core.units import MIB
from harness.results.entries import MemoryEntry
from harness.results.metrics import rate_of_kind
from harness.results.schema import kind_of
from harness.results.summarize import metric_half_width_share, summarize
from harness.runner.loop.entries import Entries


def numbers_of(entry: MemoryEntry, entries: Entries) -> str:
    """`132 tok/s ± 19%, peak 205 MiB`; empty where nothing is known of the row.

    Args:
        entry: the memory of one test, which is taken last.
        entries: of the journal.
    """
    return ", ".join(filter(None, (_rate(entry, entries), _peak(entry))))


def _rate(entry: MemoryEntry, entries: Entries) -> str:
    """The rate that the test is judged by, with the half-width of its interval."""
    cells = () if entries.outline is None else entries.outline.cells
    places = {(one.group, one.workload): one.record.cell for one in cells}
    cell = places.get((entry.group, entry.workload))
    processes = entries.tests_at(entry.group, entry.workload)
    if cell is None or not processes:
        return ""
    row = rate_of_kind(kind_of(cell))
    found = summarize(cell, processes, entries.header.plan.looks).get(row.name)
    if found is None or found.value is None:
        return ""
    half = metric_half_width_share(found)
    value = f"{found.value:.3g}" if found.value < 1000 else f"{found.value:.0f}"
    return f"{value} {row.unit}{'' if half is None else f' ± {half:.0%}'}"


def _peak(entry: MemoryEntry) -> str:
    """The high-water mark; empty of a server elsewhere."""
    peak = entry.reply.peak_bytes
    return "" if peak is None else f"peak {peak / MIB:.0f} MiB"
