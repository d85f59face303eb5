"""Records and samples that the tests of results share."""

import re
from typing import Any

from harness.results.document import with_open_parts
from harness.results.replies import ProcessSamples
from harness.results.schema import Cell, Document, Metric, Reason, Record, Trust
from tests import replies


def cell(prompt: int = 0, gen: int = 0, **other: Any) -> Cell:
    """A cell of the tiny model; the workload's name follows from the numbers."""
    kind = f"pg{prompt}+{gen}" if prompt and gen else f"pp{prompt}" if prompt else f"tg{gen}"
    fields = {
        "model": "tiny",
        "parameters": 1000,
        "level": "int4",
        "device": "cpu",
        "provider": "CPUExecutionProvider",
        "runtime": "ort",
        "depth": 0,
        "batch": 1,
        "threads": 2,
        "weights": "seeded",
        **other,
    }
    name = f"{kind} @ d{fields['depth']}"
    return Cell(**{"workload": name, "prompt": prompt, "gen": gen, **fields})


def process(sample: dict[str, Any], first: str | None = None, **opened: Any) -> ProcessSamples:
    """One process whose load took 10 ms and whose first run took 30 ms."""
    return replies.process(replies.sample(**sample), replies.opened(first=first, **opened))


def document(*records: Record, **fields: Any) -> Document:
    """A results document around `records`."""
    head = {
        "run_id": "run-20261122-101500-1a2b",
        "created_utc": "2026-11-22T10:15:00+00:00",
        "environment": {"cpu_model": "AMD EPYC"},
        "plan": {"rounds": 5},
    }
    return Document(**with_open_parts({**head, **fields}), records=records)


def record() -> Record:
    """One good record of a decode test."""
    return Record(
        cell=cell(gen=32),
        status="ok",
        metrics={
            "decode_tok_s": Metric(value=50.0, low=49.0, high=51.0, unit="tok/s", processes=5)
        },
        estimates={"decode_tok_s": {"params": 80.0, "structure": None}},
        trust=Trust(grade="B", reasons=(Reason(code="FEW_PROCESSES", detail="3 processes"),)),
        samples=(process({"itl_ns": [[1, 2], [3, 4]]}),),
    )


def unchecked(content: bytes) -> bytes:
    """A document's bytes without its checksum, as an older harness wrote them."""
    return re.sub(rb'"checksum":"[^"]*",', b"", content, count=1)
