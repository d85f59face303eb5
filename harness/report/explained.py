"""A record's estimate as the sum it is: every term of every pass, beside what was measured."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.core.errors import UsageError
from harness.core.units import MIB
from harness.report.columns import percent, three_digits, two_decimals
from harness.report.grid import MISSING, draw_rows
from harness.report.placed import draw_place, has_place, place_values
from harness.report.rows import shown
from harness.results.metric_row import Source
from harness.results.metrics import METRICS, of_source
from harness.results.schema import Document, Record

HEADER = ("pass", "term", "kernel", "read MiB", "Gflop", "calls", "ms", "share", "bound")
# pass -> the metric that measures it
MEASURED_BY = {row.times_pass: row.name for row in METRICS if row.times_pass}

Json = Mapping[str, Any]


def explain_document(document: Document, wanted: str | None, style: str) -> str:
    """Draw the sum behind the estimates of a document's records.

    Args:
        document: one run.
        wanted: a record's number, from 1, or words that all stand in its name, such as
            `int4 tg32`; None: every record.
        style: `table`, `md` or `json`.

    Raises:
        UsageError: no record is meant, or none has an estimate that is a sum.
    """
    chosen = [
        record
        for number, record in enumerate(document.records, 1)
        if _is_meant(wanted, number, record)
    ]
    if not chosen:
        raise UsageError(
            f"no record of {document.run_id} is called {wanted!r}",
            fix=f"a number from 1 to {len(document.records)}, or words of a name such as "
            + record_name(document.records[0])
            if document.records
            else "a results file with records",
        )
    explained = [record for record in chosen if record.explanation or has_place(record)]
    if not explained:
        raise UsageError(
            "these records hold no estimate that is a sum of terms, and no profile",
            fix="measure them with this version: bench run",
        )
    if style == "json":
        table = [
            {"record": record_name(r), **(r.explanation or {}), **place_values(r)}
            for r in explained
        ]
        return json.dumps(table, indent=1)
    return "\n\n".join(explain_record(record, style) for record in explained)


def explain_record(record: Record, style: str) -> str:
    """Draw one record: the sum behind its estimate, then where its nodes ran and its time went."""
    parts = [_explain_sum(record, style)] if record.explanation else [record_name(record)]
    return "\n".join(parts + [draw_place(record, style)] * has_place(record))


def _explain_sum(record: Record, style: str) -> str:
    """Draw an explanation: its passes, its memory, what dominates."""
    found: Json = record.explanation or {}
    rows = [row for part in found["passes"] for row in _pass_rows(part)]
    rows += _memory_rows(found["memory"])
    lines = [f"{record_name(record)}: {found['estimator']}: {found['basis']}"]
    lines += [_verdict(record, part) for part in found["passes"]]
    lines += [_memory_verdict(record, found["memory"])]
    lines += _utilisation(record)
    return "\n".join(lines) + "\n\n" + draw_rows(HEADER, rows, style)


def record_name(record: Record) -> str:
    """`smollm2-135m int4 tg32 @ d0 2 threads`; with a batch above one, and a cache of its own."""
    cell = record.cell
    threads = f"{cell.threads} thread{'' if cell.threads == 1 else 's'}"
    batch = "" if cell.batch == 1 else f" batch {cell.batch}"
    cache = "" if cell.has_own_cache else f" kv {cell.kv_cache}"
    return f"{cell.model} {cell.level}{cache} {cell.workload} {threads}{batch}"


def _is_meant(wanted: str | None, number: int, record: Record) -> bool:
    """Whether a record is asked for."""
    if wanted is None:
        return True
    if wanted.isdecimal():
        return int(wanted) == number
    return set(wanted.split()) <= set(record_name(record).split())


def _pass_rows(part: Json) -> Iterator[list[str]]:
    """Yield one row per term of a pass, and their sum."""
    for term in part["terms"]:
        yield [
            part["pass"],
            term["term"],
            term["kernel"],
            _amount(term["read_bytes"] / MIB),
            _amount(term["flop"] / 1e9),
            _amount(term["calls"]),
            three_digits(term["seconds"] * 1e3),
            percent(term["seconds"] / part["seconds"]),
            term["bound"],
        ]
    total = three_digits(part["seconds"] * 1e3)
    yield [part["pass"], "sum", *[MISSING] * 4, total, percent(1.0), part["bound"]]


def _memory_rows(parts: Sequence[Json]) -> Iterator[list[str]]:
    """Yield one row per part of the memory, and their sum; none where nothing is estimated."""
    if not parts:
        return
    total = sum(part["bytes"] for part in parts)
    for part in (*parts, {"part": "sum", "bytes": total}):
        share = percent(part["bytes"] / total)
        size = _amount(part["bytes"] / MIB)
        yield ["memory", part["part"], MISSING, size, *[MISSING] * 3, share, MISSING]


def _verdict(record: Record, part: Json) -> str:
    """Say what a pass was estimated to take and took, and what most of it goes to."""
    largest = max(part["terms"], key=lambda term: float(term["seconds"]))
    estimate_ms, measured_ms = part["seconds"] * 1e3, shown(record, MEASURED_BY[part["pass"]])
    text = f"{part['pass']}: estimated {three_digits(estimate_ms)} ms"
    if not part["complete"]:
        text += " at least (no compute peak is known)"
    if measured_ms is not None:
        ratio = two_decimals(measured_ms / estimate_ms)
        text += f", measured {three_digits(measured_ms)} ms (meas/est {ratio})"
    return f"{text}; {part['bound']}-bound, most of it {largest['term']} ({largest['bound']})"


def _memory_verdict(record: Record, parts: Sequence[Json]) -> str:
    """Say what memory was estimated and measured."""
    estimate = sum(part["bytes"] for part in parts)
    text = (
        f"memory: estimated {three_digits(estimate / MIB)} MiB" if parts else "memory: no estimate"
    )
    measured = shown(record, "peak_rss_bytes")
    if measured is not None and parts:
        ratio = two_decimals(measured / estimate)
        text += f", measured {three_digits(measured / MIB)} MiB (meas/est {ratio})"
    return text


def _utilisation(record: Record) -> list[str]:
    """Say which share of the measured hardware peaks was reached, where it is known."""
    found = [
        f"{row.column} {percent(value)}"
        for row in of_source(Source.PEAKS)
        if (value := shown(record, row.name)) is not None
    ]
    return [", ".join(found) + " of the hardware peaks measured here"] if found else []


def _amount(value: float) -> str:
    """Draw what a term has to do; a term that has none of it shows a dash."""
    return three_digits(value) if value else MISSING
