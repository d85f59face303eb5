"""One record explained: its estimate as the sum it is, and where its nodes and its time went."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from msgspec import to_builtins
from msgspec.structs import asdict

from harness.core.errors import UsageError
from harness.core.units import MIB
from harness.report.grid import Column, draw_columns, json_text, prose, short
from harness.report.numbers import percent, rounded, three_digits, two_decimals
from harness.report.rows import shown
from harness.results.enums import Prepack
from harness.results.explanation import EstimatedPass, MemoryPart
from harness.results.metric_row import Source
from harness.results.metrics import metric_of_pass, of_source
from harness.results.replies import Placement, Profile
from harness.results.schema import Document, Record

HOST = "cpu"
GFLOP = 1e9

Term = Mapping[str, Any]  # of a pass or of the memory; an operator of a profile


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
        if is_meant(wanted, number, record)
    ]
    if not chosen:
        raise UsageError(
            f"no record of {document.run_id} is called {wanted!r}"
            if document.records
            else f"{document.run_id} holds no record",
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
            {"record": record_name(r), **to_builtins(r.explanation or {}), **place_values(r)}
            for r in explained
        ]
        return json_text(table, indent=1)
    return "\n\n".join(explain_record(record, style) for record in explained)


def explain_record(record: Record, style: str) -> str:
    """Draw one record: the sum behind its estimate, then where its nodes ran and its time went."""
    name = prose(short(record_name(record)), style)
    parts = [_explain_sum(record, style)] if record.explanation else [name]
    return "\n".join(parts + [draw_place(record, style)] * has_place(record))


def _explain_sum(record: Record, style: str) -> str:
    """Draw an explanation: its passes, its memory, what dominates."""
    found = record.explanation
    assert found is not None
    terms = [term for part in found.passes for term in _pass_terms(part)]
    terms += _memory_terms(found.memory)
    lines = [f"{record_name(record)}: {found.estimator}: {found.basis}"]
    lines += [_verdict(record, part) for part in found.passes]
    lines += [_memory_verdict(record, found.memory)]
    lines += _utilisation(record)
    told = "\n".join(prose(short(line), style) for line in lines)
    return f"{told}\n\n{draw_columns(TERM_COLUMNS, terms, style)}"


def record_name(record: Record) -> str:
    """`smollm2-135m int4 tg32 @ d0 2 threads`; with what is not the usual thing."""
    cell = record.cell
    threads = f"{cell.threads} thread{'' if cell.threads == 1 else 's'}"
    batch = "" if cell.batch == 1 else f" batch {cell.batch}"
    cache = "" if cell.has_own_cache else f" kv {cell.kv_cache}"
    packed = "" if cell.prepack == Prepack.OFF else f" prepack {cell.prepack}"
    room = f" capacity {cell.capacity}" if cell.capacity else ""
    return f"{cell.model} {cell.level}{cache}{packed} {cell.workload} {threads}{batch}{room}"


def is_meant(wanted: str | None, number: int, record: Record) -> bool:
    """Whether a record is asked for."""
    if wanted is None:
        return True
    if wanted.isdecimal():
        return wanted.lstrip("0") == str(number)
    return set(wanted.split()) <= set(record_name(record).split())


def _pass_terms(part: EstimatedPass) -> Iterator[Term]:
    """Yield one row per term of a pass, and their sum."""
    for term in part.terms:
        share = term.seconds / part.seconds
        yield {**to_builtins(term), "pass": part.pass_name, "share": share}
    yield {**to_builtins(part), "term": "sum", "share": 1.0}


def _memory_terms(parts: Sequence[MemoryPart]) -> Iterator[Term]:
    """Yield one row per part of the memory, and their sum; none where nothing is estimated."""
    if not parts:
        return
    total = sum(part.bytes for part in parts)
    for part in (*parts, MemoryPart(part="sum", bytes=total)):
        share = part.bytes / total if total else 0.0
        yield {"pass": "memory", "term": part.part, "read_bytes": part.bytes, "share": share}


def _verdict(record: Record, part: EstimatedPass) -> str:
    """Say what a pass was estimated to take and took, and what most of it goes to."""
    largest = max(part.terms, key=lambda term: term.seconds, default=None)
    estimate_ms, measured_ms = part.seconds * 1e3, _measured_ms(record, part.pass_name)
    text = f"{part.pass_name}: estimated {three_digits(estimate_ms)} ms"
    if not part.complete:
        text += " at least (no compute peak is known)"
    if part.as_calibrated_seconds is not None:
        text += f" ({three_digits(part.as_calibrated_seconds * 1e3)} without the drift)"
    if measured_ms is not None:
        ratio = two_decimals(measured_ms / estimate_ms)
        text += f", measured {three_digits(measured_ms)} ms (meas/est {ratio})"
    text = f"{text}; {part.bound}-bound"
    return text if largest is None else f"{text}, most of it {largest.term} ({largest.bound})"


def _measured_ms(record: Record, pass_name: str) -> float | None:
    """What a pass took; None: that is not known, or this version knows no such pass."""
    try:
        return shown(record, metric_of_pass(pass_name).name)
    except KeyError:
        return None


def _memory_verdict(record: Record, parts: Sequence[MemoryPart]) -> str:
    """Say what memory was estimated and measured."""
    estimate = sum(part.bytes for part in parts)
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


def has_place(record: Record) -> bool:
    """Whether there is more to say than that the processor ran it all."""
    return bool(record.profile) or (record.placement is not None and record.cell.device != HOST)


def draw_place(record: Record, style: str) -> str:
    """Draw the placement in a line; under it the profile, if one was taken.

    Args:
        record: one that has_place.
        style: `table` or `md`.
    """
    lines = [_placement(record.placement)] if record.placement is not None else []
    lines += [] if record.profile is None else [_profile(record.profile)]
    told = "\n".join(prose(short(line), style) for line in lines)
    if record.profile is None or record.profile.reason is not None:
        return told
    table = draw_columns(OPERATOR_COLUMNS, to_builtins(record.profile.operators), style)
    return f"{told}\n\n{table}"


def place_values(record: Record) -> dict[str, Any]:
    """The same as values: `placement` and `profile`, null where unknown."""
    placement = None if record.placement is None else asdict(record.placement)
    profile = None if record.profile is None else to_builtins(record.profile)
    return {"placement": placement, "profile": profile}


def _profile(profile: Profile) -> str:
    """Where the time went, by provider; or why that is not known."""
    if profile.reason is not None:
        return f"no profile: {profile.reason}"
    shares = (f"{one.provider} {percent(one.share)}" for one in profile.providers)
    return f"profile, share of the time: {', '.join(shares)}"


def _placement(placement: Placement) -> str:
    """Verdict, nodes per provider, changes of provider, and what fell off by operator."""
    nodes = ", ".join(
        f"{name} {count} nodes ({placement.compute_nodes.get(name, 0)} compute)"
        for name, count in placement.nodes.items()
    )
    text = f"placement {placement.verdict}: {nodes or 'no node recorded'}"
    if placement.switches is not None:
        text += f"; {placement.switches} switches"
    if placement.fell_off:
        text += "; left to others: " + ", ".join(
            f"{count} {name}" for name, count in placement.fell_off.items()
        )
    return text


def _scaled(key: str, scale: float) -> Callable[[Term], float | None]:
    """Return what reads an amount in another unit; None where a term has none of it."""
    return lambda term: (term.get(key) or 0.0) / scale or None


TERM_COLUMNS: tuple[Column[Term], ...] = (
    Column("pass", lambda term: term["pass"]),
    Column("term", lambda term: term["term"]),
    Column("kernel", lambda term: term.get("kernel"), leaves=1),
    Column("read MiB", _scaled("read_bytes", MIB), rounded),
    Column("Gflop", _scaled("flop", GFLOP), rounded, leaves=2),
    Column("calls", _scaled("calls", 1), rounded, leaves=3),
    Column("ms", lambda term: term.get("seconds"), lambda seconds: rounded(seconds * 1e3)),
    Column("share", lambda term: term["share"], percent),
    Column("bound", lambda term: term.get("bound")),
)
OPERATOR_COLUMNS: tuple[Column[Term], ...] = (
    Column("provider", lambda operator: operator["provider"]),
    Column("operator", lambda operator: operator["operator"]),
    Column("calls", lambda operator: operator["calls"]),
    Column("share", lambda operator: operator["share"], percent),
)
