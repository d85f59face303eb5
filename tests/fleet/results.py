"""Results of cells on machines, with numbers that a test chooses."""

from typing import Any

from msgspec import structs

from harness.results.environment import Environment
from harness.results.plan import CellMark
from harness.results.schema import Document
from tests.measured_documents import document, record


def result(
    number: int,
    machine: str,
    label: str = "",
    times_ms: tuple[float, ...] = (10.0, 10.1, 9.9, 10.05, 9.95),
    facts: dict[str, Any] | None = None,
    **fields: Any,
) -> Document:
    """A result of one decode row of cell `number`, one process for each time of a step."""
    known = {"cpu_model": f"cpu {machine[0]}", "memory_bytes": 2**30, "os": "Debian"}
    row = record(list(times_ms), f"tg{4 + number}", **fields)
    made = document(row, run_id=f"run-{number}-{machine[:4]}")
    mark = CellMark(hash=f"{number:016x}", machine=machine, label=label)
    return structs.replace(
        made,
        environment=Environment(**{**known, **(facts or {})}),
        plan=structs.replace(made.plan, cell=mark),
    )
