"""A decoder told layer by layer: patterns, what they refuse, and what is counted of them."""

from dataclasses import replace

import pytest

from harness.core.errors import ModelError
from harness.models.catalog.catalog import load_spec
from harness.models.specs.check import check_spec
from harness.models.specs.dissect import spec_structure
from harness.models.specs.layers import FeedForward, Mixer
from harness.models.specs.tensors import kv_values_per_token, logical_tensors, parameters
from harness.store.hashes import content_hash
from tests.tiny import LLAMA, SPECS

FOUR = replace(LLAMA, num_layers=4, sliding_window_tokens=8)


def test_a_pattern_repeats_through_the_layers():
    spec = replace(FOUR, layer_pattern="SG")
    assert [layer.window_tokens for layer in spec.layers] == [8, None, 8, None]
    assert [layer.rotary for layer in spec.layers] == [True, False, True, False]
    assert spec.full_attention_layers == 2


def test_small_letters_have_no_block_and_d_no_mixer():
    layers = replace(FOUR, layer_pattern="fDFd").layers[:3]
    assert [layer.feed_forward for layer in layers] == [
        FeedForward.NONE,
        FeedForward.MLP,
        FeedForward.MLP,
    ]
    assert [layer.mixers for layer in layers] == [(Mixer.ATTENTION,), (), (Mixer.ATTENTION,)]


@pytest.mark.parametrize("name", [name for name in SPECS if not SPECS[name].layer_pattern])
def test_the_usual_pattern_says_what_no_pattern_says(name):
    """FF...F, or S and F by the period: the same layers, tensors and counts."""
    spec = SPECS[name]
    letters = ["F" if spec.window_tokens(n) is None else "S" for n in range(spec.num_layers)]
    told = replace(spec, layer_pattern="".join(letters), full_attention_every=None)
    assert told.layers == spec.layers
    assert list(logical_tensors(told)) == list(logical_tensors(spec))
    assert spec_structure(told).groups == spec_structure(spec).groups


def test_layers_without_a_mixer_or_a_block_are_counted():
    """Tiny Llama: attention 4·h·q.., block 3·h·i, a norm for each that is there."""
    spec = replace(FOUR, layer_pattern="fDFF")
    assert parameters(spec) == sum(tensor.elements for tensor in logical_tensors(spec))
    assert spec_structure(spec).parameters == parameters(spec)
    hidden, wide = spec.hidden_size, spec.intermediate_size
    attention = 2 * hidden * (4 * 32) + 2 * hidden * (2 * 32)
    whole = parameters(replace(FOUR))
    assert whole - parameters(spec) == 2 * hidden + attention + 3 * hidden * wide
    assert kv_values_per_token(spec) == 2 * 3 * 2 * 32


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("FFF", "does not fill 4 layers"),
        ("FFFFF", "does not fill 4 layers"),
        ("FX", "the letter 'X'"),
        ("DD", "no layer of layer_pattern attends"),
        ("Fd", "is empty"),
    ],
)
def test_a_pattern_that_describes_no_model_is_refused(pattern, words):
    with pytest.raises(ModelError, match=words) as raised:
        check_spec(replace(FOUR, layer_pattern=pattern), "m.toml")
    assert "m.toml" in str(raised.value)


def test_a_window_is_asked_for_and_told_once():
    with pytest.raises(ModelError, match="no sliding_window_tokens"):
        check_spec(replace(LLAMA, layer_pattern="S"), "m.toml")
    with pytest.raises(ModelError, match="both layer_pattern and full_attention_every"):
        check_spec(replace(FOUR, layer_pattern="SF", full_attention_every=2), "m.toml")


def test_a_later_field_changes_no_hash_until_it_says_something():
    spec = load_spec("smollm2-135m")
    plain, told = (
        content_hash(one, "int4", "seed 0") for one in (spec, replace(spec, layer_pattern="F"))
    )
    assert plain != told
