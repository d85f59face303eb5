"""What the index holds: its stored tables, each a typed row, and the views that queries see.

The stored tables are this package's own and may change with INDEX_VERSION; the views are the
contract, and docs/history.md shows them. An index is never upgraded: it holds nothing that is not
in the documents, so another version is built from them again.
"""

from dataclasses import dataclass
from types import UnionType
from typing import Any, get_args, get_type_hints

import msgspec

# Raised with every change of a stored table or a view.
INDEX_VERSION = 2
STORED = "stored"  # the schema of the tables; views stand in the usual one
_TYPES: dict[Any, str] = {
    int: "BIGINT",
    float: "DOUBLE",
    bool: "BOOLEAN",
    str: "VARCHAR",
    dict[str, str]: "MAP(VARCHAR, VARCHAR)",
}


class DocumentRow(msgspec.Struct, frozen=True, kw_only=True):
    """One run. Times are UTC."""

    document_id: int
    path: str
    size_bytes: int
    modified_ns: int
    content: str
    kind: str
    whole: int
    run_id: str
    created_utc: str
    method_version: int
    machine: str
    commit: str | None
    commit_utc: str | None
    onnxruntime: str | None
    bench: str | None
    packages: dict[str, str]
    facts: dict[str, str]
    os: str | None
    ended: str


class MachineRow(msgspec.Struct, frozen=True, kw_only=True):
    """One machine."""

    machine: str
    name: str
    cpu_model: str | None
    architecture: str | None
    physical_cores: int | None
    logical_cores: int | None
    usable_cores: int | None
    memory_bytes: int | None
    virtual_machine: bool | None


class CellRow(msgspec.Struct, frozen=True, kw_only=True):
    """What one record measures, whichever run it is of."""

    cell_id: int
    cell: str
    test: str
    model: str
    parameters: int
    level: str
    device: str
    provider: str
    runtime: str
    workload: str
    prompt: int
    gen: int
    depth: int
    batch: int
    threads: int
    sequences: int
    kv_cache: str
    prepack: str
    chunk: int
    capacity: int
    weights: str
    hardware: str | None


class RecordRow(msgspec.Struct, frozen=True, kw_only=True):
    """One record of a run. `left_out` says why its values do not count; null: they do."""

    record_id: int
    document_id: int
    cell_id: int
    status: str
    reason: str | None
    grade: str | None
    reasons: str
    placement: str | None
    left_out: str | None


class ValueRow(msgspec.Struct, frozen=True):
    """One metric of a record that counts."""

    record_id: int
    metric: str
    unit: str
    value: float
    low: float | None
    high: float | None
    processes: int
    estimate: float | None


class VoteRow(msgspec.Struct, frozen=True, kw_only=True):
    """A series in which steps were looked for, by its digest."""

    digest: str


class StepRow(msgspec.Struct, frozen=True, kw_only=True):
    """One step that was found; `place` is the index of the first point behind it."""

    digest: str
    place: int
    cell: str
    metric: str
    machine: str
    run_id: str
    created_utc: str
    change: float
    low: float
    high: float
    is_ratio: bool
    is_worse: bool
    is_confirmed: bool
    votes: str


class AboutRow(msgspec.Struct, frozen=True, kw_only=True):
    """What says that a file is such an index."""

    schema: str
    version: int


TABLES: dict[str, type[msgspec.Struct]] = {
    "about": AboutRow,
    "documents": DocumentRow,
    "machines": MachineRow,
    "cells": CellRow,
    "records": RecordRow,
    "metric_values": ValueRow,
    "votes": VoteRow,
    "found_steps": StepRow,
}


def columns_of(row: type[msgspec.Struct]) -> dict[str, str]:
    """Column -> its SQL type, as the fields of a stored row have them."""
    return {name: _sql_type(name, hint) for name, hint in get_type_hints(row).items()}


def _sql_type(name: str, hint: Any) -> str:
    kinds = [one for one in get_args(hint) if one is not type(None)]
    kind = kinds[0] if isinstance(hint, UnionType) else hint
    return "TIMESTAMP" if name.endswith("_utc") else _TYPES[kind]


@dataclass(frozen=True, slots=True)
class View:
    """One table that a query may ask.

    Attributes:
        name: of it.
        meaning: what a row is, one sentence.
        columns: name -> what it holds; in the order of `select *`.
        sql: what it is made of; empty: it is filled from a file.
    """

    name: str
    meaning: str
    columns: dict[str, str]
    sql: str = ""


_RUN = {
    "run_id": "of the run",
    "created_utc": "when the run began",
    "commit": "that was measured; null: nobody said",
    "onnxruntime": "its version",
    "machine": "its identity, of machines",
}
_SPREAD = {
    "value": "centre over process medians",
    "low": "lower end of the 95 % interval; null: under two processes",
    "high": "upper end",
    "processes": "that support it; 0: it was counted",
}
_CELL_FIELDS = {
    "model": "its name",
    "level": "of quantization",
    "device": "that was asked for",
    "provider": "that did the work",
    "runtime": "ort, genai, llama.cpp, or a server",
    "workload": "the test, such as tg32 @ d0",
    "threads": "intra-op threads",
}

VIEWS: tuple[View, ...] = (
    View(
        "runs",
        "One results file: a run, or the journal of one that was killed.",
        {
            **_RUN,
            "commit_utc": "when that commit was made; null: not known",
            "bench": "version of this program",
            "os": "the system and its version",
            "method_version": "values of two of them are not compared",
            "ended": "how it ended: complete, resumed, failed, budget or interrupted",
            "records": "how many it has",
            "counted": "how many of them count",
            "document": "its file, from the folder of the index",
        },
        f"""
        SELECT run_id, created_utc, commit, onnxruntime, machine, commit_utc, bench, os,
            method_version, ended, count(record_id) AS records,
            count(record_id) FILTER (left_out IS NULL) AS counted, path AS document
        FROM {STORED}.documents LEFT JOIN {STORED}.records USING (document_id)
        GROUP BY ALL
        """,
    ),
    View(
        "machines",
        "One machine, by its processor, its cores and the limits of its container.",
        {
            "machine": "its identity: 8 digits that follow from what it is",
            "name": "the same in words",
            "cpu_model": "name of the processor",
            "architecture": "such as x86_64",
            "physical_cores": "of the whole machine",
            "logical_cores": "likewise",
            "usable_cores": "physical ones that a process may use",
            "memory_bytes": "of the machine",
            "virtual_machine": "whether it is one",
            "runs": "how many were measured on it",
            "first_utc": "the first of them",
            "last_utc": "the last of them",
        },
        f"""
        SELECT m.*, count(document_id) AS runs, min(created_utc) AS first_utc,
            max(created_utc) AS last_utc
        FROM {STORED}.machines m LEFT JOIN {STORED}.documents USING (machine)
        GROUP BY ALL
        """,
    ),
    View(
        "packages",
        "The version of one package in one run.",
        {"run_id": "of the run", "package": "a distribution", "version": "of it"},
        f"""
        SELECT run_id, unnest(map_keys(packages)) AS package,
            unnest(map_values(packages)) AS version
        FROM {STORED}.documents
        """,
    ),
    View(
        "cells",
        "What one record measures, in whichever run: a test of a model at a level, on a device.",
        {
            "cell": "its name, as every exporter writes it",
            "test": "kind of test: pp, tg, pg, turn, enc, img, aud or graph",
            "model": _CELL_FIELDS["model"],
            "parameters": "logical ones",
            **{name: text for name, text in _CELL_FIELDS.items() if name not in ("model",)},
            "prompt": "prefill tokens, or tokens of each text",
            "gen": "decoded tokens",
            "depth": "tokens in the cache before the test",
            "batch": "sequences of a decoder's session",
            "sequences": "texts of one pass of an encoder",
            "kv_cache": "how keys and values are stored",
            "prepack": "when kernels copy weights",
            "chunk": "tokens of the prompt that are read at once; 0: all",
            "capacity": "positions of the cache; 0: as many as the tests need",
            "weights": "seeded, trained or served",
            "hardware": "vendor and number of the card; null of a processor",
        },
        f"""
        SELECT cell, test, model, parameters, level, device, provider, runtime, workload, threads,
            prompt, gen, depth, batch, sequences, kv_cache, prepack, chunk, capacity, weights,
            hardware
        FROM {STORED}.cells
        """,
    ),
    View(
        "records",
        "How the measuring of one cell ended in one run.",
        {
            "run_id": "of the run",
            "cell": "of cells",
            "status": "ok, failed, crashed, timeout, out_of_memory, unsupported or skipped",
            "reason": "what a person can act on; null of one that is ok",
            "grade": "of trust: A, B, C or INVALID",
            "reasons": "codes of what keeps it from A, with spaces between",
            "placement": "how much of the graph the device took",
            "left_out": "why its values do not count; null: they do",
        },
        f"""
        SELECT run_id, cell, status, reason, grade, reasons, placement, left_out
        FROM {STORED}.records JOIN {STORED}.documents USING (document_id)
            JOIN {STORED}.cells USING (cell_id)
        """,
    ),
    View(
        "measured",
        "One metric of one record; only of records that count.",
        {
            **_RUN,
            "method_version": "values of two of them are not compared",
            "cell": "of cells",
            **_CELL_FIELDS,
            "grade": "of trust: A, B or C",
            "metric": "its name; bench explain says what it is",
            "unit": "of the values",
            **_SPREAD,
            "estimate": "what the calibrated estimate says of it; null: nothing",
        },
        f"""
        SELECT run_id, created_utc, commit, onnxruntime, machine, method_version, cell, model,
            level, device, provider, runtime, workload, threads, grade, metric, unit, value, low,
            high, processes, estimate
        FROM {STORED}.metric_values JOIN {STORED}.records USING (record_id)
            JOIN {STORED}.documents USING (document_id) JOIN {STORED}.cells USING (cell_id)
        """,
    ),
    View(
        "trends",
        "The same beside the run before it, of the same cell, machine, metric and method.",
        {
            "cell": "of cells",
            "metric": "its name",
            "unit": "of the values",
            **_RUN,
            "method_version": "values of two of them are not compared",
            **_SPREAD,
            "previous": "value of the run before; null of the first",
            "ratio": "value / previous",
        },
        """
        SELECT *, value / nullif(previous, 0) AS ratio FROM (
            SELECT cell, metric, unit, run_id, created_utc, commit, onnxruntime, machine,
                method_version, value, low, high, processes, lag(value) OVER line AS previous
            FROM measured
            WINDOW line AS (PARTITION BY cell, provider, machine, metric, method_version
                ORDER BY created_utc, run_id))
        """,
    ),
    View(
        "steps",
        "One step of the rate that a cell is judged by, in the order of dates.",
        {
            "cell": "of cells",
            "metric": "its name",
            "machine": "on which",
            "run_id": "the first run behind it",
            "created_utc": "when that began",
            "change": "after / before; after - before where is_ratio is false",
            "low": "lower end of its 95 % interval",
            "high": "upper end",
            "is_ratio": "whether change is a ratio",
            "is_worse": "whether the metric got worse",
            "is_confirmed": "whether both detectors see it; else it is suspected",
            "votes": "the detectors that see it",
        },
        f"""
        SELECT DISTINCT cell, metric, machine, run_id, created_utc, change, low, high, is_ratio,
            is_worse, is_confirmed, votes
        FROM {STORED}.found_steps
        """,
    ),
    View(
        "blessings",
        "One step that was accepted: a line of the file beside the index.",
        {
            "id": "of the blessing",
            "cell": "whose",
            "metric": "of it",
            "machine": "on which",
            "run_id": "the first run behind the step",
            "reason": "why it was accepted",
            "date": "when, UTC",
            "commit": "that was said with it; null: none",
        },
    ),
)
