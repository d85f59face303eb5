"""The table of cache levels, which weights each goes with, and what its integers stand for."""

import numpy as np
import pytest

from harness.builder.quantize.cache_scales import channel_scales, pack_cache
from harness.builder.quantize.levels import CACHES, LEVELS, cache_of, find_cache, own_cache
from harness.core.errors import UsageError


def test_auto_is_the_float_type_of_the_level():
    caches = {name: find_cache("auto", level).name for name, level in LEVELS.items()}
    assert caches.pop("fp16") == "fp16"
    assert set(caches.values()) == {"fp32"}


@pytest.mark.parametrize(
    ("name", "token_bytes"), [("fp32", 512), ("fp16", 256), ("int8", 128), ("int4", 64)]
)
def test_bytes_and_width_follow_from_bits(name, token_bytes):
    """128 values: 4, 2, 1 and half a byte each; two values of 4 bits share an element."""
    cache = CACHES[name]
    assert cache.stored_bytes(128) == token_bytes
    assert cache.stored_width(64) * np.dtype(cache.dtype).itemsize == cache.stored_bytes(64)
    assert cache_of(cache.dtype) is cache


def test_integers_go_beside_every_level():
    for level in LEVELS.values():
        assert [find_cache(name, level).name for name in ("int8", "int4")] == ["int8", "int4"]


def test_a_float16_cache_needs_float16_activations():
    with pytest.raises(UsageError) as caught:
        find_cache("fp16", LEVELS["int4"])
    assert "float32" in caught.value.problem
    assert caught.value.fix.endswith("fp32, int8, int4")
    assert find_cache("fp16", LEVELS["fp16"]) == own_cache(LEVELS["fp16"])


def test_an_unknown_cache_is_refused_with_what_is_near():
    with pytest.raises(UsageError) as caught:
        find_cache("int6", LEVELS["int4"])
    assert "auto" in caught.value.fix
    assert "int4" in caught.value.fix


@pytest.mark.parametrize(("name", "scale"), [("int8", 6 * 1.5 / 127), ("int4", 6 * 0.85 / 7)])
def test_a_scale_is_the_reach_of_the_largest_value_over_the_largest_integer(name, scale):
    """Channel 1 of head 0 saw -6 at most, channel 0 nothing but zeros; heads are apart."""
    values = np.zeros((3, 2, 2), np.float32)
    values[:, 0, 1] = (2.0, -6.0, 1.0)
    values[2, 1, 0] = 12.0
    scales = channel_scales(values, CACHES[name])
    assert scales.dtype == np.float32
    np.testing.assert_allclose(scales[0, 1], scale, rtol=1e-6)
    np.testing.assert_allclose(scales[1, 0], 2 * scale, rtol=1e-6)
    np.testing.assert_allclose(scales[0, 0], scale / 6, rtol=1e-6)


def test_four_bits_lie_low_half_first():
    """-8 is 0, 0 is 8, 7 is 15: (-8, 7) is 0xF0 and (0, 1) is 0x98."""
    packed = pack_cache(np.array([[-8, 7, 0, 1]], np.int8), CACHES["int4"])
    assert packed.tolist() == [[0xF0, 0x98]]
    assert pack_cache(np.array([-128, 5], np.int8), CACHES["int8"]).tolist() == [-128, 5]
