"""What holds of every chart of every committed document."""

import json
import math
import re

import pytest

from harness.report.charts.chart import slug
from harness.report.charts.table import MOST_MACHINES
from tests.report.charts.drawn import NAMES, charts, data, of, stored, walk

HOSTILE = "</script><img src=x onerror=alert(1)>');datum.x\\\"{{7*7}}\u202e\n${1}"
MARK = "alert(1)"
# where Vega evaluates text
CODE = {"expr", "signal", "update", "test", "filter", "calculate", "init", "sort"}


@pytest.fixture(params=NAMES)
def drawn(request):
    """The charts of one committed document."""
    return charts(request.param)


def test_every_document_has_charts(drawn):
    assert len(drawn) >= 3


def test_names_are_those_of_files(drawn):
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name) for name in drawn)


def test_every_chart_says_what_it_shows(drawn):
    for chart in drawn.values():
        assert chart.title
        assert chart.caption.endswith(".")
        assert chart.source


def test_numbers_are_finite_and_specifications_are_json(drawn):
    """NaN and Infinity are no JSON: a page that held them would not be read."""
    for chart in drawn.values():
        json.dumps([chart.spec, list(chart.rows)], allow_nan=False)


def test_tables_have_the_same_headers_in_each_row(drawn):
    for chart in drawn.values():
        assert chart.rows
        assert len({tuple(row) for row in chart.rows}) == 1


def test_charts_are_as_wide_as_their_container(drawn):
    assert all(chart.spec["width"] == "container" for chart in drawn.values())


def test_text_and_background_have_the_colour_of_a_theme(drawn):
    """A colour in a specification is of a series; nothing else has one."""
    for chart in drawn.values():
        keys = {key for key, _ in walk(chart.spec)}
        assert not keys & {"background", "config", "labelColor", "titleColor", "fill", "stroke"}


def test_quantities_carry_their_unit(drawn):
    """The title of a quantitative axis has a unit or says that it counts."""
    for chart in drawn.values():
        for key, value in walk(chart.spec):
            if key in ("x", "y") and isinstance(value, dict) and value["type"] == "quantitative":
                assert re.search(
                    r"tok/s|sequences/s|ms|MiB|nats|flop|tokens|share|nodes|s since|cosine",
                    value["title"],
                )


def hostile_document():
    """A document whose every name is an attack."""
    import msgspec

    document = stored("reference/sweep-bytelm")
    replace = msgspec.structs.replace
    records = tuple(
        replace(
            record,
            cell=replace(
                record.cell, model=HOSTILE, level=f"{HOSTILE}{record.cell.level}", level_label=""
            ),
        )
        for record in document.records
    )
    return replace(
        document,
        records=records,
        run_id=HOSTILE,
        environment=replace(document.environment, cpu_model=HOSTILE),
    )


def test_text_of_documents_is_never_code():
    """It stands in data, domains, values and titles, none of which Vega evaluates."""
    for chart in of(hostile_document()).values():
        for key, value in walk(chart.spec):
            if key in CODE or key.endswith("Expr"):
                assert MARK not in json.dumps(value)
        fields = [value for key, value in walk(chart.spec) if key in ("field", "format", "type")]
        assert not [value for value in fields if MARK in str(value)]


def test_text_of_documents_is_on_one_line_and_drawn():
    for chart in of(hostile_document()).values():
        assert chart.title.isprintable()
        assert all(str(value).isprintable() for row in chart.rows for value in row.values())
        assert re.fullmatch(r"[a-z0-9-]+", chart.name)


def test_a_slug_is_never_empty():
    assert slug("模型/../..") == "x"
    assert slug("Qwen2.5 0.5B") == "qwen2-5-0-5b"


def test_nothing_to_draw_gives_no_chart():
    import msgspec

    document = msgspec.structs.replace(stored("reference/default"), records=())
    assert of(document) == {}


def test_of_many_documents_some_have_charts_of_their_own():
    import msgspec

    document = stored("reference/default")
    many = [
        msgspec.structs.replace(document, run_id=f"run-{place}")
        for place in range(MOST_MACHINES + 2)
    ]
    found = of(*many)
    memory = [chart for name, chart in found.items() if name.startswith("memory")]
    assert len(memory) == MOST_MACHINES
    assert memory[0].notes[-1] == "of 8 results the first 6 have such charts"
    rows = len(found["estimate-decode"].rows)
    assert rows == len(many) * len(charts("reference/default")["estimate-decode"].rows)


def test_every_row_that_is_drawn_is_on_its_axis():
    """Bars and marks of a name that the axis does not have would be lost without a word."""
    for name in NAMES:
        for chart in charts(name).values():
            domains = [
                value["scale"]["domain"]
                for key, value in walk(chart.spec)
                if key == "y" and isinstance(value, dict) and value["type"] == "nominal"
            ]
            if domains:
                assert {row["row"] for row in data(chart)} <= set(domains[0])
                assert len(domains[0]) == len(set(domains[0]))


def test_values_are_numbers_that_a_picture_can_show():
    for name in NAMES:
        for chart in charts(name).values():
            numbers = [
                value for row in data(chart) for value in row.values() if isinstance(value, float)
            ]
            assert all(math.isfinite(value) for value in numbers)
