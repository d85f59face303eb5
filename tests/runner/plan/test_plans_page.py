"""docs/plans.md has every key, preset and plan, and its examples are plans."""

import re
from pathlib import Path

import pytest

from harness.runner.settings import FLAGS, PRESETS, Settings, read_plan
from harness.runner.settings.load import shipped_plans
from harness.runner.settings.page import as_toml

PAGE = Path(__file__).resolve().parents[3] / "docs" / "plans.md"


def test_every_key_preset_and_plan_is_a_line():
    text = PAGE.read_text(encoding="utf-8")
    names = [row.key for row in FLAGS if row.in_plan]
    for name in (*names, *PRESETS, *shipped_plans()):
        assert f"\n| `{name}` | " in text


@pytest.mark.parametrize("number", [0, 1])
def test_the_examples_are_plans(number, tmp_path):
    text = re.findall(r"```toml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[number]
    path = tmp_path / "plan.toml"
    path.write_text(text)
    assert read_plan(path) != Settings()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        ((), "–"),
        (True, "true"),
        (("a", 1), '["a", 1]'),
        (((1, 2),), "[[1, 2]]"),
        (0.5, "0.5"),
    ],
)
def test_values_are_drawn_as_toml(value, text):
    assert as_toml(value) == text
