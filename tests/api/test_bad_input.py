"""What a loaded model refuses: value, permitted range, what to try; and it stays usable."""

import numpy as np
import pytest

import harness
from harness.builder.graph.encoder import build_encoder
from harness.builder.graph.geometry import geometry_of
from harness.builder.graph.rules import GRAPH_FILE
from harness.builder.quantize.levels import find_level
from harness.devices.device import find_device
from harness.engine.loaded_encoder import LoadedTextEncoder
from harness.models.specs.model import EncoderSpec
from harness.models.weights.seeded import SeededWeights

CONTEXT = 16  # tokens that the model is loaded for; its own context is 128, its vocabulary 256
LONGEST = 128
PROMPT = [[1, 2, 3], [4, 5, 6]]
NOT_IDS = (  # what no decoder takes, and words of the message
    ([1, 2, 3], r"shape \[3\]; two dimensions"),
    ([[[1]]], r"shape \[1, 1, 1\]"),
    ([[]], r"shape \[1, 0\]"),
    ([], r"shape \[0\]"),
    (np.empty((0, 3), np.int64), r"shape \[0, 3\]"),
    ([[1], [2, 3]], r"rows have the lengths \[1, 2\]"),
    ([[0.5]], "type float64"),
    ([[True]], "type bool"),
    ([["a"]], "type <U1"),
    ([[None]], "type object"),
    ([[256]], r"token id 256 \(row 0, position 0\) is outside the vocabulary of 256"),
    ([[1, 2], [3, -1]], r"token id -1 \(row 1, position 1\)"),
    ([[2**63]], "no int64 holds"),
    ([[2**70]], "type object"),
)


@pytest.fixture(scope="module")
def model(tiny_folder, shared_cache):
    return harness.load(
        str(tiny_folder), level="fp32", threads=1, context_tokens=CONTEXT, cache=shared_cache
    )


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    spec = EncoderSpec(
        name="tiny",
        family="bert",
        vocab_size=256,
        hidden_size=64,
        num_layers=1,
        num_heads=4,
        intermediate_size=96,
        max_context_tokens=LONGEST,
        token_types=2,
        pooler=False,
    )
    folder, level = tmp_path_factory.mktemp("encoder"), find_level("fp32")
    build_encoder(spec, level, SeededWeights(spec, 0), folder)
    return LoadedTextEncoder(
        folder / GRAPH_FILE, geometry_of(spec, level), find_device("cpu"), threads=1
    )


def refused(message, call, *arguments):
    """Call and hold the error: ours, with this problem and a way out."""
    with pytest.raises(harness.UsageError, match=message) as caught:
        call(*arguments)
    assert caught.value.fix.startswith(("pass ", "prefill ", "leave "))


@pytest.mark.parametrize(("ids", "message"), NOT_IDS)
def test_a_decoder_refuses_what_are_no_ids_and_goes_on(model, ids, message):
    """After each error the sequence that was begun before goes on as if nothing had happened."""
    full = model.logits([[*row, 7] for row in PROMPT])
    model.prefill(PROMPT)
    for call in (model.logits, model.prefill, model.step):
        refused(message, call, ids)
    np.testing.assert_allclose(model.step([[7], [7]])[:, 0], full[:, -1], atol=1e-4)


@pytest.mark.parametrize(("ids", "message"), NOT_IDS)
def test_an_encoder_refuses_what_are_no_ids_and_goes_on(encoder, ids, message):
    refused(message, encoder.embed, ids)
    assert encoder.embed(PROMPT).shape == (2, 64)


def test_logits_beyond_the_context_of_the_model(model):
    """`logits` has no cache, so it takes all that the model takes, and not one token more."""
    refused(
        f"129 tokens are more than the context of this model, {LONGEST}", model.logits, [[1] * 129]
    )
    assert model.logits([[1] * LONGEST]).shape == (1, LONGEST, 256)


def test_a_prompt_beyond_the_context_leaves_the_sequence_alone(model):
    """17 tokens for a context of 16; then the next step is that of the sequence before."""
    full = model.logits([[1, 2, 3, 7]])
    model.prefill([[1, 2, 3]])
    with pytest.raises(harness.UsageError, match="17 tokens do not fit a context of 16") as caught:
        model.prefill([[1] * (CONTEXT + 1)])
    assert "pass 1 to 16 tokens, or load the model with context_tokens=128" in caught.value.fix
    np.testing.assert_allclose(model.step([[7]])[0, 0], full[0, -1], atol=1e-4)


def test_a_step_into_a_full_context(model):
    model.prefill([[1] * CONTEXT])
    refused("the context is full: 16 of 16 tokens", model.step, [[1]])
    refused("the context is full: 16 of 16 tokens", model.step, [[1, 2]])
    assert model.prefill([[1]]).shape == (1, 1, 256)


def test_a_model_loaded_for_its_whole_context_names_no_larger_one(tiny_folder, shared_cache):
    whole = harness.load(str(tiny_folder), level="fp32", threads=1, cache=shared_cache)
    with pytest.raises(harness.UsageError, match="129 tokens do not fit") as caught:
        whole.prefill([[1] * 129])
    assert caught.value.fix == "pass 1 to 128 tokens"


def test_a_step_of_another_batch(model):
    full = model.logits([[*row, 7] for row in PROMPT])
    model.prefill(PROMPT)
    refused("a step for 1 sequences after a prefill of 2", model.step, [[7]])
    refused("a step for 3 sequences after a prefill of 2", model.step, [[7], [7], [7]])
    np.testing.assert_allclose(model.step([[7], [7]])[:, 0], full[:, -1], atol=1e-4)


def test_a_text_beyond_what_an_encoder_reads(encoder):
    refused("129 tokens are more than a text", encoder.embed, [[1] * 129])
    assert encoder.embed([[1] * LONGEST]).shape == (1, 64)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        ([[1, 1, 1]], r"mask has the shape \[1, 3\], the token ids \[2, 3\]"),
        ([[1, 1, 2], [1, 1, 1]], "holds 1 to 2"),
        ([[1, 1, -1], [1, 1, 1]], "holds -1 to 1"),
        ([[0.5, 1, 1], [1, 1, 1]], "type float64"),
        ([[1], [1, 1, 1]], "rows have the lengths"),
        ([[1, 1, 1], [0, 0, 0]], "text 1 hides all its tokens"),
    ],
)
def test_a_mask_that_is_none(encoder, mask, message):
    refused(message, encoder.embed, PROMPT, mask)
    assert encoder.embed(PROMPT, [[1, 1, 0], [1, 1, 1]]).shape == (2, 64)


@pytest.mark.parametrize("name", ["context_tokens", "threads"])
@pytest.mark.parametrize("value", [0, -1])
def test_load_refuses_a_number_that_is_none(tiny_folder, shared_cache, name, value):
    with pytest.raises(harness.UsageError, match=f"{name}={value}") as caught:
        harness.load(str(tiny_folder), level="fp32", cache=shared_cache, **{name: value})
    assert "1 or more" in caught.value.fix


@pytest.mark.parametrize("word", [None, 7, b"bytelm", ["bytelm"]])
def test_a_model_is_a_name_or_a_path(word):
    for call in (
        lambda: harness.load(word),
        lambda: harness.build(word, "int4"),
        lambda: harness.estimate(word, "int4", device="rpi5"),
    ):
        with pytest.raises(harness.UsageError, match="a model is a name or a path, and"):
            call()
