"""Runs of one small plan, day after day: documents that an index is filled with."""

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from msgspec import structs

from harness.results.document import write_document
from harness.results.schema import Document, Metric, Record, Trust
from tests.report.report_documents import MIB, document, record

FIRST = datetime(2026, 9, 1, 6, tzinfo=UTC)
NOISE = 0.005


def one_metric(value: float, unit: str = "tok/s", share: float = 0.01) -> Metric:
    return Metric(
        value=value, low=value * (1 - share), high=value * (1 + share), unit=unit, processes=5
    )


def records_of(decode: float, peak_mib: float = 200.0, **fields: Any) -> list[Record]:
    """A decode and a prefill record of one level."""
    peak = {"peak_rss_bytes": Metric(value=peak_mib * MIB, unit="bytes", processes=1)}
    return [
        record(
            "tg32",
            {"decode_tok_s": one_metric(decode), **peak},
            estimates={"decode_tok_s": {"params": 300.0, "calibrated": 140.0}},
            cell=fields,
        ),
        record("pp128", {"prefill_tok_s": one_metric(decode * 4), **peak}, cell=fields),
    ]


def run_of(
    day: float,
    *records: Record,
    onnxruntime: str = "1.31.1",
    machine: str = "AMD EPYC",
    method: int = 2,
    **facts: Any,
) -> Document:
    """A run that began so many days after the first."""
    when = FIRST + timedelta(days=day)
    made = document(*records)
    return structs.replace(
        made,
        run_id=f"run-{when:%Y%m%d-%H%M%S}-{machine[-4:].lower().replace(' ', '')}",
        created_utc=when.isoformat(),
        method_version=method,
        environment=structs.replace(
            made.environment,
            cpu_model=machine,
            usable_cores=2,
            memory_bytes=25_274_793_984,
            packages={"onnxruntime": onnxruntime, "ondevice-bench": "0.2.0"},
            **facts,
        ),
    )


def write_runs(folder: Path, runs: Sequence[Document]) -> list[Path]:
    """Each as a file of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{one.run_id}.json" for one in runs]
    for path, one in zip(paths, runs, strict=True):
        write_document(one, path)
    return paths


def slowed(count: int = 24, place: int = 14, share: float = 0.2, seed: int = 3) -> list[Document]:
    """Daily runs whose decoding is slower from one day on, with another onnxruntime."""
    chance = random.Random(seed)
    made = []
    for day in range(count):
        level = 100.0 * (1.0 if day < place else 1 - share) * chance.lognormvariate(0, NOISE)
        version = "1.31.1" if day < place else "1.32.0"
        made.append(run_of(day, *records_of(level), onnxruntime=version))
    return made


def invalid(one: Record) -> Record:
    """The same record, not to be believed."""
    return structs.replace(one, trust=Trust(grade="INVALID"))
