"""The machines of a merged document: what each is, and the hardware peaks that were found on it."""

from harness.core.units import GB, GIB
from harness.report.columns import best_estimator
from harness.report.grid import KNOWN, VARIES, Column, draw_columns
from harness.report.headline import runtime_name
from harness.report.numbers import three_digits
from harness.results.machine_views import (
    Machine,
    as_one_machine,
    measured_machines,
    names_by_source,
)
from harness.results.schema import Document

SHOWN_DIGITS = 8  # of a hash


def machines_of_table(document: Document) -> tuple[Document, tuple[str, ...]]:
    """A document as a table draws it, and what the machine of each source is called.

    Of one machine the document has its peaks, and no names: nothing varies.
    """
    if len(measured_machines(document)) < 2:
        return as_one_machine(document), ()
    return document, names_by_source(document)


def draw_machines(document: Document, style: str) -> list[str]:
    """The table of machines; nothing of a document of one.

    Args:
        document: of one run or merged.
        style: of harness.report.grid.
    """
    machines = measured_machines(document)
    if len(machines) < 2:
        return []
    return [draw_columns(COLUMNS, machines, style)]


def _processor(machine: Machine) -> str | None:
    """The name of the processor, without double spaces."""
    words = machine.environment.cpu_model or machine.environment.architecture
    return None if words is None else " ".join(words.split())


def _memory(machine: Machine) -> float | None:
    """Memory in GiB."""
    found = machine.environment.memory_bytes
    return None if found is None else found / GIB


def _read(machine: Machine) -> str | None:
    """`4.4 (2), 2.1 (1)`: read bandwidth in GB/s by number of threads, as the runs found it."""
    peaks = [peak for peak in machine.environment.read_bandwidth if peak.bytes_per_s is not None]
    told = [f"{(peak.bytes_per_s or 0.0) / GB:.1f} ({peak.threads})" for peak in peaks]
    return ", ".join(reversed(told)) or None


def _calibrated(machine: Machine) -> str:
    """For how many threads its constants were measured, newest day last."""
    found = machine.environment.calibration
    days = sorted({one.measured_on for one in found if one.measured_on})
    threads = sorted({one.constants.threads for one in found})
    if not threads:
        return "no"
    return f"{', '.join(map(str, threads))} threads" + (f", {days[-1]}" if days else "")


def _basis(machine: Machine) -> str:
    """By which estimators its rows were estimated."""
    records = [record for run in machine.runs for record in run.records if record.estimates]
    return ", ".join(dict.fromkeys(best_estimator(record) for record in records))


COLUMNS: tuple[Column[Machine], ...] = (
    Column("machine", lambda one: one.name),
    Column("hash", lambda one: one.id[:SHOWN_DIGITS]),
    Column("processor", _processor, shown=VARIES, leaves=5),
    Column("cores", lambda one: one.environment.physical_cores, shown=KNOWN, leaves=4),
    Column("memory GiB", _memory, three_digits, KNOWN, leaves=3),
    Column("system", lambda one: one.environment.os, shown=VARIES, leaves=6),
    Column("governor", lambda one: one.environment.governor, shown=VARIES, leaves=7),
    Column("runtime", lambda one: runtime_name(one.environment), shown=VARIES, leaves=2),
    Column("read GB/s (threads)", _read, shown=KNOWN),
    Column("calibrated", _calibrated, shown=VARIES, leaves=1),
    Column("estimate", _basis, shown=VARIES, leaves=8),
    Column("rows", lambda one: sum(len(run.records) for run in one.runs)),
)
