"""The chart of a trend: points, levels between steps, marked steps, fewer points of many."""

from dataclasses import replace

from harness.history.series import Better, Order, Point, Series
from harness.history.standing import JudgedStep, Trend
from harness.history.steps import Detector, Step
from harness.report.charts.chart import Chart
from harness.report.charts.history import trend_chart
from harness.report.charts.thinning import MOST_POINTS
from tests.report.charts.drawn import data


def trend(count: int, *places: int, unit: str = "tok/s") -> Trend:
    points = tuple(
        Point(
            f"2026-11-{1 + day // 24 % 28:02}T{day % 24:02}:00:00Z",
            f"c{day}",
            (("onnxruntime", "1.31.1"),),
            "m1",
            100.0 - 20 * sum(day >= place for place in places),
            99.0,
            None if day == 0 else 101.0,
            5,
            f"run-{day}",
            "",
        )
        for day in range(count)
    )
    series = Series("m/int4/tg32 @ d0", "decode_tok_s", unit, Better.MORE, points)
    steps = [
        Step(place, points[place - 1], points[place], 0.8, 0.79, 0.81, True, True, tuple(Detector))
        for place in places
    ]
    return Trend(series, tuple(JudgedStep(one, None, ("onnxruntime 1 → 2",)) for one in steps))


def drawn(one: Trend, by: Order = Order.DATE) -> Chart:
    return trend_chart(one, "AMD EPYC", by)


def levels(chart: Chart) -> list[dict[str, object]]:
    return chart.spec["layer"][-1]["data"]["values"]


def test_every_point_is_drawn_and_stands_in_the_table():
    chart = drawn(trend(30, 12))
    assert [row["value"] for row in data(chart)] == [100.0] * 12 + [80.0] * 18
    assert [row["run"] for row in chart.rows] == [f"run-{day}" for day in range(30)]
    assert chart.rows[0]["95 % to, tok/s"] is None


def test_a_step_is_marked_where_it_begins_with_what_changed():
    marked = [row for row in data(drawn(trend(30, 12))) if row["begins"] == "yes"]
    assert [(row["place"], row["step"], row["changed"]) for row in marked] == [
        (13, "WORSE -20.0%", "onnxruntime 1 → 2")
    ]


def test_levels_are_medians_between_confirmed_steps():
    found = levels(drawn(trend(30, 12, 20)))
    assert [(one["place"], one["until"], one["level"]) for one in found] == [
        (1, 12, 100.0),
        (13, 20, 80.0),
        (21, 30, 60.0),
    ]


def test_a_suspected_step_parts_no_level():
    one = trend(30, 12)
    suspected = replace(one.steps[0], step=replace(one.steps[0].step, votes=(Detector.SEGMENTS,)))
    assert len(levels(drawn(replace(one, steps=(suspected,))))) == 1


def test_one_point_is_a_chart():
    chart = drawn(trend(1))
    assert len(data(chart)) == 1
    assert len(levels(chart)) == 1


def test_of_very_many_points_steps_stay():
    chart = drawn(trend(10_000, 6_001))
    assert len(data(chart)) <= MOST_POINTS
    assert [row["place"] for row in data(chart) if row["step"]] == [6_002]
    assert "of 10,000 points are drawn" in chart.notes[0]
    assert len(chart.rows) == 10_000


def test_by_date_the_axis_is_time_else_places():
    by_date = drawn(trend(3)).spec["layer"][1]["encoding"]["x"]
    by_commit = drawn(trend(3), Order.COMMIT).spec["layer"][1]["encoding"]["x"]
    assert (by_date["field"], by_date["type"]) == ("time", "temporal")
    assert (by_commit["field"], by_commit["type"]) == ("place", "quantitative")


def test_bytes_are_drawn_in_mib():
    chart = drawn(trend(2, unit="bytes"))
    assert data(chart)[0]["value"] == 100.0 / 2**20
    assert chart.title.endswith("MiB")
