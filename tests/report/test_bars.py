"""Bars and points in characters: where each part ends, in blocks and in plain signs."""

import math

import pytest

from harness.report.bars import (
    ASCII,
    BLOCKS,
    WIDTH,
    Bar,
    Group,
    columns,
    cut,
    difference_scale,
    draw_bars,
    draw_points,
    ratio_scale,
    signs_for,
)


def bar(value, low=None, high=None, label="a", **more):
    return Bar(label, "x", "", value, low, high, **more)


def cells(drawn):
    """What stands between the label and the value."""
    return drawn[2:-2]


def drawn(*bars, width=30, signs=BLOCKS):
    """The bars of one group: one-sign labels and values leave `width - 4` cells."""
    return draw_bars([Group("", bars)], signs, width)


def test_bars_are_as_long_as_their_values():
    """26 cells are 26: 13 is half of them, and 6.5 has half a cell."""
    long, half, quarter = map(cells, drawn(bar(26), bar(13), bar(6.5)))
    assert long == "█" * 26
    assert half.rstrip() == "█" * 13
    assert quarter.rstrip() == "█" * 6 + "▌"


@pytest.mark.parametrize(("eighths", "sign"), list(enumerate(BLOCKS.parts, start=1)))
def test_the_last_cell_is_drawn_in_eighths(eighths, sign):
    assert cells(drawn(bar(26), bar(10 + eighths / 8))[1]).rstrip() == "█" * 10 + sign


def test_an_interval_is_solid_then_shaded_then_a_whisker():
    (line,) = drawn(bar(20, 16, 26))
    assert cells(line) == "█" * 16 + "▓" * 4 + "─" * 5 + "┤"
    (plain,) = drawn(bar(20, 16, 26), signs=ASCII)
    assert cells(plain) == "#" * 16 + "=" * 4 + "-" * 5 + "|"


def test_an_interval_that_tells_nothing_flattens_no_other_bar():
    """Its whisker leaves the scale, which ends at 1.5 times the largest value."""
    wide, usual = drawn(bar(10, 1, 500), bar(10, 9, 11))
    assert cells(wide).endswith("▸")
    assert "▸" not in usual
    assert usual.count("█") + usual.count("▓") >= 16


def test_a_small_value_is_never_nothing_and_a_missing_one_is():
    large, small, missing = drawn(bar(1e6), bar(1e-6), bar(None))
    assert large.count("█") == 26
    assert cells(small).strip() == "▏"
    assert missing == "a" + " " * 28 + "x"


def test_what_was_estimated_is_marked_where_it_would_end():
    (line,) = drawn(bar(20, estimated=26))
    assert cells(line) == "█" * 20 + " " * 5 + "┊"
    (beyond,) = drawn(bar(10, estimated=100))
    assert cells(beyond).endswith(" ▸")
    (inside,) = drawn(bar(26, estimated=13.5))
    assert cells(inside).index("┊") == 13


def test_values_below_zero_are_points_on_an_axis():
    """0 is a quarter of the way from -1 to 3."""
    less, more = drawn(bar(-1), bar(3))
    assert cells(less)[0] == "●"
    assert cells(more)[-1] == "●"
    assert cells(less).index("│") == cells(more).index("│") == round(0.25 * 25)


def test_ratios_are_as_far_from_one_as_their_logarithms():
    bars = (bar(0.5, 0.4, 0.7), bar(2.0, 1.5, 2.5))
    scale = ratio_scale(bars)
    assert math.isclose(scale.place(1.0), 0.5)
    assert math.isclose(scale.place(0.5), 1 - scale.place(2.0))
    first, second = draw_points([Group("", bars)], BLOCKS, 44)
    assert cells(first).index("●") + cells(second).index("●") == pytest.approx(39, abs=1)
    assert cells(first).index("├") < cells(first).index("●") < cells(first).index("┤")
    assert cells(second).index("│") < cells(second).index("├")


def test_a_ratio_beyond_the_axis_says_so():
    (line,) = draw_points([Group("", (bar(3.0, 1e-9, 1e9),))], BLOCKS, 44)
    assert cells(line).startswith("◂")
    assert cells(line).endswith("▸")


def test_one_side_is_left_out_where_all_are_on_the_other():
    scale = ratio_scale([bar(3.0, 2.0, 4.0)])
    assert scale.place(1.0) < 0.1
    assert difference_scale([bar(0.5, 0.4, 0.6)]).place(0.0) == 0.0


@pytest.mark.parametrize("width", [24, 40, 60, WIDTH, 200])
@pytest.mark.parametrize("signs", [BLOCKS, ASCII])
def test_no_line_is_wider_than_the_terminal(width, signs):
    bars = (
        bar(20, 16, 26, label="a-name-that-never-ends-and-goes-on-for-long"),
        Bar("b", "1,234,567 tok/s", "± 12.3%", 25, 12, 40),
    )
    for line in draw_bars([Group("a heading " * 10, bars)], signs, width):
        assert columns(line) <= width


def test_characters_of_two_columns_stay_in_line():
    wide, plain = drawn(bar(26, label="模"), bar(26, label="ab"), width=31)
    assert columns(wide) == columns(plain) == 31
    assert columns("e\u0301") == 1
    assert columns(cut("模型" * 20, 11)) <= 11


def test_names_act_on_no_terminal():
    (line,) = drawn(bar(26, label="\x1b[31ma\nb"), width=40)
    assert "\x1b" not in line
    assert "\n" not in line


@pytest.mark.parametrize(
    ("encoding", "signs"),
    [
        ("utf-8", BLOCKS),
        ("UTF-16", BLOCKS),
        ("ascii", ASCII),
        ("bench_ascii", ASCII),
        ("latin-1", ASCII),
        ("cp437", ASCII),
        (None, BLOCKS),
        ("no such thing", ASCII),
    ],
)
def test_signs_are_those_that_the_encoding_has(encoding, signs):
    assert signs_for(encoding) is signs
    assert signs.every.encode("utf-8" if signs is BLOCKS else "ascii")
