"""Estimates beside published rows: what a group's figures are made of, and what is refused."""

from math import log
from pathlib import Path

import pytest

from harness.analysis.published import (
    ESTIMATORS,
    LEFT_OUT,
    OURS,
    Judged,
    _group,
    study_published,
)
from harness.cli.main import main
from harness.core.encoding import read_json_file
from harness.estimator.published.asking import ask_rows
from harness.estimator.published.rows import COLUMNS, shipped_rows
from harness.report.published_table import draw_published, published_json

VALIDATION = Path(__file__).parents[2] / "results" / "validation"
ROW = "rpi5,Pi 5,cpu,ollama,llama-3.2-1b,,4,,30,,,,11.2,,,,me,2026-01-01,Q4_K_M"


def judged(ratio, factor=2.0):
    """A decode rate beside an estimate."""
    (asked,), _ = ask_rows(shipped_rows()[:1])
    return Judged(asked, "decode", OURS, ratio, factor)


def test_a_group_tells_what_its_ratios_say():
    """Ratios of 1, 1/3 and 3, a factor of 2: one of three inside, errors 0, ln 3 and ln 3."""
    row = _group("decode", "all", OURS, [judged(1.0), judged(1 / 3), judged(3.0)])
    assert (row.rows, row.inside) == (3, pytest.approx(1 / 3))
    assert row.median_ratio == pytest.approx(1.0)
    assert row.median_ln == pytest.approx(log(3.0))
    assert row.rms_ln == pytest.approx((2 * log(3.0) ** 2 / 3) ** 0.5)
    assert row.width == pytest.approx(4.0)


def test_a_rule_has_no_range():
    row = _group("decode", "all", "params", [judged(2.0, None)])
    assert (row.inside, row.width) == (None, None)


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--published", "none.csv"], "none.csv cannot be read"),
        (["--published", "shipped", "--by", "model"], "--by model is of measurements here"),
        (["run.json", "--published", "shipped"], "nothing measured"),
        (["run.json", "--by", "device"], "--by device goes with --published"),
    ],
)
def test_what_cannot_be_judged_is_refused(words, problem, capsys):
    assert main(["validate-estimates", *words]) in (2, 5)
    assert problem in " ".join(capsys.readouterr().err.split())


def test_a_file_without_units_is_refused(tmp_path, capsys):
    path = tmp_path / "rows.csv"
    path.write_text(",".join(COLUMNS).replace("decode_tok_s", "decode") + f"\n{ROW}\n")
    assert main(["validate-estimates", "--published", str(path)]) == 2
    assert "the column 'decode' states no unit" in capsys.readouterr().err


@pytest.mark.slow
def test_the_kept_table_is_drawn_from_the_rows_that_ship():
    """A refit in seconds, without numpy; figures may move in their fourth digit."""
    study = study_published(shipped_rows())
    kept = read_json_file(VALIDATION / "published" / "table.json")
    made = published_json(study, "shipped")
    assert {**made, "rows": None} == {**kept, "rows": None}
    for row, stored in zip(made["rows"], kept["rows"], strict=True):
        figures = {key: value for key, value in stored.items() if isinstance(value, float)}
        assert {key: row[key] for key in figures} == pytest.approx(figures, rel=0.02, abs=0.02)
        assert {**row, **figures} == stored
    text, _ = draw_published(study, made, "md")
    assert len(text.splitlines()) == len(
        (VALIDATION / "published" / "table.md").read_text(encoding="utf-8").splitlines()
    )


def test_the_bars_hold_on_the_kept_table():
    """Ranges hold 75 to 90 % of decode rates of left-out devices, 65 % of each larger group."""
    rows = read_json_file(VALIDATION / "published" / "table.json")["rows"]
    left = {
        row["group"]: row
        for row in rows
        if (row["metric"], row["estimator"]) == ("decode", LEFT_OUT)
    }
    whole = left.pop("all")
    assert 0.75 <= whole["inside"] <= 0.90
    assert whole["median_ln"] <= 0.20
    assert whole["width"] <= 2.5
    assert all(row["inside"] >= 0.65 for row in left.values() if row["rows"] >= 8)
    assert {row["estimator"] for row in rows} == set(ESTIMATORS)
