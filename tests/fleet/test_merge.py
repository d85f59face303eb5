"""Merging: each result once, in whatever order, and what is wrong is named."""

import json
import random

import pytest
from msgspec import structs

from harness.core.errors import EXIT_CELLS, EXIT_OK, UsageError
from harness.fleet.laying import cells_of
from harness.fleet.merge import NOT_RUN, merge, merge_paths
from harness.report.render import FORMATS, render
from harness.results.document import decode_document, encode_document, write_document
from harness.results.enums import Status
from harness.results.merged import runs_of
from harness.results.plan import CellMark
from harness.runner.settings import load_settings
from tests.results.results_samples import cell, document, record


def result(number=0, machine="a" * 16, hash_="", label="", value=50.0, **fields):
    """A result of one row of a cell on a machine."""
    row = structs.replace(record(), cell=cell(gen=number + 1))
    shown = structs.replace(row.metrics["decode_tok_s"], value=value)
    made = document(
        structs.replace(row, metrics={"decode_tok_s": shown}),
        run_id=f"run-{number}-{machine[:4]}",
        created_utc=f"2026-11-22T10:{number % 60:02}:00+00:00",
        environment={"cpu_model": f"cpu {machine[0]}", "memory_bytes": 2**30},
        **fields,
    )
    mark = CellMark(hash=hash_ or f"{number:016x}", machine=machine, label=label)
    return structs.replace(made, plan=structs.replace(made.plan, cell=mark))


def encoded(documents, cells=()):
    return encode_document(merge(documents, cells).document)


FOUR = [result(number, machine) for number in range(2) for machine in ("a" * 16, "b" * 16)]


def test_each_record_knows_its_machine():
    found = decode_document(encoded(FOUR))
    machines = [found.sources[one.source].environment.cpu_model for one in found.records]
    assert machines == ["cpu a", "cpu a", "cpu b", "cpu b"]
    assert found.environment.cpu_model is None
    assert found.environment.memory_bytes == 2**30


def test_its_runs_are_what_went_in():
    assert sorted(runs_of(merge(FOUR).document), key=str) == sorted(FOUR, key=str)


@pytest.mark.parametrize("seed", range(20))
def test_order_copies_and_earlier_merges_change_nothing(seed):
    """Merged of everything at once, or of merges of any parts with any of them again."""
    draw = random.Random(seed)
    every = [
        result(number, machine, value=draw.choice([50.0, 60.0]))
        for number in range(6)
        for machine in draw.sample(["a" * 16, "b" * 16, "c" * 16], draw.randint(1, 3))
    ]
    whole = encoded(every)
    pieces = []
    for _ in range(draw.randint(1, 4)):
        part = draw.sample(every, draw.randint(1, len(every)))
        pieces.append(decode_document(encoded(part)))
    pieces += draw.choices(every, k=3) + every
    draw.shuffle(pieces)
    assert encoded(pieces) == whole
    assert encoded([decode_document(whole), *pieces]) == whole


def test_the_newer_of_two_results_is_taken_and_both_are_named():
    old = result(1, hash_="f" * 16, value=50.0)
    new = structs.replace(result(2, hash_="f" * 16, value=51.0))
    merged = merge([new, old])
    assert merged.exit_code == EXIT_CELLS
    (told,) = merged.problems
    assert old.run_id in told
    assert f"{new.run_id} is taken" in told
    assert runs_of(merged.document) == (new,)
    assert merge([merged.document, old, new]).document == merged.document


def test_versions_of_two_results_are_told():
    packages = [{"packages": {"onnxruntime": version}} for version in ("1.31.1", "1.32.0")]
    old, new = (
        structs.replace(
            one, environment=structs.replace(one.environment, packages=environment["packages"])
        )
        for one, environment in zip(
            (result(1, hash_="f" * 16), result(2, hash_="f" * 16)), packages, strict=True
        )
    )
    (told,) = merge([old, new]).problems
    assert "onnxruntime 1.31.1 and 1.32.0" in told


def test_a_machine_that_changed_between_its_cells_is_told():
    """A note: numbers of both versions are there, and stand side by side."""
    runs = [
        structs.replace(
            one,
            environment=structs.replace(
                one.environment, packages={"onnxruntime": f"1.3{number}.0"}
            ),
        )
        for number, one in enumerate((result(1, label="shelf-3"), result(2, label="shelf-3")))
    ]
    merged = merge([*runs, result(3, "b" * 16)])
    assert merged.notes == ("shelf-3 was measured with onnxruntime 1.30.0 and 1.31.0",)
    assert merged.exit_code == EXIT_OK


def test_methods_are_never_mixed():
    old = structs.replace(result(1), method_version=1)
    merged = merge([old, result(2)])
    assert merged.document.method_version == result(2).method_version
    assert len(merged.document.sources) == 1
    (told,) = merged.problems
    assert "method 1" in told


def test_ordinary_runs_are_merged_too():
    """They have no cell: a run is what calls itself so."""
    runs = [document(record(), run_id=f"run-{number}") for number in range(3)]
    merged = merge([*runs, runs[0]])
    assert (len(merged.document.sources), merged.exit_code) == (3, EXIT_OK)
    other = structs.replace(runs[0], created_utc="2026-11-23T00:00:00+00:00")
    assert "run-0" in merge([*runs, other]).problems[0]


@pytest.fixture(scope="module")
def plan_cells():
    return cells_of(load_settings("ci", model=("bytelm",), quant=("fp32", "int4")))


def test_a_cell_without_a_result_is_rows_that_say_so(plan_cells):
    done, lost = plan_cells
    merged = merge([result(1, hash_=done.hash)], plan_cells)
    assert merged.exit_code == EXIT_CELLS
    assert [one.hash for one in merged.missing] == [lost.hash]
    rows = [one for one in merged.document.records if one.status is Status.SKIPPED]
    assert [one.cell for one in rows] == list(lost.rows)
    assert {one.reason for one in rows} == {NOT_RUN}
    assert encoded([merged.document], plan_cells) == encode_document(merged.document)


def test_a_result_that_comes_late_takes_the_place_of_such_rows(plan_cells):
    done, lost = plan_cells
    early = merge([result(1, hash_=done.hash)], plan_cells).document
    late = merge([early, result(2, hash_=lost.hash)])
    assert not [one for one in late.document.records if one.status is Status.SKIPPED]
    assert late.exit_code == EXIT_OK


def test_nothing_but_a_plan_is_a_document_of_nothing(plan_cells):
    assert all(one.status is Status.SKIPPED for one in merge([], plan_cells).document.records)


def test_two_hundred_results_of_ten_machines_are_one_document(tmp_path):
    """In folders by worker, each delivered twice."""
    for number in range(200):
        for folder in (f"worker-{number % 10}", "all"):
            (tmp_path / folder).mkdir(exist_ok=True)
            one = result(number, f"{number % 10:x}" * 16)
            write_document(one, tmp_path / folder / f"result-{number:016x}-{0:016x}.json")
    merged = merge_paths([tmp_path])
    assert (len(merged.document.records), merged.problems) == (200, ())
    assert len({one.plan.cell.machine for one in merged.document.sources}) == 10


def test_a_damaged_file_is_named_and_costs_no_other(tmp_path, plan_cells):
    for number, one in enumerate(FOUR):
        write_document(one, tmp_path / f"result-{number}.json")
    path = tmp_path / "result-0.json"
    path.write_bytes(path.read_bytes()[:400])
    (tmp_path / plan_cells[0].file_name).write_bytes(plan_cells[0].encoded())
    (tmp_path / "other.json").write_text(json.dumps({"a": 1}))
    begun = tmp_path / "unfinished-result-9"
    begun.mkdir()
    write_document(result(9), begun / "run-1.json")
    merged = merge_paths([tmp_path])
    assert (merged.exit_code, len(merged.document.sources)) == (EXIT_CELLS, 3)
    (told,) = merged.problems
    assert "result-0.json" in told
    assert merged.unfinished == 1


def test_nothing_to_merge_is_said(tmp_path):
    with pytest.raises(UsageError, match="no results file"):
        merge_paths([tmp_path])
    with pytest.raises(UsageError, match="not there"):
        merge_paths([tmp_path / "none"])


@pytest.mark.parametrize("style", FORMATS)
def test_every_format_draws_it(style, plan_cells):
    drawn = render(merge([*FOUR, *map(result, range(5, 7))], plan_cells).document, style)
    assert drawn
