"""What `bench fit` found: the choice in a sentence, what every candidate gives up, the command.

All of it from the document, so that a stored one is drawn alike. Pure.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from msgspec import UNSET

from harness.report.grid import Column, bullets, draw_columns, draw_records, json_text, prose
from harness.report.numbers import counted, percent, ratio
from harness.report.required import amount, interval, requirements_of
from harness.results.enums import Outcome
from harness.results.fitted import Fitted, FittedCandidate, FittedLine
from harness.results.identity import field_word
from harness.results.judged import CHANCE
from harness.results.metrics import rate_of_kind
from harness.results.requirement import Requirement
from harness.results.schema import Cell, Document, Record, kind_of
from harness.runner.fitting.choice import PREFERENCES
from harness.runner.fitting.estimated import ESTIMATE

AXES = (
    "model",
    "level",
    "kv_cache",
    "device",
    "runtime",
    "prepack",
    "capacity",
    "batch",
    "threads",
)
NO_MORE = {
    "rounds": "the most rounds are used up (--max-rounds)",
    "budget": "the budget is used up",
    "interrupt": "it was interrupted",
    "decided": "no more rounds would tell more",
}
BESIDE = ("peak_rss_bytes",)  # what is told of one that was not chosen, besides its rate and loss


@dataclass(frozen=True, slots=True)
class FitRow:
    """One candidate as the table shows it.

    Attributes:
        found: what the document holds.
        record: its first record.
        choice: what the document holds of the choice, and its record; None: there is none.
        is_chosen: it is the choice.
    """

    found: FittedCandidate
    record: Record
    choice: tuple[FittedCandidate, Record] | None
    is_chosen: bool

    @property
    def cell(self) -> Cell:
        """Of its first record."""
        return self.record.cell

    @property
    def is_estimated(self) -> bool:
        """Whether nothing of it was measured."""
        return any(line.basis == ESTIMATE for line in self.found.lines)

    @property
    def name(self) -> str:
        """Model, level and threads."""
        threads = counted(self.cell.threads, "threads")
        return f"{self.cell.model} {self.cell.level} with {threads}"

    def worst(self, text: str) -> FittedLine | None:
        """The line of a requirement that is furthest from MET, of all its tests."""
        mine = [line for line in self.found.lines if line.requirement == text]
        order = (Outcome.NOT_MET, Outcome.INCONCLUSIVE, Outcome.MET)
        return min(mine, key=lambda line: order.index(line.outcome), default=None)


def draw_fit(document: Document, style: str, command: str = "") -> str:
    """Draw what a fit found; empty for a document of anything else. No line feed at the end.

    Args:
        document: of `bench fit`.
        style: `table` or `md`, for people; `json`; `csv` and `jsonl` have a line a requirement.
        command: that runs the choice, with its paths; empty: as the document holds it.
    """
    fit = document.plan.fit
    if fit is UNSET:
        return ""
    rows, asked = _rows(document, fit), requirements_of(document)
    if style == "json":
        return json_text(_whole(fit, rows, asked), indent=1, ensure_ascii=False)
    if style in ("csv", "jsonl"):
        records = [value for row in rows for value in _values(row)]
        return draw_records(records, style) if records else ""
    command = command or fit.command
    code = f"```\n{command}\n```" if style == "md" else command
    parts = [
        prose(sentence(fit, rows, asked), style),
        draw_columns(_columns(asked), rows, style),
        bullets(_notes(fit, rows), style),
        code if command else "",
    ]
    return "\n\n".join(part for part in parts if part)


def fit_table(document: Document) -> tuple[tuple[Column[FitRow], ...], list[FitRow]]:
    """Every candidate with what it gives up: columns and rows; no rows of any other run."""
    fit = document.plan.fit
    if fit is UNSET:
        return (), []
    return _columns(requirements_of(document)), _rows(document, fit)


def fit_sentence(document: Document) -> str:
    """The choice of a fit and why, in one line; empty for a document of anything else."""
    fit = document.plan.fit
    if fit is UNSET:
        return ""
    return sentence(fit, _rows(document, fit), requirements_of(document))


def sentence(fit: Fitted, rows: Sequence[FitRow], asked: Sequence[Requirement]) -> str:
    """The choice and why, or why there is none."""
    wanted = ", ".join(one.text for one in asked)
    chosen = next((row for row in rows if row.is_chosen), None)
    if chosen is None:
        return (
            f"none of {counted(len(rows), 'candidates')} is shown to meet {wanted}: {_rest(rows)}"
        )
    met = [row for row in rows if row.found.outcome is Outcome.MET and not row.is_chosen]
    why = "the only one that does"
    if met:
        reason = PREFERENCES[fit.prefer].reason([chosen.record], [[row.record] for row in met])
        why = f"of {len(met) + 1} that do, the one {reason}"
    confirmed = {line.basis for line in chosen.found.confirmation if "process" in line.basis}
    again = f", confirmed in {'; '.join(sorted(confirmed))} anew" if confirmed else ""
    return f"{chosen.name} meets {wanted}: {why}{again} ({_rest(rows)})"


def _rest(rows: Sequence[FitRow]) -> str:
    """How many candidates came out how."""
    counts = Counter(
        f"{row.found.outcome} by estimate" if row.is_estimated else str(row.found.outcome)
        for row in rows
    )
    order = ("MET", "NOT_MET", "NOT_MET by estimate", "INCONCLUSIVE")
    return ", ".join(f"{counts[word]} {word}" for word in order if counts[word])


def _columns(asked: Sequence[Requirement]) -> tuple[Column[FitRow], ...]:
    """The axes that vary, each requirement, and what is given up."""
    axes = (_axis(name) for name in AXES)
    return (
        *axes,
        Column("verdict", lambda row: "chosen" if row.is_chosen else _verdict(row)),
        *(_limit(one) for one in asked),
        Column("processes", lambda row: row.found.rounds or None),
        Column("gives up", lambda row: _given_up(row, asked) or None),
    )


def _axis(name: str) -> Column[FitRow]:
    shown = "always" if name == "level" else "varies"
    return Column(name.replace("_", " "), lambda row: field_word(row.cell, name), shown=shown)


def _limit(one: Requirement) -> Column[FitRow]:
    return Column(one.text, lambda row: _line_words(one, row.worst(one.text)))


def _line_words(one: Requirement, line: FittedLine | None) -> str | None:
    """The value of a requirement, and its outcome where that is not MET."""
    if line is None:
        return None
    marks = {Outcome.MET: "", Outcome.NOT_MET: " NOT_MET", Outcome.INCONCLUSIVE: " ?"}
    if line.value is None:
        return None
    about = "~" if line.basis == ESTIMATE else ""
    return f"{about}{amount(one, line.value)}{marks[line.outcome]}"


def _verdict(row: FitRow) -> str:
    return f"{row.found.outcome}{' by estimate' if row.is_estimated else ''}"


def _given_up(row: FitRow, asked: Sequence[Requirement]) -> str:
    """What keeps a candidate from being the choice, or what it is beside it."""
    if row.is_chosen:
        return ""
    for one in asked:
        line = row.worst(one.text)
        if line is not None and line.outcome is Outcome.NOT_MET and line.value is not None:
            return f"{one.name}: {_off(one, line)}"
    for one in asked:
        line = row.worst(one.text)
        if line is not None and line.outcome is Outcome.INCONCLUSIVE:
            return f"{one.name}: {line.why}{interval(one, line.low, line.high)}"
    contrary = [line for line in row.found.confirmation if line.outcome is not Outcome.MET]
    if contrary:
        return f"not confirmed: {', '.join(line.requirement for line in contrary)}"
    return ", ".join(_beside(row, asked))


def _off(one: Requirement, line: FittedLine) -> str:
    """How far a value is beyond its limit."""
    assert line.value is not None
    if line.basis == ESTIMATE:
        return f"estimated {interval(one, line.low, line.high).strip(' ()')}"
    if not one.metric.is_ratio or not line.value:
        return f"{amount(one, line.value)} of {amount(one, one.limit)}"
    return f"{percent(abs(line.value / one.limit - 1))} beyond{interval(one, line.low, line.high)}"


def _beside(row: FitRow, asked: Sequence[Requirement]) -> Iterator[str]:
    """Yield how one that meets all compares with the choice, by what the table shows of both."""
    if row.choice is None:
        return
    sides = (row.found, row.record), row.choice
    rate = rate_of_kind(kind_of(row.cell)).name
    for name in (rate, *BESIDE):
        mine, other = (_shown(*side, name, asked) for side in sides)
        if mine and other:
            yield f"{ratio(mine / other)} times the {name.partition('_')[0]}"
    mine, other = (_value(record, "kld_nats") for _, record in sides)
    if mine is not None and other is not None:
        yield f"KLD {mine - other:+.4f} nats"
    else:
        mine, other = (_value(record, "bits_per_weight") for _, record in sides)
        if mine is not None and other is not None and mine != other:
            yield f"{mine:.3g} instead of {other:.3g} bits a weight"


def _shown(
    found: FittedCandidate, record: Record, name: str, asked: Sequence[Requirement]
) -> float | None:
    """A metric as its line has it, which stands in the table; where none is, as the record does."""
    texts = {one.text for one in asked if one.metric_name == name}
    values = (line.value for line in found.lines if line.requirement in texts)
    return next((value for value in values if value is not None), _value(record, name))


def _value(record: Record, name: str) -> float | None:
    found = record.metrics.get(name)
    return None if found is None else found.value


def _notes(fit: Fitted, rows: Sequence[FitRow]) -> list[str]:
    """How verdicts were made, and why some are none."""
    looks = ", ".join(map(str, fit.looks))
    lines = []
    if fit.lines:  # none: every candidate is out by its estimate, or by what is counted
        lines.append(
            f"MET and NOT_MET by the whole interval: any false one of {counted(fit.lines, 'lines')}"
            f" has a chance of {CHANCE:.0%} at most, looked at after {looks} processes (bench"
            " explain MET)"
        )
    if any(row.is_estimated for row in rows):
        lines.append("by estimate (~): not built, as its whole estimated range is beyond the limit")
    undecided = any(row.found.outcome is Outcome.INCONCLUSIVE for row in rows)
    if undecided:
        lines.append(f"?: INCONCLUSIVE; {NO_MORE[fit.ended]}")
    return lines


def _rows(document: Document, fit: Fitted) -> list[FitRow]:
    chosen = None if fit.chosen is None else fit.candidates[fit.chosen]
    choice = None if chosen is None else (chosen, document.records[chosen.record])
    return [
        FitRow(one, document.records[one.record], choice, place == fit.chosen)
        for place, one in enumerate(fit.candidates)
    ]


def _values(row: FitRow) -> Iterator[dict[str, Any]]:
    """Yield one table a requirement, for programs."""
    for line in row.found.lines:
        yield {
            **{name: getattr(row.cell, name) for name in AXES},
            "chosen": row.is_chosen,
            "candidate": str(row.found.outcome),
            "requirement": line.requirement,
            "workload": line.workload,
            "outcome": str(line.outcome),
            "value": line.value,
            "low": line.low,
            "high": line.high,
            "basis": line.basis,
            "why": line.why,
        }


def _whole(fit: Fitted, rows: Sequence[FitRow], asked: Sequence[Requirement]) -> dict[str, Any]:
    """All of it, for programs."""
    return {
        "sentence": sentence(fit, rows, asked),
        "command": fit.command or None,
        "chosen": fit.chosen,
        "prefer": fit.prefer,
        "lines": fit.lines,
        "looks": list(fit.looks),
        "ended": fit.ended,
        "candidates": [
            {
                **{name: getattr(row.cell, name) for name in AXES},
                "outcome": str(row.found.outcome),
                "processes": row.found.rounds,
                "gives_up": _given_up(row, asked),
                "requirements": list(_values(row)),
            }
            for row in rows
        ],
    }
