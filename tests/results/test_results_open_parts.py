"""The environment and the plan of a document: typed, and nothing that they say is lost."""

import json
from dataclasses import fields
from pathlib import Path

import pytest
from msgspec import UNSET

from harness.results.document import decode_document, encode_document
from harness.results.environment import Environment
from harness.results.plan import RunPlan
from harness.results.unknown import gathered
from harness.runner.settings import Settings
from tests.results.results_samples import document, record, unchecked

ROOT = Path(__file__).resolve().parents[2]
COMMITTED = sorted((ROOT / "results").glob("*/*.json"))
PEAK = {"threads": 2, "bytes_per_s": 9.9e9, "processes": []}


def written(**parts):
    """A document's bytes with these parts, as another harness may have written them."""
    table = json.loads(unchecked(encode_document(document(record()))))
    return json.dumps({**table, **parts}).encode()


def again(content):
    """What is written of a document that was read."""
    return json.loads(encode_document(decode_document(content)))


def within(said, found):
    """Whether all that was said is there; what is new since is null or empty."""
    if isinstance(said, dict):
        new = [found[key] for key in found.keys() - said.keys()]
        return not any(new) and all(within(value, found[key]) for key, value in said.items())
    if isinstance(said, list):
        return len(said) == len(found) and all(map(within, said, found))
    return said == found


def test_keys_of_a_newer_harness_are_kept():
    environment = {"cpu_model": "X", "npu_model": "Y", "unknown": {}}
    plan = {"rounds": 5, "votes": [1, 2], "part": [{"model": ["m"]}]}
    content = written(environment=environment, plan=plan)
    read, table = decode_document(content), again(content)
    assert (read.environment.cpu_model, read.plan.rounds) == ("X", 5)
    assert read.environment.others == {"npu_model": "Y"}
    assert table["environment"] == {**table["environment"], **environment}
    assert table["plan"] == plan


@pytest.mark.parametrize(
    "environment",
    [
        {"cpu_model": ["odd"]},
        {"packages": {"onnxruntime": None}},
        {"read_bandwidth": [3, {}, {"bytes_per_s": "fast"}]},
        {"calibration": [{"constants": {"bandwidth": [{"rate_per_s": -1.0}]}}]},
    ],
)
def test_a_value_of_another_form_is_kept_and_says_nothing(environment):
    content = written(environment=environment)
    (name, value) = next(iter(environment.items()))
    assert getattr(decode_document(content).environment, name) == getattr(Environment(), name)
    assert again(content)["environment"][name] == value


def test_what_is_known_of_a_richer_value_is_read_and_all_of_it_kept():
    """Each process of a peak may say more one day."""
    peaks = [{**PEAK, "cache_bytes": 2**25}]
    content = written(environment={"read_bandwidth": peaks})
    (peak,) = decode_document(content).environment.read_bandwidth
    assert (peak.threads, peak.bytes_per_s) == (2, 9.9e9)
    assert again(content)["environment"]["read_bandwidth"] == peaks


def test_a_key_that_was_left_out_stays_out():
    """Of a plan with parts no list of its own is written."""
    plan = gathered({"rounds": 3, "enc": None}, RunPlan)
    assert (plan.rounds, plan.enc, plan.model) == (3, None, UNSET)
    assert again(written(plan={"rounds": 3, "enc": None}))["plan"] == {"rounds": 3, "enc": None}


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.stem)
def test_committed_documents_say_nothing_that_has_no_field(path):
    """Of format 1 and 2: every key is typed, and comes back as it was found."""
    content = path.read_bytes()
    table = json.loads(content)
    if table.get("schema") != "bench.results":
        pytest.skip("a table of a study")
    read = decode_document(content)
    assert (read.environment.others, read.plan.others) == ({}, {})
    found = again(content)
    assert found["plan"] == table["plan"]
    assert within(table["environment"], found["environment"])


def test_the_stored_plan_has_every_key_of_the_settings():
    """All but how it was asked for, which decides nothing once the cells are laid out."""
    settings = {field.name for field in fields(Settings)} - {"given"}
    stored = set(RunPlan.__struct_fields__)
    told = {"fetched", "rounds_done", "effort", "progress", "spent_s", "fit", "cell", "others"}
    assert stored - settings == told
    assert settings <= stored
