"""Machines beside one another: which cells belong together, and what is said of the rest."""

import pytest
from msgspec import structs

from harness.analysis.compare import Question
from harness.analysis.compare_machines import compare_machines
from harness.core.errors import UsageError
from harness.fleet.merge import merge
from harness.results.enums import Verdict
from tests.fleet.results import result

A, B, C = "a" * 16, "b" * 16, "c" * 16
DECODE = Question(metrics=("decode_tok_s",))
SLOW = (20.0, 20.2, 19.8, 20.1, 19.9)


def compared(*results, base=None, question=DECODE):
    return compare_machines([merge(results).document], base, question)


def test_each_other_machine_beside_the_first_cell_by_cell():
    found = compared(result(0, A), result(1, A), result(0, B, times_ms=SLOW), result(0, C))
    lines = [(row.cell.gen, row.sides) for row in found.rows]
    assert lines == [(4, ("cpu a", "cpu b")), (4, ("cpu a", "cpu c"))]
    slower, same = found.rows
    assert (slower.verdict, round(slower.center, 2)) == (Verdict.WORSE, 0.5)
    assert same.verdict is Verdict.SAME
    assert slower.interval[0] < 0.5 < slower.interval[1]
    assert found.axis_values == (("cpu a",), ("cpu b", "cpu c"))


def test_no_round_is_shared_so_nothing_is_paired():
    (row,) = compared(result(0, A), result(0, B)).rows
    assert row.basis == "processes"


def test_a_cell_is_the_same_one_where_each_machine_chose_its_threads():
    (row,) = compared(result(0, A, threads=2), result(0, B, threads=8)).rows
    assert (row.cell.threads, row.new_cell.threads) == (2, 8)


def test_the_base_by_name_or_by_the_first_digits_of_its_hash():
    results = result(0, A, label="shelf-1"), result(0, B)
    for word in ("shelf-1", "aaaa"):
        assert compared(*results, base=word).axis_values[0] == ("shelf-1",)
    with pytest.raises(UsageError, match="no machine is called 'shelf-9'") as refused:
        compared(*results, base="shelf-9")
    assert "shelf-1" in refused.value.fix


def test_what_the_machines_differ_in_is_told():
    found = compared(result(0, A), result(0, B), result(1, B))
    assert any("cpu b beside cpu a: cpu_model cpu a and cpu b" in note for note in found.notes)
    assert any(note.startswith("only in cpu b: ") for note in found.notes)
    assert not any("9 in 10" in note for note in found.notes)


def test_one_machine_is_beside_none():
    with pytest.raises(UsageError, match="there is cpu a"):
        compared(result(0, A), result(1, A))


def test_two_methods_are_not_compared():
    old = structs.replace(result(0, B), method_version=1)
    with pytest.raises(UsageError, match="methods 1, "):
        compare_machines([result(0, A), old], None, DECODE)
