"""What a run answers, at the top of its page: what fits, what is fastest, what to ship. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.core.units import GIB, MIB
from harness.report.answers import DECODES, VERBS, answers
from harness.report.fitted import fit_sentence
from harness.report.numbers import three_digits
from harness.report.page.runs import Run, row_name
from harness.report.required import judged_document, required_lines
from harness.report.rows import Row, rate_of, shown_metric
from harness.report.sweep import recommendations
from harness.results.enums import Status
from harness.results.metrics import rate_of_kind
from harness.results.schema import Metric, kind_of
from harness.results.validity import is_real

FITS, FASTEST, SHIP = "What fits", "What is fastest", "What to ship"
NO_LEVEL = "No level is recommended"
MOST_NAMED = 3  # rows, models: the rest is counted
MOST_SENTENCES = 6  # of models, in one answer


@dataclass(frozen=True, slots=True)
class Answer:
    """One question and what is said to it.

    Attributes:
        question: in a few words.
        lead: the answer, short.
        sentences: why, and what else there is to say.
    """

    question: str
    lead: str
    sentences: tuple[str, ...]


def answers_of(run: Run) -> tuple[Answer, ...]:
    """What one run says to the three questions; each is answered, if only by why there is none."""
    return (_fits(run), _fastest(run), _ship(run))


def sentence_of(answers: Sequence[Answer]) -> str:
    """The three leads as one sentence."""
    fits, fastest, ship = (answer.lead for answer in answers)
    return f"{fits}; {fastest}; {ship[:1].lower()}{ship[1:]}."


def _answer(question: str, lead: str, sentences: Iterable[str]) -> Answer:
    """An answer with as many sentences as are read."""
    told = [line if line.endswith((".", "!", "?")) else f"{line}." for line in sentences]
    more = len(told) - MOST_SENTENCES
    end = [f"{more} more: see the table."] if more > 0 else []
    return Answer(question, lead, (*told[:MOST_SENTENCES], *end))


def _fits(run: Run) -> Answer:
    """What a fit chose, how limits are kept, and the largest peak beside the machine's memory."""
    chosen = fit_sentence(run.document)
    spilled = [
        f"{row_name(row, run.rows)} ran out of memory"
        for row in run.rows
        if any(record.status == Status.OUT_OF_MEMORY for record in row.records)
    ]
    lines = [chosen] if chosen else []
    lines += [*required_lines(judged_document(run.document)), *spilled]
    most = _most_memory(run)
    if most is None:
        return _answer(FITS, "Nothing says how much memory was taken", lines)
    size, of_machine, name = most
    if of_machine and not spilled:
        lead = f"All that ran fits: {size}{of_machine} at the most"
    else:
        lead = f"{'Not all of it fits: what ran' if spilled else 'What ran'} took at most {size}"
    if len(run.rows) > 1:
        lines.append(f"{name} takes the most memory: {size}, the whole process counted")
    return _answer(FITS, lead, lines)


def _most_memory(run: Run) -> tuple[str, str, str] | None:
    """The largest peak, of how much memory, and whose; None: no peak is known."""
    peaks = [(row.largest_shown("peak_rss_bytes") or 0.0, row) for row in run.rows]
    most, row = max(peaks, key=lambda pair: pair[0], default=(0.0, None))
    if row is None or not most:
        return None
    machine = run.document.environment
    limits = (machine.memory_bytes, machine.container_memory_bytes)
    memory = min((limit for limit in limits if limit), default=None)
    of_machine = "" if memory is None else f" of {memory / GIB:.1f} GiB"
    return f"{three_digits(most / MIB)} MiB", of_machine, row_name(row, run.rows)


def _fastest(run: Run) -> Answer:
    """The fastest row of each model by each rate, and how it compares with the first level."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in run.rows:
        if row.judged is not None and is_real(row.judged):
            rate = rate_of_kind(kind_of(row.judged.cell)).name
            groups.setdefault((rate, row.cell.model), []).append(row)
    if not groups:
        return _answer(FASTEST, "nothing was measured whose speed counts", ())
    best = [max(rows, key=_center) for rows in groups.values()]
    first = max((row for row in best if _verb(row) == _verb(best[0])), key=_center)
    lines = [
        _doubt(row, rows, f"{row_name(row, run.rows)}: " if len(best) > 1 else "")
        for row, rows in zip(best, groups.values(), strict=True)
    ]
    return _answer(FASTEST, _lead(first, run), [*lines, *answers(run.document, run.rows)])


def _lead(row: Row, run: Run) -> str:
    """The fastest of all, with its rate."""
    word = "fastest" if len(run.rows) > 1 else "at"
    rate = f"{three_digits(_center(row))} {_unit(row)}"
    name = row_name(row, run.rows)
    return f"{name} {_verb(row)} {word}{':' if len(run.rows) > 1 else ''} {rate}"


def _doubt(best: Row, rows: Sequence[Row], name: str) -> str:
    """The interval of the highest rate, and how many rows it is not told apart from."""
    metric = _rate(best)
    value = f"{name}{three_digits(_center(best))} {_unit(best)}" if name else ""
    if metric is None or metric.low is None or metric.high is None:
        return f"{value or 'The rate'} has no interval: one process measured it"
    ends = f"{three_digits(metric.low)} to {three_digits(metric.high)}"
    told = f"{value} ({ends})" if name else f"95 % interval {ends} {_unit(best)}"
    near = [row_name(row, rows) for row in rows if row is not best and _may_be_as_fast(row, best)]
    if len(near) > MOST_NAMED:
        return f"{told}; not told apart from {len(near)} of the {len(rows) - 1} others"
    return f"{told}; not told apart from {', '.join(near)}" if near else told


def _may_be_as_fast(row: Row, best: Row) -> bool:
    """Whether the interval of a row reaches that of the fastest."""
    mine, other = _rate(row), _rate(best)
    if mine is None or other is None or mine.high is None or other.low is None:
        return False
    return mine.high >= other.low


def _ship(run: Run) -> Answer:
    """Which level to ship of each model that has several, or why nothing is recommended."""
    found = list(recommendations(run.rows))
    if not found:
        if len({row.cell.level for row in run.rows}) < 2:
            return _answer(SHIP, "There is no second level to choose from", ())
        why = "What each level loses was not measured: --quality does it"
        return _answer(SHIP, NO_LEVEL, (why,))
    shipped = [one for one in found if one.level]
    models = len({row.cell.model for row in run.rows})
    names = [one.level if models == 1 else f"{one.level} of {one.name}" for one in shipped]
    more = len(names) - MOST_NAMED
    listed = ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
    lead = f"Ship {listed}" if shipped else NO_LEVEL
    reasons = [one.reason if len(found) == 1 else one.line for one in found]
    return _answer(SHIP, lead, [f"{line[:1].upper()}{line[1:]}" for line in reasons])


def _verb(row: Row) -> str:
    """What a row does at its rate."""
    return DECODES if row.judged is None else VERBS.get(kind_of(row.judged.cell), DECODES)


def _unit(row: Row) -> str:
    """Of its rate."""
    metric = _rate(row)
    return "" if metric is None else metric.unit


def _rate(row: Row) -> Metric | None:
    """The rate that a row is judged by, with its interval."""
    record = row.judged
    if record is None:
        return None
    return shown_metric(record, rate_of_kind(kind_of(record.cell)).name)


def _center(row: Row) -> float:
    """The rate alone; 0 without one."""
    return (rate_of(row.judged) if row.judged is not None else None) or 0.0
