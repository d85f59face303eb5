"""The frame of a run: what stands in it, and that it fits any terminal."""

import pytest

from harness.core.progress import BYTES, Part
from harness.report.bars import ASCII, BLOCKS, columns
from harness.report.live import MOST_CELLS, STRONG, WIDTH, Now, draw_live, part_words
from harness.runner.loop.standing import CellStanding, Standing

MIB = 2**20


def cell(name, halves=(), **fields):
    known = {"value": 132.0, "unit": "tok/s", "rounds": len(halves) + 1} if halves else {}
    return CellStanding(f"m/{name}", "tg32 @ d0", name, halves=tuple(halves), **known, **fields)


def now(*cells, what="round 3: m/int4", **fields):
    found = Standing(tuple(cells), rounds=5, precision=fields.pop("precision", None))
    return Now(what, 12, 24, "about 40 s left", "03:16", standing=found, **fields)


def text(found, width=WIDTH, height=24, signs=BLOCKS):
    return [line for line, _ in draw_live(found, width, height, signs)]


def test_it_says_the_step_how_far_it_is_and_when_it_ends():
    first, second, *_ = text(now(cell("int4"), cell("fp32")))
    assert first == "round 3: m/int4"
    assert second == f"|{'█' * 12}{' ' * 12}| 12 of 24 · about 40 s left, until 03:16"


def test_a_cell_has_its_rounds_its_rate_and_the_interval_as_it_shrinks():
    lines = draw_live(now(cell("int4", (0.5, 0.31, 0.19, 0.12)), cell("fp32")), WIDTH, 24, BLOCKS)
    header, current, other = lines[2:]
    assert header[0].split() == ["cell", "rounds", "so", "far", "±", "by", "round"]
    assert current[0].startswith("> int4 ")
    assert current[0].endswith(" 5 of 5  132 tok/s  31% > 19% > 12%")
    assert current[1] == STRONG
    assert other[0].split() == ["fp32", "0", "of", "5"]


def test_a_precision_that_was_asked_for_stands_beside_it():
    assert "31% > 19% of 5%" in text(now(cell("int4", (0.31, 0.19)), cell("b"), precision=0.05))[3]


def test_finished_cells_leave_and_failed_ones_do():
    lines = text(now(cell("int4"), cell("a", is_whole=True), cell("b", failure="x", is_whole=True)))
    assert [line.split()[0] for line in lines[3:]] == [">"]


def test_a_step_that_tells_has_a_bar_of_its_own():
    lines = text(Now("building m int4: 80 MiB", 0, 160, part=Part(40 * MIB, 80 * MIB, BYTES)))
    assert lines[-1] == f"|{'█' * 12}{' ' * 12}| 40.0 of 80.0 MiB"
    assert part_words(Part(3, 20, "chunks")) == "3 of 20 chunks"
    assert part_words(Part(3 * MIB, 0, BYTES)) == "3.00 MiB"


def test_of_many_cells_those_around_the_current_one_are_shown():
    cells = [cell(f"level{number}") for number in range(40)]
    lines = text(now(*cells, what="round 1: m/level30"))
    assert len(lines) == 2 + 1 + MOST_CELLS + 1
    assert [line for line in lines if line.startswith("> level30")]
    assert lines[-1] == f"  {40 - MOST_CELLS} more cells"


@pytest.mark.parametrize("signs", [BLOCKS, ASCII])
@pytest.mark.parametrize("height", [1, 3, 5, 8, 24])
@pytest.mark.parametrize("width", [10, 20, 40, 60, 200])
def test_it_fits_any_terminal(width, height, signs):
    cells = [cell("a-model-with-a-long-name int4", (0.5, 0.3)), *map(cell, "bcdefghijklmnop")]
    found = now(*cells, what="round 1: " + "x" * 300, part=Part(1, 20, "chunks"))
    lines = text(found, width, height, signs)
    assert len(lines) <= height
    assert max(map(columns, lines)) <= min(width, WIDTH)


def test_forty_columns_keep_the_name_the_rounds_and_the_interval():
    lines = text(now(cell("int4", (0.5, 0.31, 0.19)), cell("fp32")), width=40)
    assert lines[3].split() == [">", "int4", "4", "of", "5", "132", "tok/s", "19%"]


def test_names_act_on_no_terminal():
    evil = "\x1b[31ma\nb"
    assert "\x1b" not in "".join(text(now(cell(evil), cell("b"), what=evil)))
