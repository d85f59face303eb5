"""Scaling laws as text: one row per law, and below the models that break theirs. Pure."""

from collections.abc import Sequence

from harness.analysis.scaling import ScalingRow, ScalingStudy
from harness.report.columns import capacity_words
from harness.report.grid import (
    DIFFERS,
    PEOPLE,
    Column,
    bullets,
    draw_columns,
    draw_records,
    six_digits,
)
from harness.report.numbers import two_decimals, whole_percent
from harness.results.metric_names import limit_name

LEGEND = (
    "exponent: of the fitted law, metric = factor x parameters ^ exponent, with its 95 % interval; "
    "rule: what size alone says; off: of the model farthest from its law, the larger of measured "
    "and fitted over the smaller; usual: what the models here have at its size"
)
COLUMNS: tuple[Column[ScalingRow], ...] = (
    Column(
        "metric",
        lambda row: row.group.rule.metric,
        brief=lambda row: limit_name(row.group.rule.metric),
    ),
    Column("level", lambda row: row.group.level),
    Column("device", lambda row: row.group.device or None, shown=DIFFERS),
    Column("runtime", lambda row: row.group.runtime, shown=DIFFERS),
    Column("threads", lambda row: row.group.threads, shown=DIFFERS),
    Column("batch", lambda row: row.group.batch, shown=DIFFERS),
    Column("capacity", lambda row: _capacity(row), shown=DIFFERS),
    Column("prepack", lambda row: row.group.prepack, shown=DIFFERS),
    Column("test", lambda row: row.group.test or None),
    Column("models", lambda row: len(row.models), leaves=3),
    Column("exponent", lambda row: row.law.exponent, two_decimals),
    Column("low", lambda row: row.law.low, two_decimals),
    Column("high", lambda row: row.law.high, two_decimals),
    Column("rule", lambda row: row.group.rule.exponent, "{:.0f}".format, leaves=1),
    Column("R²", lambda row: row.law.r2, two_decimals, leaves=2),
    Column("off %", lambda row: row.largest_percent, whole_percent),
    Column("breaks it", lambda row: None if row.breaker is None else row.breaker.model),
)


def draw_study(study: ScalingStudy, style: str) -> tuple[str, tuple[str, ...]]:
    """Draw a study.

    Args:
        study: with at least one row.
        style: of `options.FORMATS`; machine formats hold every value, people's those that vary.

    Returns:
        The text, and the notes that the format has no place for.
    """
    if style not in PEOPLE:
        records = [row_values(row) for row in study.rows]
        return draw_records(records, style, six_digits), study.notes
    below = bullets((*_breakers(study.rows), *study.notes, LEGEND), style)
    return "\n\n".join([draw_columns(COLUMNS, study.rows, style), below]), ()


def row_values(row: ScalingRow) -> dict[str, object]:
    """Return one row as values, units in their names; null where there is none."""
    group, law, breaker = row.group, row.law, row.breaker
    return {
        "metric": group.rule.metric,
        "level": group.level,
        "device": group.device,
        "runtime": group.runtime,
        "threads": group.threads,
        "batch": group.batch,
        "test": group.test,
        "depth": group.depth,
        "prompt": group.prompt,
        "capacity": group.capacity,
        "prepack": group.prepack,
        "models": list(row.models),
        "exponent": law.exponent,
        "exponent_low": law.low,
        "exponent_high": law.high,
        "rule_exponent": group.rule.exponent,
        "r2": law.r2,
        "off_percent": row.largest_percent,
        "breaker": None if breaker is None else breaker.model,
        "breaker_percent": None if breaker is None else breaker.percent,
        "breaker_word": None if breaker is None else breaker.word,
        "why": None if breaker is None else breaker.why,
    }


def _capacity(row: ScalingRow) -> str | None:
    """Positions of the caches; None of weights, whatever they are."""
    tokens = row.group.capacity
    return None if tokens is None else capacity_words(tokens)


def _breakers(rows: Sequence[ScalingRow]) -> list[str]:
    """One line per model that breaks its law, and why."""
    return [
        f"{row.group.label}: {row.breaker.text}; {row.breaker.why}"
        for row in rows
        if row.breaker is not None
    ]
