"""What stands below a table of the counters of energy."""

from msgspec import structs

from harness.report.energy_notes import energy_notes
from harness.results.enums import EnergyKind
from harness.results.schema import Energy
from tests.measured_documents import record


def counted(**fields):
    energy = Energy(kind=EnergyKind.MEASURED, processes=1, **fields)
    return structs.replace(record([10.0]), energy=energy)


def test_a_counter_stands_with_what_was_seen_of_it():
    proof = {"rapl": "follows load: 10 W idle, 30 W busy"}
    (note,) = energy_notes([counted(host="rapl", proofs=proof)])
    assert note.startswith("energy: rapl (follows load: 10 W idle, 30 W busy); others' load")


def test_parts_stand_apart_with_their_shares_over_rows():
    """3 of 4 J are the processor's in one row, 1 of 4 in the other."""
    rows = [
        counted(host="ioreport", zones={"ioreport": {"cpu": cpu, "gpu": 4 - cpu}}) for cpu in (3, 1)
    ]
    _, parts = energy_notes(rows)
    assert parts == "energy of ioreport, by part: cpu 25-75%, gpu 25-75%"


def test_a_table_without_counters_says_nothing_of_them():
    assert list(energy_notes([record([10.0])])) == []
