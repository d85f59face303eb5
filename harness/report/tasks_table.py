"""What each level answers of questions with choices, one table a model. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from harness.analysis.answers import standings
from harness.report.grid import Column, draw_columns, prose
from harness.report.numbers import percent, three_significant
from harness.results.quality import Quality, TaskScores
from harness.results.schema import Document

SAYS_NOTHING = "random weights or tokens: near guessing whatever the level, says nothing"


@dataclass(frozen=True, slots=True)
class Answered:
    """One level's answers.

    Attributes:
        level: its name, with a cache that is not its own.
        scores: what is known of them.
        verdict: beside the reference; empty: it could not answer.
    """

    level: str
    scores: TaskScores
    verdict: str


def draw_tasks(document: Document, style: str) -> Iterator[str]:
    """Yield a title and a table for each model that answered.

    Args:
        document: one run.
        style: `table` or `md`.
    """
    models: dict[str, dict[str, Quality]] = {}
    for record in document.records:
        found = record.quality
        if found is not None and found.tasks is not None:
            cell = record.cell
            cache = "" if cell.has_own_cache else f" kv {cell.kv_cache}"
            models.setdefault(cell.model, {}).setdefault(f"{cell.level}{cache}", found)
    for model, levels in models.items():
        scores = {level: found.tasks or TaskScores() for level, found in levels.items()}
        verdicts = standings(scores)
        answered = [
            Answered(level, found, verdicts.get(level, "")) for level, found in scores.items()
        ]
        known = next((one.scores for one in answered if one.scores.reason is None), None)
        if known is not None:
            yield prose(_title(model, known, next(iter(levels.values()))), style)
            yield draw_columns(COLUMNS, [one for one in answered if not one.scores.reason], style)
        for reason in dict.fromkeys(one.scores.reason for one in answered if one.scores.reason):
            names = ", ".join(one.level for one in answered if one.scores.reason == reason)
            yield prose(f"{model} {names}: no answers: {reason}", style)


def _title(model: str, known: TaskScores, quality: Quality) -> str:
    """What was asked, of whom, and what guessing gives."""
    chance = "" if known.chance is None else f", {percent(known.chance)} by guessing"
    random = "" if quality.label == "" else f" · {SAYS_NOTHING}"
    return f"{model} · {known.items} questions, {known.name}{chance}{random}"


COLUMNS: tuple[Column[Answered], ...] = (
    Column("level", lambda one: one.level),
    Column("accuracy", lambda one: _value(one, "task_accuracy", "value"), percent),
    Column("low", lambda one: _value(one, "task_accuracy", "low"), percent),
    Column("high", lambda one: _value(one, "task_accuracy", "high"), percent),
    Column("fp32", lambda one: _value(one, "reference_accuracy", "value"), percent),
    Column("flips", lambda one: _value(one, "task_flips", "value"), percent),
    Column("lost", lambda one: one.scores.lost),
    Column("won", lambda one: one.scores.won),
    Column("other wrong", lambda one: one.scores.moved),
    Column("McNemar p", lambda one: one.scores.mcnemar_p, three_significant),
    Column("beside fp32", lambda one: one.verdict),
)


def _value(one: Answered, name: str, end: str) -> float | None:
    """A share of a level, or an end of its interval."""
    return getattr(getattr(one.scores, name), end, None)
