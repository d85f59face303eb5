"""What others exported, called from Python: the same numbers as on the path that is measured."""

import numpy as np
import pytest

import harness
from harness.core.errors import UsageError
from harness.engine.exported.decoder import ExportedDecoder
from harness.engine.exported.inputs import pass_inputs
from harness.engine.exported.opening import open_exported_decoder, opened_graphs
from harness.engine.exported.single import SinglePass
from harness.models.exported.sizes import Reading
from tests.engine.exported import geometry_of, sessions_of
from tests.exports import EXPORTS

DECODERS = (
    "optimum/llama-past",
    "optimum/llama-merged",
    "optimum/gpt2-plain",
    "optimum/phi3-past",
    "genai/llama-int4",
    "genai/gemma2-fp32",
)
IDS = np.array([[1, 2, 3, 4, 5, 6], [9, 8, 7, 6, 5, 4]])


def measured(name: str, batch: int) -> ExportedDecoder:
    """The decoder that is timed."""
    return open_exported_decoder(sessions_of(name), geometry_of(name), batch, 16, None)


@pytest.fixture(params=DECODERS)
def name(request):
    return request.param


def test_logits_are_those_of_the_measured_path(name):
    """Of every position: what one pass over so many tokens gives for the last one."""
    model = harness.load(EXPORTS / name, threads=1)
    logits = model.logits(IDS)
    assert isinstance(model, harness.LoadedModel)
    assert logits.dtype == np.float32
    assert logits.shape == (2, 6, geometry_of(name).vocab_size)
    decoder = measured(name, 2)
    for end in (1, 4, 6):
        expected = decoder.read_whole(IDS[:, :end])
        scale = np.abs(expected).max()
        np.testing.assert_allclose(logits[:, end - 1], expected, atol=2e-3 * scale)


def test_prefill_and_steps_are_those_of_the_measured_path(name):
    model, decoder = harness.load(EXPORTS / name, threads=1, context_tokens=16), measured(name, 2)
    np.testing.assert_array_equal(model.prefill(IDS[:, :3]), decoder.prefill(IDS[:, :3]))
    for at in range(3, 6):
        given = model.step(IDS[:, at : at + 1])
        np.testing.assert_array_equal(given, decoder.prefill(IDS[:, at : at + 1]))


@pytest.mark.parametrize("name", ["optimum/sentence-bert", "optimum/distilbert"])
def test_vectors_are_those_of_the_measured_path(name):
    geometry = geometry_of(name)
    (graph,) = opened_graphs(geometry)
    arrays = pass_inputs(graph, geometry, Reading("--enc 8x2", 2, 8), seed=3)
    single = SinglePass(sessions_of(name)[0], graph)
    encoder = harness.load(EXPORTS / name / "model.onnx", threads=1)
    assert isinstance(encoder, harness.LoadedEncoder)
    found = encoder.embed(arrays[graph.names.ids])
    np.testing.assert_array_equal(found, single.run_plainly(arrays))


def test_a_mask_hides_what_only_fills():
    """A short text gets the same embedding, alone or filled up."""
    encoder = harness.load(EXPORTS / "optimum" / "sentence-bert", threads=1)
    alone = encoder.embed([[1, 2, 3]])
    filled = encoder.embed([[1, 2, 3, 0, 0]], [[1, 1, 1, 0, 0]])
    np.testing.assert_allclose(filled, alone, atol=1e-5)


@pytest.mark.parametrize("name", ["optimum/vit", "optimum/t5-merged", "optimum/whisper-merged"])
def test_other_kinds_are_measured_only(name):
    with pytest.raises(UsageError, match="which is measured only") as caught:
        harness.load(EXPORTS / name)
    assert "bench run --model" in caught.value.fix


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda model: model.logits([[1, 2], [3]]), "cannot be read as one array"),
        (lambda model: model.prefill([[10**6]]), "outside the vocabulary"),
        (lambda model: model.logits([[1] * 65]), "context of this model, 64"),
        (lambda model: model.step([[1]]), "before prefill"),
    ],
)
def test_bad_input_is_refused_as_of_built_models(call, words):
    with pytest.raises(UsageError, match=words):
        call(harness.load(EXPORTS / "optimum" / "llama-past", threads=1))


def test_build_gives_the_file_or_a_level_made_of_it(tmp_path):
    export = EXPORTS / "optimum" / "llama-past"
    assert harness.build(export, "fp32", cache=tmp_path) == export
    made = harness.build(export, "int8", cache=tmp_path)
    assert made.parent == tmp_path
    assert (made / "model.onnx").is_file()
    whole = harness.load(export, threads=1).logits(IDS)
    level = harness.load(export, level="int8", threads=1, cache=tmp_path).logits(IDS)
    cosine = (whole * level).sum() / np.sqrt((whole**2).sum() * (level**2).sum())
    assert 0.95 < cosine < 0.999999


@pytest.mark.parametrize(
    ("keywords", "words"),
    [({"level": "int2"}, "holds fp32"), ({"kv_cache": "int8"}, "in its file")],
)
def test_a_level_that_it_is_not_made_at_is_refused(keywords, words):
    with pytest.raises(UsageError, match=words):
        harness.load(EXPORTS / "optimum" / "llama-past", **keywords)


def test_an_estimate_takes_the_count_of_the_file():
    found = harness.estimate(EXPORTS / "optimum" / "sentence-bert", "int4", device="rpi5")
    assert found.case.target.parameters == 24_384
    assert "its file holds fp32" in found.case.target.notes
