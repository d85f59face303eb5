"""Machines of a document: one document each, and no comparison takes two for one."""

import pytest
from msgspec import structs

from harness.analysis.compare import ROUNDS, Question, compare_axis
from harness.core.errors import UsageError
from harness.history.rows import machine_row
from harness.report.site.sources import source_of
from harness.results.environment import MachineFacts
from harness.results.judged import judge_records
from harness.results.machines import machine_id, machine_of, machines_of
from harness.results.merged import joined
from harness.results.plan import CellMark
from harness.results.requirement import parse_requirements
from harness.results.schema import Metric
from tests.replies import process, sample
from tests.results.results_samples import cell, document, record

STEPS_NS = [[1_000_000, 1_000_000], [1_010_000, 990_000], [1_005_000, 1_000_000]]


def measured(level, machine, run_id):
    rows = tuple(
        structs.replace(process(sample(itl_ns=[steps])), round=number)
        for number, steps in enumerate(STEPS_NS)
    )
    rate = Metric(value=1000.0, low=990.0, high=1010.0, unit="tok/s", processes=3)
    one = structs.replace(
        record(), cell=cell(gen=2, level=level), samples=rows, metrics={"decode_tok_s": rate}
    )
    return document(one, run_id=run_id, environment={"cpu_model": machine})


ONE = [measured("fp32", "a", "run-1"), measured("int4", "a", "run-2")]
TWO = [*ONE, measured("fp32", "b", "run-3")]


def test_each_machine_has_a_document_of_its_own():
    found = machines_of(joined(TWO, "merge-1"))
    assert list(found) == [machine_of(TWO[0]), machine_of(TWO[2])]
    assert [len(one.records) for one in found.values()] == [2, 1]
    assert machines_of(ONE[0]) == {machine_of(ONE[0]): ONE[0]}


def test_what_a_boot_changes_makes_no_other_machine():
    """Memory by the GiB, no system, no state; a word of the operator's does."""
    facts = MachineFacts(cpu_model="a", memory_bytes=8 * 2**30 - 10**6, os="12", governor="x")
    later = structs.replace(facts, memory_bytes=8 * 2**30 - 10**7, os="13", governor="y")
    assert machine_id(facts, "") == machine_id(later, "")
    others = [structs.replace(facts, cpu_model="b"), structs.replace(facts, memory_bytes=2**30)]
    assert len({machine_id(one, "") for one in (facts, *others)} | {machine_id(facts, "w")}) == 4


def test_an_index_and_a_site_tell_two_of_a_kind_apart():
    """By their words; the index has the first digits of the same hash."""
    runs = [
        structs.replace(
            ONE[0],
            plan=structs.replace(
                ONE[0].plan,
                cell=CellMark(hash="c", machine=machine_id(ONE[0].environment, word), label=word),
            ),
        )
        for word in ("shelf-1", "shelf-2")
    ]
    rows = [machine_row(run) for run in runs]
    for row, run in zip(rows, runs, strict=True):
        assert machine_of(run).startswith(row.machine)
        assert row.name.endswith(run.plan.cell.label)
        assert source_of(run, "a.json").machine.endswith(run.plan.cell.label)
    assert rows[0].machine != rows[1].machine


def test_levels_of_two_runs_of_one_machine_share_no_rounds():
    """Within one run they do: what is measured in turns is paired."""
    apart = compare_axis(joined(ONE, "merge-1"), "quant", None, Question())
    assert {row.basis for row in apart.rows} != {ROUNDS}
    both = document(*(run.records[0] for run in ONE))
    together = compare_axis(both, "quant", None, Question())
    assert ROUNDS in {row.basis for row in together.rows}


def test_machines_are_never_taken_for_a_level():
    with pytest.raises(UsageError, match="2 machines"):
        compare_axis(joined(TWO, "merge-1"), "quant", None, Question())


def test_a_limit_is_judged_on_every_machine():
    limits = parse_requirements(("decode>=1",), "require")
    assert len(judge_records(joined(TWO, "merge-1").records, limits)) == 3
