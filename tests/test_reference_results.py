"""The committed results: readable, complete, nameless, and each beside the table drawn from it."""

import json
import lzma
import re
import subprocess
import sys
from pathlib import Path

import pytest

from harness.analysis.errors import study_errors
from harness.analysis.scaling import study_scaling
from harness.report.render import render
from harness.report.scaling_table import draw_study as draw_scaling
from harness.report.validate_table import draw_study, study_json
from harness.results.document import read_document
from harness.runner.plan import make_plan
from harness.runner.settings import load_settings

FOLDER = Path(__file__).resolve().parent.parent / "results" / "reference"
FILES = sorted(FOLDER.glob("*.json"))
VALIDATION = FOLDER.parent / "validation"
BENCHMARKS = FOLDER.parents[1] / "benchmarks"
JOURNALS = {
    "aa": "aa_rates",
    "ab-power": "ab_power",
    "attention": "attention_constants",
    "fit-rates": "fit_rates",
    "flips": "level_flips",
    "gate-rates": "busy_neighbour",
    "prefill-shapes": "prefill_shapes",
    "steps": "step_power",
    "stored-power": "stored_power",
    "tune-trials": "tune_trials",
}


def test_there_is_a_reference():
    assert [path.stem for path in FILES]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_table_beside_it_is_drawn_from_it(path):
    drawn = render(read_document(path), "md")
    assert path.with_suffix(".md").read_text(encoding="utf-8") == drawn


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_cell_was_measured_in_at_least_five_processes(path):
    for record in read_document(path).records:
        assert record.status == "ok"
        assert len(record.samples) >= 5


@pytest.mark.parametrize(
    "path", [*FILES, *sorted(VALIDATION.glob("*.json"))], ids=lambda path: path.stem
)
def test_it_names_no_place(path):
    """No absolute path of any system: nothing between quotes begins with a slash or a drive."""
    text = path.read_text(encoding="utf-8")
    assert not re.search(r'"(/[a-z]|[A-Z]:\\\\)', text)


def test_the_errors_of_the_estimates_are_those_of_the_documents_beside_them():
    """Drawn again from both runs: the table and the kept JSON are theirs to the last digit."""
    first, again = (read_document(VALIDATION / name) for name in ("first.json", "again.json.xz"))
    study = study_errors([first], [again])
    table = study_json(study, [first], [again], None)
    assert json.loads((VALIDATION / "errors.json").read_text(encoding="utf-8")) == table
    text, _ = draw_study(study, table, "md")
    assert (VALIDATION / "errors.md").read_text(encoding="utf-8") == f"{text}\n"


@pytest.mark.parametrize(("name", "script"), JOURNALS.items())
def test_what_was_found_out_about_comparing_is_told_from_its_journal(name, script, tmp_path):
    """The committed table is what the script says of the committed pairs and processes."""
    command = [sys.executable, str(BENCHMARKS / f"{script}.py"), "report", "--file"]
    journal, packed = VALIDATION / f"{name}.jsonl", VALIDATION / f"{name}.jsonl.xz"
    if packed.is_file():
        journal = tmp_path / journal.name
        journal.write_bytes(lzma.decompress(packed.read_bytes()))
    told = subprocess.run([*command, str(journal)], capture_output=True, text=True, check=True)
    assert (VALIDATION / f"{name}.md").read_text(encoding="utf-8") == told.stdout


def test_every_held_out_cell_was_measured():
    """What `configs/validate.toml` lists, and nothing left out: none failed, none is INVALID."""
    first = read_document(VALIDATION / "first.json")
    plan = make_plan(load_settings("validate"), usable_threads=2)
    assert len(first.records) == plan.cell_count
    assert {record.status for record in first.records} == {"ok"}


def test_the_scaling_table_is_drawn_from_its_document():
    text, _ = draw_scaling(study_scaling([read_document(VALIDATION / "scaling.json")]), "md")
    assert (VALIDATION / "scaling.md").read_text(encoding="utf-8") == f"{text}\n"
