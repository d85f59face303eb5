"""What speaks against a run's numbers, and what of it was not measured and why. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.report.explained import record_name
from harness.report.fitted import fit_table
from harness.report.grid import KNOWN, VARIES, Column
from harness.report.numbers import counted
from harness.report.page.results import FAILED, MARKS
from harness.report.page.runs import Refused, Run
from harness.report.page.table import Cell, Table, definition_of, page_table
from harness.report.trust_table import COLUMNS, Judged, judged_of
from harness.results.enums import EnergyKind, Grade, Status
from harness.results.progress import progress_sentence
from harness.results.schema import Record
from harness.results.validity import is_valid

NOT_LOST = "Everything that was asked for was measured."


@dataclass(frozen=True, slots=True)
class Doubt:
    """One reason for grades below A.

    Attributes:
        run: what its run is called.
        code: of the reason.
        records: how many it is in.
        measured: how many records there are.
        grades: that it stands in.
        detail: the sentence of the record with the worst grade, the first of several.
        meaning: of the code.
    """

    run: str
    code: str
    records: int
    measured: int
    grades: tuple[str, ...]
    detail: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Lack:
    """Something that has no number.

    Attributes:
        run: what its run is called.
        what: a record, a part of a run or a file.
        how: a status, or what is the matter with it in a word.
        why: the reason, and what to try.
    """

    run: str
    what: str
    how: str
    why: str


@dataclass(frozen=True, slots=True)
class Graded:
    """One record of a run, and what its grade is taken from."""

    run: str
    judged: Judged


def grade_sentence(runs: Sequence[Run]) -> str:
    """How many records have which grade."""
    grades = [
        record.trust.grade
        for run in runs
        for record in run.document.records
        if record.trust and record.status == Status.OK
    ]
    told = [f"{grades.count(grade)} {grade}" for grade in Grade if grade in grades]
    if not told:
        return "Nothing was measured, so nothing is graded."
    return f"Of {counted(len(grades), 'measured records')}: {', '.join(told)}."


def doubts_table(runs: Sequence[Run]) -> Table | None:
    """What was wrong, reason by reason, the most frequent first; None: nothing was."""
    doubts = sorted(_doubts(runs), key=lambda doubt: -doubt.records)
    if not doubts:
        return None
    return page_table(
        "doubts",
        "What keeps records from grade A",
        DOUBT_COLUMNS,
        doubts,
        cells={"worst case": _words, "what it means": _words},
        definitions=dict.fromkeys(("run", "reason", "records", "worst case", "what it means"), ""),
    )


def grades_table(runs: Sequence[Run]) -> Table | None:
    """Every measured record with what its grade is taken from; None: there is none."""
    rows = [
        Graded(run.label, judged_of(record))
        for run in runs
        for record in run.document.records
        if record.trust
    ]
    if not rows:
        return None
    return page_table(
        "grades",
        "Every record's grade",
        GRADE_COLUMNS,
        rows,
        choices=("run", "trust"),
        cells={"trust": _grade, "reasons": _words},
        definitions=GRADE_WORDS,
    )


def lacks_table(runs: Sequence[Run], refused: Sequence[Refused]) -> Table | None:
    """What has no number and why; None: nothing is missing."""
    lacks = [*_refusals(refused), *(lack for run in runs for lack in _lacks(run))]
    if not lacks:
        return None
    return page_table(
        "lacks",
        "What was not measured, and why",
        LACK_COLUMNS,
        lacks,
        cells={"why": _words, "how": lambda _, cell: Cell(cell.text, cell.key, FAILED)},
        definitions=dict.fromkeys(("run", "what", "how", "why"), ""),
    )


def fit_of(run: Run, number: int) -> Table | None:
    """What every candidate of a fit gives up; None: the run was no fit.

    Args:
        run: of the page.
        number: its place on the page.
    """
    columns, rows = fit_table(run.document)
    if not rows:
        return None
    headers = [column.header for column in columns]
    return page_table(
        f"fit-{number}",
        "What every candidate gives up",
        columns,
        rows,
        row_head="level",
        cells={"gives up": _words},
        definitions={name: "" for name in headers if not definition_of(name)},
    )


def unasked(run: Run) -> tuple[str, ...]:
    """What the run was not asked for, and could have been, with the flag."""
    records = [record for record in run.document.records if record.status == Status.OK]
    lines = []
    if records and not any(record.quality for record in records):
        lines.append("quality: not asked for (--quality)")
    if records and not any(record.sustain for record in records):
        lines.append("speed over minutes without a rest: not asked for (--sustain 10m)")
    if records and not any(record.profile for record in records):
        lines.append("time per operator: not asked for (--profile)")
    reasons = dict.fromkeys(
        f"energy: {record.energy.reason}"
        for record in records
        if record.energy and record.energy.kind is EnergyKind.UNAVAILABLE and record.energy.reason
    )
    return (*lines, *reasons)


def _doubts(runs: Sequence[Run]) -> Iterator[Doubt]:
    """Yield every reason of every run."""
    for run in runs:
        graded = [record for record in run.document.records if record.trust]
        codes = dict.fromkeys(
            reason.code for record in graded if record.trust for reason in record.trust.reasons
        )
        for code in codes:
            found = [(record, detail) for record in graded if (detail := _detail(record, code))]
            worst, detail = max(found, key=lambda pair: _rank(pair[0]))
            grades = {record.trust.grade for record, _ in found if record.trust}
            yield Doubt(
                run=run.label,
                code=code,
                records=len(found),
                measured=len(graded),
                grades=tuple(grade for grade in Grade if grade in grades),
                detail=f"{record_name(worst)}: {detail}",
                meaning=definition_of(code),
            )


def _detail(record: Record, code: str) -> str:
    """What a reason says of a record; empty: it does not have it."""
    reasons = record.trust.reasons if record.trust else ()
    return next((reason.detail or reason.code for reason in reasons if reason.code == code), "")


def _rank(record: Record) -> int:
    """How bad a grade is."""
    return list(Grade).index(record.trust.grade) if record.trust else 0


def _refusals(refused: Sequence[Refused]) -> Iterator[Lack]:
    """Yield the files that were not read."""
    for one in refused:
        yield Lack("", one.name, "not read", f"{one.problem}; try: {one.fix}")


def _lacks(run: Run) -> Iterator[Lack]:
    """Yield what a run lacks: its end, records, numbers that may not be shown, quality, peaks."""
    document = run.document
    for told in run.source.told:
        yield Lack(run.label, run.source.name, "damaged", told)
    if line := progress_sentence(document):
        yield Lack(run.label, "the run", "not whole", line)
    for record in document.records:
        yield from _lacks_of(run.label, record)
    machine = document.environment
    for threads, reason in machine.read_bandwidth_failures.items():
        yield Lack(run.label, f"read bandwidth, {threads} threads", "failed", reason)
    for failure in machine.calibration_failures:
        what = f"calibration of {failure.device}, {failure.threads} threads"
        yield Lack(run.label, what, "failed", failure.reason)


def _lacks_of(run: str, record: Record) -> Iterator[Lack]:
    """Yield what a record lacks."""
    name = record_name(record)
    if record.status != Status.OK:
        yield Lack(run, name, record.status.replace("_", " "), _one(record.reason or ""))
    elif not is_valid(record) and record.trust:
        told = "; ".join(f"{one.code}: {one.detail}" for one in record.trust.reasons)
        yield Lack(run, name, Grade.INVALID, f"measured, and not shown: {told}")
    if record.quality and record.quality.reason is not None:
        yield Lack(run, name, "no quality", _one(record.quality.reason))
    if record.profile and record.profile.reason is not None:
        yield Lack(run, name, "no profile", _one(record.profile.reason))
    if record.sustain and record.sustain.reason is not None:
        yield Lack(run, name, "not sustained", _one(record.sustain.reason))


def _one(text: str) -> str:
    """A reason of several lines in one."""
    return "; ".join(line.strip() for line in text.splitlines() if line.strip())


def _words(_: object, cell: Cell) -> Cell:
    """A cell of words, which goes over several lines."""
    return Cell(cell.text, cell.key, "words")


def _grade(_: object, cell: Cell) -> Cell:
    """A grade in its colour."""
    grade = Grade(cell.text)
    return Cell(cell.text, list(Grade).index(grade), MARKS[grade])


def _of_judged(column: Column[Judged]) -> Column[Graded]:
    """The same column over records of several runs."""
    header = column.header.replace("\n", " ")
    return Column(header, lambda row: column.value(row.judged), column.draw, column.shown)


DOUBT_COLUMNS: tuple[Column[Doubt], ...] = (
    Column("reason", lambda doubt: doubt.code),
    Column("run", lambda doubt: doubt.run, shown=VARIES),
    Column("records", lambda doubt: f"{doubt.records} of {doubt.measured}"),
    Column("grades", lambda doubt: ", ".join(doubt.grades)),
    Column("worst case", lambda doubt: doubt.detail),
    Column("what it means", lambda doubt: doubt.meaning or None, shown=KNOWN),
)
GRADE_COLUMNS: tuple[Column[Graded], ...] = (
    Column("run", lambda row: row.run, shown=VARIES),
    *map(_of_judged, COLUMNS),
    Column("reasons", lambda row: "; ".join(row.judged.reasons) or None, shown=KNOWN),
)
GRADE_WORDS = {
    "run": "",
    "record": "",
    "trust": "How far the record can be believed: A, B, C, or INVALID, which is not shown at all.",
    "processes": "Fresh processes that measured it.",
    "widest ±": "Half-width of the widest 95 % interval of what the record is graded by.",
    "background CPU worst process": "Processor time that other programs used beside the process"
    " with the most of it.",
    "steal worst process": "Processor time that a hypervisor took, of the process with the most.",
    "not steady": "Processes that were not steady when timing began.",
    "reasons": "",
}
LACK_COLUMNS: tuple[Column[Lack], ...] = (
    Column("what", lambda lack: lack.what),
    Column("run", lambda lack: lack.run or None, shown=VARIES),
    Column("how", lambda lack: lack.how),
    Column("why", lambda lack: lack.why),
)
