"""A results document as rows of the index. Pure."""

import math
from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from typing import Any

from harness.core.errors import ResultFormatError
from harness.history.tables import CellRow, DocumentRow, MachineRow, RecordRow, ValueRow
from harness.results.environment import MachineFacts
from harness.results.identity import cell_name
from harness.results.machines import machine_id, machine_label, memory_gib
from harness.results.progress import ending_of
from harness.results.schema import Cell, Document, Metric, Record, kind_of
from harness.results.size_effect import EXPECTED_BY
from harness.results.validity import why_left_out

DOCUMENT, JOURNAL = KINDS = ("document", "journal")  # the first is believed more
ONNXRUNTIME, BENCH = "onnxruntime", "ondevice-bench"
MACHINE_DIGITS = 8
# What else may be behind a step.
FACTS = ("os", "kernel", "governor", "turbo", "on_battery", "python_version")
CellKey = tuple[Any, ...]
# What a cell is, in the order of its key; the last is no field of a cell.
IDENTITY = tuple(
    name for name in CellRow.__struct_fields__ if name not in ("cell_id", "cell", "test")
)


def when_utc(text: str) -> str:
    """A time of ISO 8601 as the index has it, in UTC to the second: `2026-11-22 10:15:00`.

    Raises:
        ResultFormatError: it is none.
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise ResultFormatError(
            f"it is damaged: created_utc {text!r} is no time",
            fix="take the file from where it was first written",
        ) from error
    aware = found if found.tzinfo else found.replace(tzinfo=UTC)
    return aware.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def machine_row(document: Document) -> MachineRow:
    """The machine of a run, with the identity that follows from what it is, and is called."""
    facts, label = document.environment, machine_label(document)
    return MachineRow(
        machine=machine_id(facts, label)[:MACHINE_DIGITS],
        name=_machine_name(facts, label),
        cpu_model=_text(facts.cpu_model),
        architecture=_text(facts.architecture),
        physical_cores=facts.physical_cores,
        logical_cores=facts.logical_cores,
        usable_cores=facts.usable_cores,
        memory_bytes=facts.memory_bytes,
        virtual_machine=facts.virtual_machine,
    )


def _machine_name(facts: MachineFacts, label: str) -> str:
    """`AMD EPYC, 2 cores, 24 GiB`, and what its operator calls it."""
    cores, memory = facts.usable_cores, memory_gib(facts)
    words = [
        facts.cpu_model or facts.architecture or "unknown processor",
        "" if cores is None else f"{cores} core{'' if cores == 1 else 's'}",
        "" if memory is None else f"{memory} GiB",
        label,
    ]
    return _text(", ".join(word for word in words if word)) or ""


def document_row(
    document: Document,
    document_id: int,
    file: tuple[str, int, int, str],
    kind: str,
    commit: tuple[str, str],
) -> DocumentRow:
    """What the index keeps of a run itself.

    Args:
        document: the run.
        document_id: in the index.
        file: its path, its bytes, when it was changed in ns, and the digest of its content.
        kind: of KINDS.
        commit: that was measured and when it was made; either may be empty.
    """
    facts = document.environment
    packages = {_text(k) or "": _text(v) or "" for k, v in (facts.packages or {}).items()}
    path, size_bytes, modified_ns, content = file
    return DocumentRow(
        document_id=document_id,
        path=_text(path) or "",
        size_bytes=size_bytes,
        modified_ns=modified_ns,
        content=content,
        kind=kind,
        whole=sum(why_left_out(record) is None for record in document.records),
        run_id=_text(document.run_id) or "",
        created_utc=when_utc(document.created_utc),
        method_version=document.method_version,
        machine=machine_row(document).machine,
        commit=commit[0] or None,
        commit_utc=when_utc(commit[1]) if commit[1] else None,
        onnxruntime=packages.get(ONNXRUNTIME),
        bench=packages.get(BENCH),
        packages=packages,
        facts={name: str(value) for name in FACTS if (value := _fact(facts, name)) is not None},
        os=_text(facts.os),
        ended=ending_of(document),
    )


def _fact(facts: MachineFacts, name: str) -> str | None:
    value = getattr(facts, name)
    return None if value is None else _text(str(value))


def cell_key(record: Record) -> CellKey:
    """What tells cells apart in every run: the cell but for how it is printed, and its card."""
    values = (getattr(record.cell, name) for name in IDENTITY[:-1])
    return (*(_text(one) if isinstance(one, str) else one for one in values), _card(record))


def cell_row(cell: Cell, key: CellKey, cell_id: int, names: Collection[str]) -> CellRow:
    """A cell that the index did not have.

    Args:
        cell: it.
        key: of it.
        cell_id: in the index.
        names: of the cells that it has: one may be that of another provider, model or card.
    """
    rest = (cell.provider, f"{cell.parameters} parameters", cell.weights, key[-1])
    name = cell_name(cell)
    name += f" [{', '.join(str(one) for one in rest if one)}]" * (name in names)
    values: dict[str, Any] = dict(zip(IDENTITY, key, strict=True))
    return CellRow(cell_id=cell_id, cell=_text(name) or "", test=kind_of(cell), **values)


def _card(record: Record) -> str | None:
    """Vendor and number of the device that did the work; null of a processor."""
    found = record.hardware
    if found is None or found.device_class == "cpu" or not (found.vendor_id or found.device_id):
        return None
    return _text(f"{found.vendor_id or '?'}:{found.device_id or '?'}")


def record_row(record: Record, record_id: int, document_id: int, cell_id: int) -> RecordRow:
    """How the measuring of a cell ended."""
    trust = record.trust
    return RecordRow(
        record_id=record_id,
        document_id=document_id,
        cell_id=cell_id,
        status=record.status,
        reason=_text(record.reason),
        grade=None if trust is None else trust.grade,
        reasons=_text(" ".join(one.code for one in trust.reasons)) or "" if trust else "",
        placement=None if record.placement is None else record.placement.verdict,
        left_out=why_left_out(record),
    )


def value_rows(record: Record, record_id: int) -> Iterator[ValueRow]:
    """Yield the metrics of a record that counts."""
    for name, metric in record.metrics.items():
        if metric.value is not None and math.isfinite(metric.value) and name.isidentifier():
            estimate = record.estimates.get(name, {}).get(EXPECTED_BY)
            yield ValueRow(
                record_id,
                name,
                _text(metric.unit) or "",
                metric.value,
                *_ends(metric),
                metric.processes,
                _finite(estimate),
            )


def _ends(metric: Metric) -> tuple[float | None, float | None]:
    return _finite(metric.low), _finite(metric.high)


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _text(text: str | None) -> str | None:
    r"""The text, with what no database takes (a zero, half a sign) as its visible escape."""
    if text is None or (text.isascii() and "\0" not in text):
        return text
    return text.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode()
