"""A cell prints what people can read, whatever number or name stands behind it."""

import ast
import json
import math
import pkgutil
import re
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path

import pytest

import harness.report
from harness.report import numbers
from harness.report.columns import DRAWN
from harness.report.explained import explain_record
from harness.report.grid import (
    LONGEST_CELL,
    LONGEST_NAME,
    MISSING,
    Column,
    draw_columns,
    draw_records,
    json_text,
    one_line,
)
from harness.report.model_facts import MOST_LISTED, draw_facts
from harness.report.render import FORMATS, render
from harness.report.trust_table import explain_trust
from harness.results.schema import Reason, Trust
from tests.report.report_documents import document, metric, record

ODD = (
    *(0.0, -0.0, 1e-300, 1e-9, -1e-9, 0.004, 0.5, 12.34, 99.96, 736_648.0, 1e9, 1e12, 1e300),
    *(-1e12, 1_234_567.89, math.inf, -math.inf, math.nan),
)
# A number as people read one: at most twelve digits, an exponent of one digit, and no -0.
COUNT = r"(?:\d{1,3}(?:,\d{3}){0,4}|\d{1,10})(?:\.\d{1,6})?"
READABLE = re.compile(rf"(?:[<>] )?[-+]?{COUNT}(?:e-?\d\d?)?%?")
LONG = "n" * 300


STORED = ("json", "jsonl")  # a document refuses a number that is none when it is written
PIECES = (
    "bounded",
    "digits",
    "size_text",
    "plain_digits",
    "counted",
)  # of which the others are made


def drawers() -> Iterator[tuple[str, Callable[[float], str]]]:
    """Every way to draw a number: of the module of numbers, and of the metrics' units."""
    for name, draw in vars(numbers).items():
        if getattr(draw, "__module__", "") == numbers.__name__ and name not in PIECES:
            yield from () if name.startswith("_") else ((name, draw),)
    yield from DRAWN.items()


@pytest.mark.parametrize("value", ODD)
def test_a_number_is_drawn_in_digits_that_can_be_read(value):
    for name, draw in drawers():
        text = draw(value)
        assert text == MISSING or READABLE.fullmatch(text), (name, value, text)
        assert (text == MISSING) == (not math.isfinite(value)), (name, value, text)
        assert not re.fullmatch(r"-0(\.0+)?%?", text), (name, value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1e-9, "< 0.01"),
        (-1e-9, "> -0.01"),
        (0.0, "0.00"),
        (736_648.0, "736648"),
        (1e12, "> 1e9"),
        (-1e12, "< -1e9"),
    ],
)
def test_a_rate_beyond_its_digits_is_drawn_as_the_bound(value, text):
    assert numbers.three_digits(value) == text


def test_a_share_beyond_all_measure_is_drawn_as_the_bound():
    assert numbers.percent(1_234_567.89) == "> 1000%"
    assert numbers.half_width(17824598.57) == "> 100%"
    assert numbers.ratio(1e-9) == "< 0.001"
    assert numbers.percent(0.021) == "2.1%"


def test_small_sizes_are_said_in_smaller_units():
    texts = [numbers.size_text(size) for size in (12, 34_400, 104_858, 1_294_467_072)]
    assert texts == ["12 bytes", "33.6 KiB", "0.1 MiB", "1,234.5 MiB"]


def test_no_column_draws_a_number_without_bounds():
    """Counts of whole things apart, every column's way to draw is one of the module of numbers."""
    wrong = []
    for path in Path(harness.report.__path__[0]).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Column":
                raw = [n.value for n in ast.walk(node) if isinstance(n, ast.Constant)]
                wrong += [(path.name, text) for text in raw if re.search(r"\{:\.[1-9]", str(text))]
    assert not wrong


def test_every_column_takes_a_value_that_is_no_number():
    """Of every table of the package."""
    for module in pkgutil.iter_modules(harness.report.__path__):
        found = vars(import_module(f"harness.report.{module.name}")).values()
        groups = [value for value in found if isinstance(value, tuple | list)]
        for column in (each for group in groups for each in group if isinstance(each, Column)):
            for value in (math.nan, math.inf, None):
                odd = Column(column.header, lambda row, value=value: value, column.draw)
                assert odd.cell(object()) == MISSING, (module.name, column.header)


def test_long_names_are_cut_where_people_read_them_and_whole_elsewhere():
    columns = [Column("name", str), Column(LONG, len)]
    for style in ("wide", "md"):
        lines = draw_columns(columns, [LONG, "a b", "x " * 900], style).splitlines()
        assert max(map(len, lines)) < LONGEST_CELL + 3 * LONGEST_NAME
        assert "…" in lines[0]
    assert LONG in draw_columns(columns, [LONG], "csv")


def test_long_words_of_a_sentence_are_cut_and_paths_are_not():
    path = f"{'folder/' * 20}model.onnx"
    text = draw_columns([Column("note", str)], [f"{LONG} int4: --model {path}"], "wide")
    assert path in text
    assert f"{'n' * 31}…{'n' * 31} int4" in text
    escaped = draw_columns([Column("name", str)], ["\u202e" * 300], "md")
    assert max(map(len, escaped.splitlines())) < 3 * LONGEST_NAME


def test_control_characters_never_reach_a_cell():
    text = draw_columns([Column("name", str)], ["a\x1b[31m\u202eb\r\nc"], "table")
    assert "\x1b" not in text
    assert len(text.splitlines()) == 3
    assert one_line("a\x1bb") == "a\\x1bb"


def test_a_number_that_json_has_not_is_null():
    odd = {"a": [math.nan, (1.5, -math.inf)], "b": {"c": math.inf}}
    assert json.loads(json_text(odd)) == {"a": [None, [1.5, None]], "b": {"c": None}}
    for style in ("json", "jsonl"):
        assert "NaN" not in draw_records([odd], style)
    assert draw_records([{"a": math.nan, "b": 1.5}], "csv").splitlines()[1] == ",1.5"


def test_a_long_list_of_facts_says_how_many_more_there_are():
    facts = {"model": LONG, "free_dimensions": [f"d{n}" for n in range(500)], "parameters": 0}
    text = draw_facts([facts], "table")
    assert f"and {500 - MOST_LISTED} more" in text
    assert max(map(len, text.splitlines())) < 300
    assert json.loads(draw_facts([facts], "json"))[0]["free_dimensions"][-1] == "d499"


@pytest.mark.parametrize("style", FORMATS)
def test_every_format_takes_any_number_and_any_name(style):
    """What is printed can be read; what is for programs is whole, and valid JSON."""
    for value in (1e-9, 1e12, 0.0, *((math.inf, math.nan) if style not in STORED else ())):
        metrics = {"decode_tok_s": metric(value), "weights_bytes": metric(0.0, "bytes")}
        name = f"{LONG}\x1b[31m"
        text = render(document(record("tg32", metrics, cell={"model": name})), style)
        assert "\x1b" not in text
        if style in ("table", "md"):
            assert not re.search(r"\binf\b|\bnan\b|e\+", text)
            assert max(map(len, text.splitlines())) < LONGEST_CELL
        if style in ("json", "bencher", "benchmark-action", "pyperf"):
            json.loads(text, parse_constant=pytest.fail)


def test_names_of_others_are_escaped_where_records_are_explained():
    """In headings and reasons too, which are no table."""
    doubts = Trust(grade="C", reasons=(Reason(code="STEAL", detail="a\x1b[2J"),))
    passes = {"passes": [], "memory": [], "estimator": "params", "basis": "b\x1b"}
    name = {"model": f"{LONG}\x1b\u202e"}
    metrics = {"decode_tok_s": metric(1.0)}
    for found in (None, passes):
        more = {} if found is None else {"explanation": found}
        one = record("tg32", metrics, doubts, cell=name, **more)
        for style in ("table", "md"):
            texts = [explain_record(one, style), explain_trust(document(one), None, style)]
            for text in texts:
                assert not re.search("[\x1b\u202e]", text)
                assert max(map(len, text.splitlines())) < LONGEST_CELL


@pytest.mark.parametrize(
    ("count", "things", "text"),
    [
        (1, "processes", "1 process"),
        (2, "processes", "2 processes"),
        (1, "session groups", "1 session group"),
        (0, "rounds", "0 rounds"),
    ],
)
def test_one_thing_is_no_plural(count, things, text):
    assert numbers.counted(count, things) == text
