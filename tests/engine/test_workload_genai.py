"""onnxruntime-genai runs the same tests as our own loop, and chooses the same tokens."""

import json
from pathlib import Path

import numpy as np
import pytest

from harness.devices.device import find_device
from harness.engine.passes import run_pass
from harness.engine.workload import Workload
from harness.machine.process.worker import Worker
from harness.results.enums import Kind
from harness.runner.loop.session import first_test, session_arguments
from harness.runner.plan import make_plan
from harness.runner.plan.checks import WORKERS
from harness.runner.settings import load_settings
from harness.store.cache import ensure_artifact

pytest.importorskip("onnxruntime_genai", reason="the extra `genai` is not installed")
from harness.engine.genai import GenaiDecoder, open_model

EXPORT = Path(__file__).parents[1] / "fixtures" / "exports" / "genai" / "llama-fp32"
EXPECTED = json.loads((EXPORT / "expected.json").read_text(encoding="utf-8"))
IDS = np.array(EXPECTED["inputs"]["input_ids"])
LOGITS = np.array(EXPECTED["outputs"]["logits"])
CAPACITY_TOKENS, LONG_S = 40, 120.0


@pytest.fixture(scope="module")
def decoder():
    """A folder of the model builder, open."""
    opened = open_model(EXPORT, find_device("cpu"), 1)
    return GenaiDecoder(opened, EXPECTED["vocab_size"], CAPACITY_TOKENS)


def test_a_pass_over_a_prompt_gives_torchs_logits(decoder):
    decoder.rewind(0)
    found = decoder.prefill(IDS)
    np.testing.assert_allclose(found[:, -1], LOGITS[:, -1], rtol=0, atol=5e-5)


def test_a_step_after_a_rewind_reads_the_token_it_was_given(decoder):
    """Six tokens, then the seventh as a step: it chooses what torch finds most probable there."""
    decoder.rewind(0)
    decoder.prefill(IDS[:, :6])
    decoder.next_ids[...] = IDS[:, 6]
    decoder.greedy_step()
    assert decoder.chosen(7, 1).item() == LOGITS[0, 6].argmax()


@pytest.mark.parametrize(
    "workload",
    [
        Workload(Kind.PREFILL, 8, 0),
        Workload(Kind.DECODE, 0, 6, 12),
        Workload(Kind.REQUEST, 8, 5),
        Workload(Kind.REQUEST, 8, 1),
    ],
    ids=lambda workload: workload.name,
)
def test_a_pass_has_its_samples_and_repeats_itself(decoder, workload):
    """From the same depth the same tokens are chosen, as many as were asked for."""
    decoder.fill(workload.depth_tokens, seed=0)
    ids = IDS[:, : max(workload.prompt_tokens, 1)]
    first, second = (run_pass(decoder, workload, ids) for _ in range(2))
    assert first.digest == second.digest
    assert len(first.tokens) == max(workload.gen_tokens, 1)
    assert first.finite


@pytest.mark.parametrize("level", ["fp32", "int4"])
def test_both_runtimes_choose_the_same_tokens_of_a_built_folder(tmp_path, level):
    """What stands side by side in a table is the same work: prompt, request, decode from 0."""
    settings = load_settings(
        "ci", model=("bytelm",), quant=(level,), runtime=tuple(WORKERS), pg=((12, 6),), gen=(5,)
    )
    ours, theirs = make_plan(settings, usable_threads=1).groups
    artifact = ensure_artifact(ours.source, level, tmp_path)
    assert digests(ours, artifact) == digests(theirs, artifact)


def digests(group, artifact):
    """Test name -> digest of what was chosen, in a fresh worker of the group's runtime."""
    found = {}
    with Worker.start(group.worker) as worker:
        reply = worker.ask(
            "open",
            LONG_S,
            first=first_test(group.workloads),
            capacity_tokens=group.capacity_tokens,
            **session_arguments(group, artifact, 0),
        )
        assert reply["placement"]["verdict"] == ("FULL" if group.runtime == "ort" else "UNKNOWN")
        for test in group.workloads:
            reply = worker.ask("sample", LONG_S, workload=test, min_passes=1, min_seconds=0)
            found[test.name] = reply["digest"]
    return found


def test_memory_of_a_fresh_child(tmp_path):
    settings = load_settings("ci", model=("bytelm",), quant=("int4",), runtime=("genai",), gen=(8,))
    (group,) = make_plan(settings, usable_threads=1).groups
    artifact = ensure_artifact(group.source, "int4", tmp_path)
    with Worker.start(group.worker) as worker:
        reply = worker.ask(
            "memory",
            LONG_S,
            workload=group.workloads[0],
            **session_arguments(group, artifact, 0),
        )
    assert 0 < reply["load_delta_bytes"] <= reply["peak_delta_bytes"]
