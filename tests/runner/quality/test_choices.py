"""What is chosen by likelihood, and what two models' answers say of each other."""

import pytest

from harness.runner.quality.choices import chosen, compare_answers
from harness.runner.quality.replies import Answers, TasksRead


def answers(*likelihoods, bad_line=None):
    return Answers(log_likelihoods=likelihoods, bad_line=bad_line, peak_bytes=1)


def read(*rights, choices=3):
    return TasksRead(
        name="mine.jsonl",
        digest="d",
        tokenization="bytes",
        answers=rights,
        choices=((2,) * choices,) * len(rights),
    )


def picks(*indexes):
    """Answers that choose these."""
    return answers(*(tuple(-1.0 - (i != index) for i in range(3)) for index in indexes))


def test_the_likeliest_by_byte_is_chosen():
    """-6 over 6 bytes is likelier by byte than -4 over 2; of equals the first."""
    assert chosen([-6.0, -4.0], [6, 2]) == 0
    assert chosen([-6.0, -4.0], [1, 1]) == 1
    assert chosen([-2.0, -2.0], [1, 1]) == 0


def test_flips_count_both_ways_and_other_wrong_answers_do_not():
    """Right, lost, won, won, another wrong one, the same wrong one."""
    found = compare_answers(
        read(0, 0, 0, 0, 0, 0), picks(0, 0, 1, 2, 1, 2), picks(0, 1, 0, 0, 2, 2)
    )
    assert (found.items, found.lost, found.won, found.moved) == (6, 1, 2, 1)
    assert found.task_accuracy.value == 3 / 6
    assert found.reference_accuracy.value == 2 / 6
    assert found.task_flips.value == 3 / 6
    assert found.task_flips.low < 0.5 < found.task_flips.high
    assert found.mcnemar_p == 1.0
    assert found.chance == pytest.approx(1 / 3)


def test_equal_answers_have_no_flips():
    found = compare_answers(read(0, 1), picks(0, 2), picks(0, 2))
    assert (found.task_flips.value, found.task_flips.low, found.mcnemar_p) == (0.0, 0.0, 1.0)
    assert found.task_flips.high > 0.5  # two items say little


@pytest.mark.parametrize("bad", ["reference", "level"])
def test_values_that_are_no_numbers_are_a_reason(bad):
    broken, whole = answers(bad_line=4), picks(0)
    found = compare_answers(
        read(0), broken if bad == "reference" else whole, whole if bad == "reference" else broken
    )
    assert "not finite (line 4)" in found.reason
    assert bad in found.reason
    assert found.task_accuracy is None
