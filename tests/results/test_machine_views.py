"""Machines of documents: their names, their runs, their peaks; nobody's host among them."""

import pytest
from msgspec import structs

from harness.fleet.laying import cells_of
from harness.fleet.merge import merge
from harness.fleet.scheduling.jobs import Loss
from harness.fleet.scheduling.outcome import lost_cell
from harness.results.environment import ReadBandwidth
from harness.results.machine_views import (
    as_one_machine,
    machine_views,
    names_by_source,
)
from harness.runner.settings import load_settings
from tests.fleet.results import result

A, B = "a" * 16, "b" * 16


def merged(*results, cells=()):
    return merge(results, cells).document


def reading(number, gb_per_s, threads=2, machine=A):
    peak = ReadBandwidth(threads=threads, bytes_per_s=gb_per_s * 1e9)
    made = result(number, machine)
    return structs.replace(
        made, environment=structs.replace(made.environment, read_bandwidth=(peak,))
    )


def test_a_machine_is_called_by_its_operator_else_by_its_processor():
    document = merged(result(0, A, label="shelf-1"), result(0, B), result(1, B))
    assert [one.name for one in machine_views([document])] == ["cpu b", "shelf-1"]
    assert names_by_source(document) == ("cpu b", "cpu b", "shelf-1")


def test_two_of_one_kind_are_told_apart_by_their_hash():
    twin = structs.replace(result(0, B), environment=result(0, A).environment)
    names = [one.name for one in machine_views([merged(result(0, A), twin)])]
    assert names == ["cpu a aaaa", "cpu a bbbb"]


def test_the_peak_of_a_machine_is_the_median_of_its_runs():
    document = merged(reading(0, 4.0), reading(1, 6.0), reading(2, 5.0), reading(3, 2.0, threads=1))
    (machine,) = machine_views([document])
    found = {one.threads: one.bytes_per_s for one in machine.environment.read_bandwidth}
    assert found == {1: 2.0e9, 2: 5.0e9}
    assert as_one_machine(document).environment == machine.environment


def test_a_document_of_one_run_stays_as_it_is():
    assert as_one_machine(result(0, A)) == result(0, A)
    assert names_by_source(result(0, A)) == ()


@pytest.mark.parametrize(("label", "name"), [("shelf-2", "shelf-2"), ("", B[:8])])
def test_a_machine_that_lost_all_its_cells_keeps_its_name(label, name):
    (cell,) = cells_of(load_settings("ci", model=("bytelm",), quant=("int4",), threads=("1",)))
    lost = lost_cell(Loss(cell.hash, B, label, "worker lost"), cell, "2026-11-29T00:00:00+00:00")
    document = merged(result(0, A, label="shelf-1"), lost)
    assert [one.name for one in machine_views([document])] == ["shelf-1", name]


def test_cells_that_nobody_measured_belong_to_none():
    cells = cells_of(load_settings("ci", model=("bytelm",), quant=("int4",), threads=("1",)))
    views = machine_views([merged(result(0, A), cells=cells)])
    assert [(one.name, bool(one.id)) for one in views] == [("cpu a", True), ("none", False)]
