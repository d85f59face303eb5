"""Energy of a record: out of its processes' counters, or unavailable and why."""

import pytest
from msgspec import json
from msgspec.structs import replace

from harness.results.enums import EnergyKind
from harness.results.replies import EnergyUsed
from harness.results.schema import Energy, Metric
from harness.results.summarize import energy_of, summarize, without_doubtful
from tests.results.results_samples import cell, process

RAPL = EnergyUsed(joules=12.0, host="rapl", parts={"rapl": 12.0})
NONE = EnergyUsed(joules=None, reason="rapl: absent, none")
MS = 1_000_000


def metrics(place, sample, energy=RAPL):
    found = summarize(place, [replace(process(sample), energy=energy)])
    return {name: found[name].value for name in found if "energy" in name or name.startswith("j_")}


def test_energy_is_that_of_one_pass():
    """12 J over 3 passes of 4 tokens in 2 sequences: 4 J a pass, 0.5 J a token."""
    decode = {"itl_ns": [[MS] * 4] * 3}
    assert metrics(cell(gen=4, batch=2), decode) == {"energy_j": 4.0, "j_per_token": 0.5}


def test_a_prefill_is_counted_by_what_it_reads_and_a_request_by_what_it_writes():
    """12 J a pass: over 6 tokens read 2 J each, over 3 written 4 J each."""
    assert metrics(cell(prompt=6), {"prefill_ns": [MS]})["j_per_token"] == 2.0
    request = {"prefill_ns": [MS], "ttft_ns": [MS], "itl_ns": [[MS] * 2], "e2e_ns": [3 * MS]}
    assert metrics(cell(prompt=6, gen=3), request)["j_per_token"] == 4.0


def test_an_encoder_is_counted_by_its_texts():
    """12 J over 2 passes of 3 texts."""
    encoder = cell(prompt=8, sequences=3, workload="enc8x3")
    assert metrics(encoder, {"encode_ns": [MS, MS]}) == {"energy_j": 6.0, "j_per_sequence": 2.0}


@pytest.mark.parametrize("energy", [NONE, None])
def test_energy_that_nothing_counted_is_no_metric(energy):
    assert metrics(cell(gen=4), {"itl_ns": [[MS] * 4]}, energy) == {}


def told(*energies):
    return energy_of([replace(process({}), energy=energy) for energy in energies])


def test_a_record_names_its_counters_or_the_reason():
    assert told(RAPL, RAPL) == Energy(kind=EnergyKind.MEASURED, host="rapl", processes=2)
    assert told(NONE) == Energy(kind=EnergyKind.UNAVAILABLE, reason="rapl: absent, none")
    assert told(None) is None, "documents from before energy say nothing"


def test_processes_that_lack_it_are_not_counted():
    assert told(NONE, RAPL).processes == 1


def test_two_counters_in_one_record_are_no_measurement():
    found = told(RAPL, replace(RAPL, host="battery"))
    assert found.kind is EnergyKind.UNAVAILABLE
    energy = Metric(value=1.0, unit="J", processes=2)
    assert without_doubtful({"energy_j": energy, "load_ms": energy}, found) == {"load_ms": energy}


def test_samples_are_written_with_their_energy_where_somebody_asked():
    assert b'"energy":{"joules":12.0' in json.encode(replace(process({}), energy=RAPL))
    assert b"energy" not in json.encode(process({}))


def test_parts_of_a_counter_are_those_of_one_pass():
    """6 J of the processor and 2 J of memory over two passes are 3 J and 1 J."""
    used = EnergyUsed(
        joules=8.0,
        host="ioreport",
        parts={"ioreport": 8.0},
        zones={"ioreport": {"cpu": 6.0, "dram": 2.0}},
        proofs={"ioreport": "follows load: 1 W idle, 9 W busy"},
    )
    sample = {"itl_ns": [[MS] * 4, [MS] * 4]}
    found = energy_of([replace(process(sample), energy=used)] * 3)
    assert found.zones == {"ioreport": {"cpu": 3.0, "dram": 1.0}}
    assert found.proofs == used.proofs
