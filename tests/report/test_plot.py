"""Which records become bars, along what, in which order, and what stands behind them."""

from pathlib import Path

import pytest

from harness.analysis.compare import Question, compare_axis
from harness.core.errors import UsageError
from harness.report.bars import ASCII, BLOCKS, WIDTH, columns
from harness.report.plot import draw_plot, plotted_metric
from harness.report.ratio_plot import draw_ratio_plot
from harness.results.document import read_document
from tests.measured_documents import document, quality, record

RESULTS = Path(__file__).parents[2] / "results"
STORED = [*sorted((RESULTS / "reference").glob("*.json")), RESULTS / "validation" / "modern.json"]
FAST, SLOW = [5.0, 5.1, 4.9, 5.05, 4.95], [10.0, 10.1, 9.9, 10.05, 9.95]


def plot(run, metric=None, signs=ASCII, width=WIDTH, style="table"):
    return draw_plot(run, metric, signs, width, style)


def labels(drawn):
    """The first word of every line that has a bar."""
    return [line.split()[0] for line in drawn.splitlines() if "#" in line and "95 %" not in line]


def test_levels_are_bars_in_the_order_of_the_plan_with_value_and_interval():
    """10 ms and 5 ms a step: 100 and 200 tok/s."""
    run = document(record(SLOW, level="int8"), record(FAST, level="fp32"))
    drawn = plot(run)
    assert drawn.splitlines()[0] == "decode_tok_s: more is better"
    assert labels(drawn) == ["int8", "fp32"]
    first, second = (line for line in drawn.splitlines() if "tok/s" in line)
    assert first.endswith("100 tok/s ± 1.0%")
    assert second.endswith("200 tok/s ± 2.0%")
    assert second.count("#") > 1.8 * first.count("#")
    assert drawn.splitlines()[-1].startswith("95 % interval: # to its lower end")


def test_depths_are_in_order_of_their_numbers():
    """As a plan may have them, and as text they would not be."""
    run = document(*(record(SLOW, depth=depth) for depth in (1024, 0, 128)))
    words = [line.split()[:2] for line in plot(run).splitlines() if line.startswith("depth")]
    assert words == [["depth", "0"], ["depth", "128"], ["depth", "1024"]]


def test_bars_run_along_what_varies_most_and_the_rest_are_headings():
    run = document(
        *(
            record(SLOW, level=level, threads=n)
            for n in (2, 1)
            for level in ("fp32", "int8", "int4")
        )
    )
    lines = plot(run).splitlines()
    assert [line for line in lines if "thread" in line] == ["1 thread", "2 threads"]
    assert labels(plot(run)) == ["fp32", "int8", "int4"] * 2


def test_prompts_are_a_ladder_of_their_own_metric():
    run = document(record(SLOW, "pp512"), record(SLOW, "pp8"), record(SLOW, "tg4"))
    assert labels(plot(run, "prefill")) == ["pp8", "pp512"]
    assert labels(plot(run)) == ["int4"]  # one row, which is judged by its steps


def test_memory_is_the_largest_of_a_row_as_in_the_table():
    run = document(record(SLOW, "pp8", 300 * 2**20), record(SLOW, "tg4", 200 * 2**20))
    (line,) = [line for line in plot(run, "peak").splitlines() if "MiB" in line]
    assert "300 MiB" in line


def test_what_failed_or_is_invalid_is_a_line_without_a_bar():
    failed = record([], status={"status": "crashed", "reason": "died"}, level="int2")
    drawn = plot(document(record(SLOW), failed))
    (line,) = [line for line in drawn.splitlines() if line.startswith("int2")]
    assert line.split() == ["int2", "crashed"]


def test_a_share_and_a_loss_have_their_own_digits():
    run = document(record(SLOW, quality=quality(0.02)), record(FAST, level="int8"))
    assert "95.0%" in plot(run, "top1")
    assert "0.0200 nats" in plot(run, "kld")
    (line,) = [line for line in plot(run, "kld").splitlines() if line.startswith("int8")]
    assert line.split() == ["int8", "not", "measured"]


def test_a_metric_that_is_none_and_one_that_was_not_measured_are_refused():
    with pytest.raises(UsageError, match="no metric is called 'decoed'"):
        plotted_metric("decoed")
    with pytest.raises(UsageError, match="no record of this run has kld_nats") as error:
        plot(document(record(SLOW)), "kld")
    assert "decode" in error.value.fix


def test_a_run_without_records_has_no_bars():
    assert plot(document()) == ""


@pytest.mark.parametrize("path", STORED, ids=lambda path: path.stem)
@pytest.mark.parametrize("width", [40, WIDTH])
@pytest.mark.parametrize("metric", [None, "peak", "load"])
def test_every_committed_run_can_be_drawn(path, width, metric):
    run = read_document(path)
    drawn = plot(run, metric, BLOCKS, width)
    assert max(map(columns, drawn.splitlines())) <= width
    assert drawn.count("█") > 10


def test_names_are_cut_and_end_no_block_of_markdown():
    name = "```\n# a heading \x1b[31m" + "x" * 80
    drawn = plot(document(record(SLOW, model=name), record(FAST)), style="md")
    first, *lines, last = drawn.splitlines()
    assert first == f"{last}text"
    assert set(last) == {"`"}
    assert not [line for line in lines if line.startswith(last)]
    assert "\x1b" not in drawn


def ratios(run, style="table", width=WIDTH):
    return draw_ratio_plot(compare_axis(run, "quant", None, Question()), BLOCKS, width, style)


def test_a_comparison_is_points_around_one_with_their_verdicts():
    """Twice as fast is right of 1, by its whole interval."""
    noisy = [5.0, 5.6, 4.4, 5.3, 4.7]
    run = document(record([10.0] * 5, level="fp32"), record(noisy, level="int4"))
    (line,) = [line for line in ratios(run).splitlines() if "decode_tok_s" in line]
    assert line.index("│") < line.index("├") < line.index("●") < line.index("┤")
    assert line.split()[-2:] == ["2.007", "FASTER"]


def test_differences_have_an_axis_of_their_own():
    run = document(
        record(SLOW, level="int8", quality=quality(0.01)),
        record(SLOW, level="int4", quality=quality(0.03)),
    )
    drawn = ratios(run)
    assert "kld_nats: new - base with its 95 % interval; │ 0, as base" in drawn
    assert "+0.0200 WORSE" in drawn


@pytest.mark.parametrize("width", [40, WIDTH])
def test_every_committed_comparison_can_be_drawn(width):
    for name in ("default", "sweep-bytelm"):
        drawn = ratios(read_document(RESULTS / "reference" / f"{name}.json"), width=width)
        assert max(map(columns, drawn.splitlines())) <= width
        assert drawn.count("●") > 5
