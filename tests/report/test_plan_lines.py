"""What `--dry-run` prints: cells by the names that results have."""

import shutil
from pathlib import Path

from harness.report.plan_lines import draw_plan
from harness.runner.plan import make_plan
from harness.runner.settings import load_settings

LLAMA = Path(__file__).resolve().parents[1] / "fixtures" / "logits" / "llama-tied"


def test_a_folder_is_called_by_its_name_where_that_tells_it_apart(tmp_path):
    places = [tmp_path / "a" / "toy" / "v1", tmp_path / "b" / "toy"]
    for place in places:
        shutil.copytree(LLAMA, place)
    for count, word in ((1, "toy"), (2, str(places[0]))):
        models = tuple(map(str, places[:count]))
        settings = load_settings("ci", model=models, quant=("fp32",), prompt=(8,))
        lines = draw_plan(make_plan(settings, usable_threads=1)).splitlines()
        assert lines[0] == f"{word}/fp32/cpu/ort/t1/b1  pp8 @ d0"
