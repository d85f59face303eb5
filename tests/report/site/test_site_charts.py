"""The history of a cell as charts: values read off the specification."""

from harness.report.charts import thinning
from harness.report.site import charts as module
from harness.report.site.charts import history_charts
from harness.report.site.plan import load, make_plan
from harness.report.site.policy import Policy
from tests.report.site.site_documents import document, record


def cell_of(*documents):
    policy = Policy()
    files = [load(one, f"{place}.json", policy) for place, one in enumerate(documents)]
    (cell,) = make_plan(files, (), policy).cells
    return cell


def test_every_run_is_a_point_with_its_interval_and_its_estimate():
    cell = cell_of(
        document(record(100.0), day=1),
        document(record(200.0), day=2, machine={"packages": {"onnxruntime": "1.33.0"}}),
    )
    speed, memory = history_charts(cell)
    rows = speed.spec["data"]["values"]
    assert [(row["value"], row["low"], row["high"]) for row in rows] == [
        (100.0, 98.0, 102.0),
        (200.0, 196.0, 204.0),
    ]
    assert [row["estimate"] for row in rows] == [110.0, 110.0]
    assert [row["onnxruntime"] for row in rows] == ["1.32.0", "1.33.0"]
    assert [row["when"][:10] for row in rows] == ["2026-11-01", "2026-11-02"]
    assert [row["value"] for row in memory.spec["data"]["values"]] == [256.0, 256.0]
    assert [layer["mark"]["type"] for layer in speed.spec["layer"]] == ["line", "rule", "point"]


def test_runs_of_a_few_days_have_hours_on_their_axis():
    """Else every tick of a day has the same name."""
    ticks = []
    for last in (2, 9):
        speed, _ = history_charts(cell_of(*(document(day=day) for day in (1, last))))
        ticks.append(speed.spec["encoding"]["x"]["axis"]["format"])
    assert ticks == ["%m-%d %H:%M", "%Y-%m-%d"]


def test_one_run_is_no_history():
    assert history_charts(cell_of(document())) == ()


def test_a_run_without_a_date_is_left_out_and_counted():
    cell = cell_of(
        *(document(day=day) for day in (1, 2)),
        document(day=3, created_utc="</script>", run_id="run-3"),
    )
    speed, _ = history_charts(cell)
    assert len(speed.spec["data"]["values"]) == 2
    assert speed.notes == ("1 run without such a value or a date",)


def test_very_many_runs_are_thinned_with_their_extremes_and_it_is_said(monkeypatch):
    monkeypatch.setattr(module, "MOST_POINTS", 5)
    cell = cell_of(*(document(record(100.0 + (day == 7) * 50), day=day) for day in range(1, 21)))
    speed, _ = history_charts(cell)
    values = [row["value"] for row in speed.spec["data"]["values"]]
    assert 2 < len(values) <= 5
    assert 150.0 in values
    assert speed.notes == (f"{len(values)} of 20 runs are drawn",)
    assert thinning.MOST_POINTS >= 1000
