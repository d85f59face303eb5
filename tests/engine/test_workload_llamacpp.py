"""llama.cpp runs the same tests over the same weights: our logits, at every level its own bound."""

from dataclasses import replace

import numpy as np
import pytest

from harness.analysis.compare_match import match_axis
from harness.builder.quantize.layout import stored_bytes
from harness.builder.quantize.levels import GGUF_LEVELS, find_cache, find_level
from harness.cli.main import main
from harness.core.errors import EXIT_USAGE, ModelError
from harness.devices.device import find_device
from harness.engine.passes import run_pass
from harness.engine.workload import Workload
from harness.models.gguf.reading import read_header
from harness.models.specs.layers import Convolution
from harness.models.specs.model import RopeScaling
from harness.models.specs.tensors import built_parameters
from harness.models.weights.source import ModelSource, resolve_model
from harness.results.enums import Kind
from harness.runner.loop import held_against
from harness.runner.loop.run import run_plan
from harness.runner.models.built import built_model
from harness.runner.plan import SessionGroup, make_plan
from harness.runner.settings import Settings, load_settings
from harness.store.gguf import ensure_gguf
from tests.inline_worker import InlineWorker
from tests.models.gguf_files import F32, PAIRS, SHAPES, tiny_gguf
from tests.tiny import LLAMA, SPECS

pytest.importorskip("gguf", reason="the extra `llamacpp` is not installed")
pytest.importorskip("llama_cpp", reason="the extra `llamacpp` is not installed")
from harness.engine.llamacpp import LlamaDecoder, open_model

CPU = find_device("cpu")
WIDE = replace(LLAMA, hidden_size=96, num_heads=3, num_kv_heads=1, intermediate_size=128)
GEMMA = replace(
    WIDE,
    family="gemma3_text",
    norm_order="around",
    activation="gelu_tanh",
    scaled_embedding=True,
    qk_norm="per_head",
    sliding_window_tokens=8,
    full_attention_every=2,
    local_rope_theta=100.0,
)
# One of every architecture that is written, with what sets it apart from Llama.
FAMILIES = {
    "llama": WIDE,
    "untied": replace(WIDE, tied_embeddings=False),
    "qwen2": replace(WIDE, family="qwen2", qkv_bias=True),
    "qwen3": replace(WIDE, family="qwen3", qk_norm="per_head"),
    "phi3": replace(WIDE, family="phi3", tied_embeddings=False, rotary_dim=16),
    "gemma": replace(WIDE, family="gemma", activation="gelu_tanh", scaled_embedding=True),
    "gemma2": replace(
        GEMMA,
        family="gemma2",
        qk_norm="none",
        local_rope_theta=None,
        attention_softcap=20.0,
        logit_softcap=5.0,
    ),
    "gemma3": GEMMA,
    "smollm3": replace(WIDE, family="smollm3", num_layers=4, layer_pattern="FFFG"),
    "granite": replace(WIDE, family="granite", embedding_multiplier=12.0, attention_scale=0.02),
    "olmo2": replace(
        WIDE,
        family="olmo2",
        norm_order="after",
        qk_norm="full_width",
        tied_embeddings=False,
        num_kv_heads=3,
    ),
    "ernie4_5": replace(WIDE, family="ernie4_5", rotary_pairs=True),
    "yarn": replace(
        WIDE, rope_scaling=RopeScaling("yarn", 4.0, original_context_tokens=16, amplitude=1.3)
    ),
    "granitemoehybrid": replace(
        WIDE,
        family="granitemoehybrid",
        embedding_multiplier=12.0,
        residual_multiplier=0.25,
        logit_multiplier=0.25,
    ),
    "granite_swa": replace(
        WIDE,
        family="granite_swa",
        num_layers=4,
        attention_sinks=True,
        sliding_window_tokens=8,
        layer_thetas=(0.0, 10_000.0, 0.0, 10_000.0),
        layer_pattern="GFNS",
    ),
    "olmo3": replace(
        WIDE,
        family="olmo3",
        norm_order="after",
        qk_norm="full_width",
        tied_embeddings=False,
        sliding_window_tokens=8,
        full_attention_every=2,
        local_rope_theta=10_000.0,
        rope_scaling=RopeScaling("yarn", 4.0, original_context_tokens=16, amplitude=1.2),
    ),
    "exaone4": replace(WIDE, family="exaone4", norm_order="after", qk_norm="per_head"),
    "hunyuan": replace(
        WIDE, family="hunyuan_v1_dense", qk_norm="per_head", qk_norm_after_rotary=True
    ),
    "ministral3": replace(
        WIDE,
        family="ministral3",
        rope_scaling=RopeScaling("yarn", 4.0, original_context_tokens=8, query_growth=0.1),
    ),
    "lfm2": replace(
        WIDE,
        family="lfm2",
        num_layers=3,
        qk_norm="per_head",
        convolution=Convolution(3),
        layer_pattern="CFC",
    ),
    "phi": replace(SPECS["phi"], hidden_size=96, num_heads=3, num_kv_heads=3),
    "gpt2": replace(SPECS["gpt2"], hidden_size=96, num_heads=3, num_kv_heads=3),
}


def source_of(spec):
    return ModelSource(spec.name, spec.name, spec, None)


def held(source, level, cache):
    """The cosine of a level's logits beside ours at fp32, as a run asks for it."""
    row = find_level(level)
    kept = find_cache("auto", row)
    model = built_model(source)
    test = Workload(Kind.PREFILL, 8, 0)
    group = SessionGroup(model, row, kept, CPU, 1, 1, (test,), runtime="llama.cpp")
    artifact = ensure_gguf(model.source, row, kept, cache)
    return held_against.hold_against(group, artifact, cache, Settings()).fused_cosine


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_gives_our_logits(tmp_path, name):
    """At f32, over a prompt, steps, and a prompt beyond a window."""
    spec = replace(FAMILIES[name], name=f"tiny-{name}")
    assert held(source_of(spec), "f32", tmp_path) > 0.9999


@pytest.mark.parametrize(
    ("level", "least"),
    [("f16", 0.9999), ("q8_0", 0.999), ("q4_0", 0.9), ("q4_0-pure", 0.9), ("q4_k_m", 0.9)],
)
def test_a_level_loses_what_its_bits_explain(tmp_path, level, least):
    assert held(resolve_model("bytelm"), level, tmp_path) > least


@pytest.mark.parametrize(("level", "least"), [("q8_0", 0.99), ("q4_0", 0.9)])
def test_matrices_of_several_parts_are_quantized_too(tmp_path, level, least):
    """Phi keeps queries, keys and values in one, gate and up in another."""
    spec = replace(FAMILIES["phi3"], name="tiny-phi3")
    assert held(source_of(spec), level, tmp_path) > least


def test_an_answer_is_asked_for_once(tmp_path, monkeypatch):
    first = held(source_of(WIDE), "f32", tmp_path)
    monkeypatch.setattr(held_against, "_ask", None)
    assert held(source_of(WIDE), "f32", tmp_path) == first


def test_logits_that_are_others_have_no_row(tmp_path, monkeypatch):
    """A permutation that is left out is seen."""
    from harness.builder.gguf import families

    plain = replace(families.FAMILIES["llama"], pairs=False)
    monkeypatch.setitem(families.FAMILIES, "llama", plain)
    row = find_level("f32")
    artifact = ensure_gguf_here(WIDE, tmp_path)
    decoder = open_decoder(artifact)
    right = open_decoder(ensure_gguf(source_of(WIDE), row, find_cache("auto", row), tmp_path / "b"))
    ids = np.arange(12)[np.newaxis]
    assert not np.allclose(decoder.prefill(ids), right.prefill(ids), atol=1e-2)


def ensure_gguf_here(spec, folder):
    """A file written in this process, as its families are patched here."""
    from harness.builder.gguf.write import write_gguf
    from harness.models.weights.seeded import SeededWeights

    path = folder / "here.gguf"
    write_gguf(spec, SeededWeights(spec, 0), path)
    return read_header(path)


def open_decoder(artifact, capacity=64):
    path = getattr(artifact, "graph", None) or artifact.files[0]
    return LlamaDecoder(open_model(path, CPU, 1, capacity, "float32"))


@pytest.fixture(scope="module")
def decoder(tmp_path_factory):
    row = find_level("f32")
    kept = find_cache("auto", row)
    cache = tmp_path_factory.mktemp("gguf")
    return open_decoder(ensure_gguf(resolve_model("bytelm"), row, kept, cache))


@pytest.mark.parametrize("level", GGUF_LEVELS)
def test_a_file_has_every_parameter(tmp_path, level):
    row, source = find_level(level), resolve_model("bytelm")
    artifact = ensure_gguf(source, row, find_cache("auto", row), tmp_path)
    assert artifact.parameters == built_parameters(source.spec)
    assert artifact.header.level == level.removesuffix("-pure")
    assert stored_bytes(source.spec, row) == pytest.approx(artifact.weights_bytes, rel=0.03)
    again = ensure_gguf(source, row, find_cache("auto", row), tmp_path)
    assert again == artifact


@pytest.mark.parametrize(
    "workload",
    [
        Workload(Kind.PREFILL, 8, 0),
        Workload(Kind.PREFILL, 8, 0, 16),
        Workload(Kind.DECODE, 0, 6, 12),
        Workload(Kind.REQUEST, 8, 5),
        Workload(Kind.REQUEST, 8, 1),
    ],
    ids=lambda workload: workload.name,
)
def test_a_pass_has_its_samples_and_repeats_itself(decoder, workload):
    """From the same depth the same tokens are chosen, as many as were asked for."""
    decoder.fill(workload.depth_tokens, seed=0)
    ids = np.arange(1, max(workload.prompt_tokens, 1) + 1)[np.newaxis]
    first, second = (run_pass(decoder, workload, ids) for _ in range(2))
    assert first.digest == second.digest
    assert len(first.tokens) == max(workload.gen_tokens, 1)
    assert first.finite


def test_steps_are_whole_passes(decoder):
    """Eight tokens at once, and six with two more one by one, give the same logits."""
    ids = np.arange(8)[np.newaxis]
    decoder.rewind(0)
    whole = decoder.prefill(ids).copy()
    decoder.rewind(0)
    decoder.prefill(ids[:, :6])
    decoder.next_ids[...] = 6
    decoder.greedy_step()
    decoder.next_ids[...] = 7
    decoder.greedy_step()
    np.testing.assert_allclose(decoder.last_logits, whole[:, 0], atol=1e-4)


def test_every_position_has_its_logits(decoder):
    """All at once, and the last one of each beginning."""
    ids = np.arange(1, 7)[np.newaxis]
    decoder.rewind(0)
    whole = decoder.read_all(ids)
    assert whole.shape == (6, decoder.vocab_size)
    for count in (1, 3, 6):
        decoder.rewind(0)
        np.testing.assert_allclose(
            decoder.prefill(ids[:, :count])[0, 0], whole[count - 1], atol=1e-4
        )


def test_a_state_is_read_anew_where_it_cannot_be_taken_back(tmp_path):
    """Steps behind four tokens are the same after a detour; a convolution keeps no history."""
    decoder = open_decoder(ensure_gguf_here(FAMILIES["lfm2"], tmp_path))
    ids = np.arange(1, 5)[np.newaxis]
    decoder.prefill(ids)
    first = decoder.prefill(np.array([[9]])).copy()
    decoder.prefill(np.array([[3, 7]]))
    decoder.rewind(4)
    np.testing.assert_allclose(decoder.prefill(np.array([[9]])), first, atol=1e-5)


def test_a_file_that_the_library_refuses_is_one_sentence(tmp_path):
    """The header is whole, and the tensors of the architecture are not there."""
    path = tiny_gguf(tmp_path / "tiny.gguf")
    with pytest.raises(ModelError, match=r"does not load tiny\.gguf: error loading model: "):
        open_model(path, CPU, 1, 64)


LOST = {"general.architecture": "lostarch", "lostarch.context_length": 128}
MEANT = {"llama.vocab_size": 96, "llama.feed_forward_length": 96}


@pytest.mark.parametrize(
    ("pairs", "shapes", "said"),
    [
        ({**PAIRS, **LOST}, SHAPES, "unknown model architecture: 'lostarch'"),
        (PAIRS, SHAPES, "key not found in model: llama.attention"),
        ({**PAIRS, **MEANT}, SHAPES, ""),
        (PAIRS, [*SHAPES[:-1], ("output_norm.weight", (64, 2), F32)], ""),
    ],
    ids=["architecture", "keys", "tensors", "shape"],
)
def test_a_file_that_cannot_be_run_ends_the_command_with_2(
    tmp_path, capsys, monkeypatch, pairs, shapes, said
):
    """One sentence with the library's own reason, before anything is calibrated or measured."""
    monkeypatch.setattr("harness.runner.loop.held_against.Worker", InlineWorker)
    path = tiny_gguf(tmp_path / "odd-Q4_0.gguf", pairs, shapes)
    words = ["--model", str(path), "--config", "ci", "--results", str(tmp_path / "results")]
    assert main([*words, "--cache", str(tmp_path)]) == EXIT_USAGE
    told = capsys.readouterr().err
    assert "llama.cpp does not load odd-Q4_0.gguf: error loading model" in told
    assert said in told
    assert "Traceback" not in told
    assert list((tmp_path / "results").glob("run-*.json")) == []


def run(tmp_path, **asked):
    """The document of a short run without a calibration."""
    settings = load_settings("ci", calibrate=False, rounds=2, warm_seconds=0.2, **asked)
    settings = replace(settings, sample_seconds=0.1, min_passes=2)
    plan = make_plan(settings, 1)
    return run_plan(
        plan, results=tmp_path / "results", cache=tmp_path, progress=lambda *_told: None
    ).document


def test_a_run_has_rows_of_both_and_pairs_them(tmp_path):
    """Levels, bits and bytes of each runtime's own, in turns, memory, and the axis."""
    document = run(
        tmp_path,
        model=("bytelm",),
        quant=("int4",),
        runtime=("ort", "llama.cpp"),
        prompt=(8,),
        gen=(4,),
        interleave="turns",
    )
    theirs = [record for record in document.records if record.cell.runtime == "llama.cpp"]
    assert {record.cell.level for record in theirs} == {"q4_0"}
    for record in theirs:
        assert record.status == "ok", record.reason
        assert record.metrics["bits_per_weight"].value < 7
        assert record.metrics["peak_rss_bytes"].value > 0
        assert record.hardware.fused_cosine > 0.9
        assert record.cell.provider == record.hardware.provider == "llama.cpp"
    matches, notes = match_axis(document, "runtime", None)
    pairs = {(match.cell.level, match.new_cell.level) for match in matches}
    assert pairs == {("int4", "q4_0")}
    assert len(matches) == len(theirs) == len(document.records) / 2
    assert notes == ()


def test_a_file_of_the_user_is_measured_as_it_lies(tmp_path):
    row = find_level("q8_0")
    built = ensure_gguf(resolve_model("bytelm"), row, find_cache("auto", row), tmp_path / "cache")
    path = tmp_path / "mine-Q8_0.gguf"
    path.write_bytes(built.graph.read_bytes())
    before = path.stat().st_mtime_ns
    document = run(tmp_path, model=(str(path),), prompt=(8,), gen=(4,), pg=((8, 4),), depth=(0, 4))
    assert {record.status for record in document.records} == {"ok"}
    assert {record.cell.level for record in document.records} == {"q8_0"}
    assert {record.cell.model.partition("@")[0] for record in document.records} == {"mine"}
    assert path.stat().st_mtime_ns == before


def test_plans_name_it_too():
    settings = load_settings("ci", model=("bytelm",), quant=("int4",), runtime=("llama.cpp",))
    (group,) = make_plan(settings, 1).groups
    assert group.key == "bytelm/q4_0/cpu/llama.cpp/t1/b1"
