"""An axis in the words of its plan: `max` of each model, `tests`, `all`."""

import pytest

from harness.analysis.axis_words import axis_words
from harness.analysis.compare import Question, compare_axis
from harness.core.errors import UsageError
from harness.report.compare_table import headline
from tests.measured_documents import document, record

TIMES = [10.0, 10.1, 9.9, 10.05, 9.95]
SLOWER = [time * 1.2 for time in TIMES]


def run(words, *cells, field="capacity"):
    """A run of such cells, in which `words` were typed."""
    records = (
        record(TIMES if not value else SLOWER, **{field: value}, **more) for value, more in cells
    )
    return document(*records, plan={"rounds": 5, "seed": 0, "sample_seconds": 0.25, field: words})


TWO = run(("tests", "max"), (0, {}), (8192, {}), (0, {"model": "b"}), (2048, {"model": "b"}))


@pytest.mark.parametrize(
    ("base", "said"),
    [("max", "capacity tests beside max"), ("tests", "capacity max beside tests")],
)
def test_max_is_that_of_each_model(base, said):
    found = compare_axis(TWO, "capacity", base, Question(metrics=("decode_tok_s",)))
    assert said in headline(found)
    assert [(row.cell.capacity, row.new_cell.capacity) for row in found.rows] == (
        [(8192, 0), (2048, 0)] if base == "max" else [(0, 8192), (0, 2048)]
    )


def test_a_number_means_its_word_and_other_numbers_stay():
    three = run(("tests", "512", "max"), (0, {}), (512, {}), (8192, {}))
    by_number = compare_axis(three, "capacity", "8192", Question())
    assert by_number.axis_values == (("max",), ("tests", "512"))
    assert compare_axis(three, "capacity", "512", Question()).axis_values[0] == ("512",)
    assert compare_axis(three, "capacity", None, Question()).axis_values[0] == ("tests",)
    with pytest.raises(UsageError) as caught:
        compare_axis(three, "capacity", "all", Question())
    assert "its values are tests, 512, max" in caught.value.problem


def test_words_that_nobody_typed_mean_nothing():
    plain = run(("tests", "8192"), (0, {}), (8192, {}))
    assert axis_words(plain, "capacity").most == ""
    with pytest.raises(UsageError, match="its values are tests, 8192"):
        compare_axis(plain, "capacity", "max", Question())


def test_all_threads_are_a_word_too():
    both = run(("1", "all"), (1, {}), (4, {}), field="threads")
    assert compare_axis(both, "threads", "all", Question()).axis_values == (("all",), ("1",))
