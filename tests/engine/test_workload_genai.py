"""onnxruntime-genai runs the same tests as our own loop, and chooses the same tokens."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from harness.builder.graph.decoder import build_decoder
from harness.builder.graph.geometry import geometry_of
from harness.builder.quantize.levels import find_level
from harness.core.errors import ModelError
from harness.devices.device import find_device
from harness.devices.session import open_session
from harness.engine.decoder import DecoderSession
from harness.engine.passes import run_pass, seeded_ids
from harness.engine.workload import Workload
from harness.machine.process.worker import Worker
from harness.models.weights.seeded import SeededWeights
from harness.results.enums import Kind
from harness.runner.loop.session import first_test, session_arguments
from harness.runner.plan import make_plan
from harness.runner.settings import load_settings
from harness.store.cache import ensure_artifact
from tests.exports import EXPORTS
from tests.tiny import SPECS

pytest.importorskip("onnxruntime_genai", reason="the extra `genai` is not installed")
from harness.engine.genai import GenaiDecoder, open_model

EXPORT = EXPORTS / "genai" / "llama-fp32"
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


@pytest.mark.parametrize(
    "workload",
    [
        Workload(Kind.DECODE, 0, 45, 10),
        Workload(Kind.REQUEST, 40, 20),
        Workload(Kind.PREFILL, 5, 0, 55),
    ],
    ids=lambda workload: workload.name,
)
def test_caches_of_windows_are_begun_anew_for_every_pass(workload):
    """The builder's default for Gemma 2: 48 positions are kept, and no way leads back behind."""
    opened = open_model(EXPORT.with_name("gemma2-window"), find_device("cpu"), 1)
    assert not opened.rewinds
    windowed = GenaiDecoder(opened, 160, 63)
    windowed.fill(workload.depth_tokens, seed=0)
    ids = seeded_ids(1, 1, max(workload.prompt_tokens, 1), 160)
    assert len({run_pass(windowed, workload, ids).digest for _ in range(3)}) == 1


def test_a_window_without_layers_is_refused_before_it_fails(tmp_path):
    """The builder writes it so for Mistral: 33 tokens of a window of 16 are one too many."""
    folder = Path(shutil.copytree(EXPORT, tmp_path / "mistral"))
    config = json.loads((folder / "genai_config.json").read_text())
    window = {"window_size": 16, "slide_key_value_cache": False, "slide_inputs": False}
    config["model"]["decoder"]["sliding_window"] = {**window, "layers": [], "cache_slack": 0}
    (folder / "genai_config.json").write_text(json.dumps(config))
    opened = open_model(folder, find_device("cpu"), 1)
    GenaiDecoder(opened, 160, 32).prefill(seeded_ids(0, 1, 32, 160))
    with pytest.raises(ModelError, match="an empty list of layers") as caught:
        GenaiDecoder(opened, 160, 33)
    assert "windowed_kv_cache=false" in caught.value.fix


STATEFUL = [name for name, spec in SPECS.items() if geometry_of(spec, find_level("fp32")).states]


@pytest.mark.parametrize("family", STATEFUL)
def test_built_folders_with_states_choose_the_same_tokens(tmp_path, family):
    """States of convolutions and recurrences: begun anew for each pass, prompts and steps alike."""
    spec, level = SPECS[family], find_level("fp32")
    build_decoder(spec, level, SeededWeights(spec, 0), tmp_path)
    device, workload = find_device("cpu"), Workload(Kind.REQUEST, 6, 8, 12)
    ids = seeded_ids(1, 1, 6, spec.vocab_size)
    session = open_session(tmp_path / "model.onnx", device, threads=1)
    digests = set()
    for decoder in (
        DecoderSession(session, geometry_of(spec, level), 1, 40),
        GenaiDecoder(open_model(tmp_path, device, 1), spec.vocab_size, 40),
    ):
        decoder.fill(workload.depth_tokens, 3)
        digests |= {run_pass(decoder, workload, ids).digest for _ in range(2)}
    assert len(digests) == 1


@pytest.mark.parametrize("level", ["fp32", "int4"])
def test_both_runtimes_choose_the_same_tokens_of_a_built_folder(tmp_path, level):
    """What stands side by side in a table is the same work: prompt, request, decode from 0."""
    settings = load_settings(
        "ci", model=("bytelm",), quant=(level,), runtime=("ort", "genai"), pg=((12, 6),), gen=(5,)
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
