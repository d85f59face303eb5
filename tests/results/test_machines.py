"""Machines of a document: one document each, and no comparison takes two for one."""

import pytest
from msgspec import structs

from harness.analysis.compare import ROUNDS, Question, compare_axis
from harness.core.errors import UsageError
from harness.results.judged import judge_records
from harness.results.machines import machine_of, machines_of
from harness.results.merged import joined
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
