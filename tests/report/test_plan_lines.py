"""What `--dry-run` prints: cells by the names that results have."""

import json
import shutil

import pytest

from harness.report.plan_lines import draw_plan
from harness.runner.plan import make_plan
from harness.runner.settings import load_settings
from tests.builder.graph.seeded_folder import folder_of

LLAMA = folder_of("llama-tied")


def plan_of(**flags):
    settings = load_settings("ci", model=(str(LLAMA),), quant=("fp32",), prompt=(8,), **flags)
    return make_plan(settings, usable_threads=1)


def test_a_dry_run_says_what_else_is_asked_for():
    plain, asked = (
        draw_plan(plan_of(**flags)).splitlines()[-1]
        for flags in ({}, {"sustain": 60.0, "budget": 300.0, "quality": True})
    )
    assert asked == (
        f"{plain}, no round begun after 300 s, each test 60 s without a rest as well, "
        "quality beside the reference"
    )


@pytest.mark.parametrize("style", ["json", "jsonl"])
def test_a_dry_run_is_json_where_that_is_asked_for(style):
    plan = plan_of()
    text = draw_plan(plan, style)
    cells = json.loads(text) if style == "json" else list(map(json.loads, text.splitlines()))
    assert len(cells) == plan.cell_count
    assert cells[0]["level"] == "fp32"
    assert cells[0]["workload"] == "pp8 @ d0"
    assert str(LLAMA) not in text


def test_a_folder_is_called_by_its_name_where_that_tells_it_apart(tmp_path):
    places = [tmp_path / "a" / "toy" / "v1", tmp_path / "b" / "toy"]
    for place in places:
        shutil.copytree(LLAMA, place)
    for count, word in ((1, "toy"), (2, str(places[0]))):
        models = tuple(map(str, places[:count]))
        settings = load_settings("ci", model=models, quant=("fp32",), prompt=(8,))
        lines = draw_plan(make_plan(settings, usable_threads=1)).splitlines()
        assert lines[0] == f"{word}/fp32/cpu/ort/t1/b1  pp8 @ d0"
