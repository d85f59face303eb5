"""Published decode rates that are nearest to an estimate, with our range for each."""

from dataclasses import dataclass
from functools import cache
from math import log

from harness.estimator.answer import Estimate
from harness.estimator.published.answering import Question, step_time
from harness.estimator.published.asking import AskedRow, ask_row
from harness.estimator.published.fit import precision_word
from harness.estimator.published.rows import PublishedRow, shipped_rows
from harness.estimator.query import Range

MOST_NEAR = 5
# What makes two rows far apart, in units of ln of their parameter counts.
OTHER_DEVICE, OTHER_RUNTIME, OTHER_BITS = 2.0, 1.0, 0.5


@dataclass(frozen=True, slots=True)
class NearRow:
    """One published decode rate beside ours.

    Attributes:
        row: as published.
        decode_tok_s: our range for it, with its runtime named.
        is_inside: the range holds it.
    """

    row: PublishedRow
    decode_tok_s: Range
    is_inside: bool


def nearest_rows(estimate: Estimate) -> tuple[NearRow, ...]:
    """Return the nearest published decode rates of the device's engine, else of its family.

    Weak rows, and those that cannot be asked, are passed over. Of an encoder there are none.
    """
    case = estimate.case
    if not case.decodes or case.peaks is not None:
        return ()
    found = [
        asked
        for asked in _decoded()
        if asked.place.family == case.engine.family
        and asked.place.is_phone == case.question.place.is_phone
    ]
    found.sort(key=lambda asked: _distance(estimate, asked))
    return tuple(_beside(asked) for asked in found[:MOST_NEAR])


@cache
def _decoded() -> tuple[AskedRow, ...]:
    """Return the shipped rows with a decode rate that can be asked."""
    rows = (row for row in shipped_rows() if row.decode_tok_s is not None and row.weak is None)
    asked = (ask_row(row) for row in rows)
    return tuple(one for one in asked if isinstance(one, AskedRow) and one.model.decodes)


def _distance(estimate: Estimate, asked: AskedRow) -> float:
    """Return how far a row is from what was asked."""
    case = estimate.case
    away = abs(log(asked.model.parameters / case.target.parameters))
    away += OTHER_DEVICE * (asked.device.key != case.device.key)
    away += OTHER_RUNTIME * (asked.runtime != case.runtime_word)
    return away + OTHER_BITS * (asked.level.weight_bits != case.level.weight_bits)


def _beside(asked: AskedRow) -> NearRow:
    """Return a row with our range for it."""
    ends = question_range(asked)
    rate = asked.row.decode_tok_s or 0.0
    return NearRow(asked.row, ends, ends.low <= rate <= ends.high)


def row_question(asked: AskedRow) -> Question:
    """Return a row as the engines' table is asked, its runtime named where it has our word."""
    return Question(
        device=asked.device,
        engine=asked.engine,
        runtime=asked.runtime or "",
        is_named=True,
        level=asked.level,
        precision=precision_word(asked),
        structure=asked.model,
        parameters=asked.model.parameters,
        depth_tokens=asked.depth_tokens,
        prompt_tokens=asked.prompt_tokens,
        batch=1,
        context_tokens=asked.context_tokens,
    )


def question_range(asked: AskedRow) -> Range:
    """Return our range of a row's decode rate."""
    slow, fast = step_time(row_question(asked))
    return Range(1 / slow.seconds, 1 / fast.seconds)
