"""The header of a GGUF file: counts by hand, and one clear sentence for each that cannot be."""

import struct

import pytest

from harness.core.errors import ModelError
from harness.models.gguf.header import Count, gguf_name
from harness.models.gguf.reading import read_header
from harness.models.gguf.source import content_hash_of
from tests.models.gguf_files import F32, PAIRS, SHAPES, header, text, tiny_gguf


@pytest.fixture
def path(tmp_path):
    return tiny_gguf(tmp_path / "tiny-one-q4_0.gguf")


def test_parameters_and_bits_are_those_of_the_tensors(path):
    """96·64 + 64·64 + 2·64; rotary factors are computed. Bytes: 6528 + 2304 + 512."""
    found = read_header(path)
    assert found.parameters == 96 * 64 + 64 * 64 + 2 * 64 == 10_368
    assert found.weights_bytes == 6144 // 32 * 34 + 4096 // 32 * 18 + 128 * 4 == 9344
    assert found.bits_per_weight == 8 * 9344 / 10_368
    assert found.by_type == {"Q8_0": (6144, 6528), "Q4_0": (4096, 2304), "F32": (128, 512)}


def test_what_the_keys_say(path):
    """Two layers of two heads of 64/4 = 16 values, keys and values: 2 · 2 · 32."""
    found = read_header(path)
    assert (found.architecture, found.level) == ("llama", "q4_0")
    assert (found.vocab_size, found.context_tokens) == (96, 128)
    assert found.cache_values_per_token == 128
    assert found.metadata["tokenizer.ggml.tokens"].values == 96


def test_heads_may_be_told_layer_by_layer(tmp_path):
    """(1 + 3) heads of 2 · 16 values."""
    pairs = PAIRS | {"llama.attention.head_count_kv": [1, 3]}
    found = read_header(tiny_gguf(tmp_path / "a.gguf", pairs))
    assert found.cache_values_per_token == 4 * 32


def test_without_a_file_type_the_type_of_most_weights_is_the_level(tmp_path):
    pairs = {key: one for key, one in PAIRS.items() if key != "general.file_type"}
    assert read_header(tiny_gguf(tmp_path / "a.gguf", pairs)).level == "q8_0"


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("SmolLM2-135M-Instruct-Q4_K_M.gguf", "SmolLM2-135M-Instruct"),
        ("tiny.i1-IQ3_XXS.gguf", "tiny.i1"),
        ("gemma-3-270m-it-BF16.gguf", "gemma-3-270m-it"),
        ("qwen-UD-Q4_K_XL.gguf", "qwen"),
        ("model-q4_0.gguf", "Tiny-One"),
        ("q8_0.gguf", "Tiny-One"),
    ],
)
def test_a_model_is_called_by_its_file_without_the_level(tmp_path, file, name):
    assert gguf_name(read_header(tiny_gguf(tmp_path / file))) == name


def test_files_of_other_bytes_have_other_hashes(tmp_path, path):
    other = tmp_path / "other.gguf"
    data = bytearray(path.read_bytes())
    data[-1] = 1
    other.write_bytes(data)
    assert content_hash_of(read_header(path)) != content_hash_of(read_header(other))


def test_parts_are_one_model(tmp_path):
    """The first part names them all; each holds some tensors."""
    pairs = PAIRS | {"split.count": 2}
    first = tiny_gguf(tmp_path / "m-00001-of-00002.gguf", pairs, SHAPES[:2])
    with pytest.raises(ModelError, match=r"m-00002-of-00002\.gguf is missing"):
        read_header(first)
    second = tiny_gguf(tmp_path / "m-00002-of-00002.gguf", pairs, SHAPES[2:])
    assert read_header(first).parameters == 10_368
    with pytest.raises(ModelError, match="is one of 2 parts"):
        read_header(second)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.05, 0.2, 0.5, 0.9, 0.999])
def test_a_file_that_is_cut_says_so(path, share):
    """Wherever it ends: in the magic, a key, the words, the list of tensors, the data."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(ModelError, match=r"cut off|begins with"):
        read_header(path)


def test_every_length_of_a_header_is_refused_or_read(path):
    """No cut ends in anything but one error of ours."""
    data = path.read_bytes()
    for length in range(0, 3000, 7):
        path.write_bytes(data[:length])
        with pytest.raises(ModelError):
            read_header(path)


def counts(tensors=0, keys=0):
    """A header that counts so much, and some bytes behind it."""
    return b"GGUF" + struct.pack("<IQQ", 3, tensors, keys) + bytes(64)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"<!DOCTYPE html>" + bytes(64), "is no GGUF: it begins with"),
        (b"version https://git-lfs.github.com/spec/v1", "is no GGUF"),
        (header(PAIRS, [], version=1), "of version 1"),
        (b"GGUF\0\0\0\3" + bytes(16), "of big-endian machines"),
        (header(PAIRS, []) + bytes(64), "holds no text model"),
        (header({"x": 1}, []) + bytes(64), "a GGUF file, names no architecture"),
        (header(PAIRS, [("a", (64, 2), 199, 0)]) + bytes(64), "of type 199 of ggml"),
        (header(PAIRS, [("a", (33, 2), 2, 0)]) + bytes(64), r"has shape \[33, 2\] at Q4_0"),
        (header(PAIRS, [("a", (2**62, 2**62), F32, 0)]) + bytes(64), "cut off"),
        (header(PAIRS, [("a", (2, 2), F32, 2**63)]) + bytes(64), "cut off"),
        (header(PAIRS, [("a", (2, 2), F32, 0)] * 2) + bytes(64), "holds two tensors a"),
        (header(PAIRS, [("\x1b[2J", (0, 2), F32, 0)]) + bytes(64), r"damaged: \?\[2J has shape"),
        (
            header({"general.architecture": "\x1b[2J"}, []) + bytes(64),
            "a GGUF file, names no architecture",
        ),
        (
            header({"general.architecture": ""}, []) + bytes(64),
            "a GGUF file, names no architecture",
        ),
        (header(PAIRS | {"general.alignment": 3}, []) + bytes(64), "is 3, and no power of 2"),
        (header(PAIRS | {"general.alignment": 0}, []) + bytes(64), "is 0, and no power of 2"),
        (header(PAIRS | {"k" * 70_000: 1}, []) + bytes(64), "a name of 70,000 bytes"),
        (counts(tensors=2**63), "9,223,372,036,854,775,808 tensors follow"),
        (counts(keys=2**40), "1,099,511,627,776 keys follow"),
    ],
)
def test_what_is_no_model_is_told(tmp_path, data, said):
    path = tmp_path / "m.gguf"
    path.write_bytes(data)
    with pytest.raises(ModelError, match=said):
        read_header(path)


@pytest.mark.parametrize(
    ("begin", "said"),
    [
        (counts(keys=2**20), "counts 1,048,576 keys, and no model has 16,384"),
        (counts(tensors=2**20), "counts 1,048,576 tensors, and no model has 131,072"),
        (
            header({}, [])[:16]
            + struct.pack("<Q", 1)
            + text("words")
            + struct.pack("<IIQ", 9, 8, 2**22 + 1),
            "counts 4,194,305 words, and no model has 4,194,304",
        ),
    ],
    ids=["keys", "tensors", "words"],
)
def test_a_large_file_does_not_make_large_counts_true(tmp_path, begin, said):
    """64 MiB of holes could hold them all; reading them would take minutes."""
    path = tmp_path / "m.gguf"
    path.write_bytes(begin)
    with path.open("r+b") as file:
        file.truncate(64 * 2**20)
    with pytest.raises(ModelError, match=said):
        read_header(path)


def test_a_word_beyond_all_use_is_passed_over(tmp_path):
    """A chat template of 5 MiB is not kept; what follows is read."""
    found = read_header(tiny_gguf(tmp_path / "a.gguf", {"long": "x" * (5 * 2**20), **PAIRS}))
    assert found.metadata["long"] == Count(5 * 2**20)
    assert found.parameters == 10_368


def test_sizes_that_cannot_be_cost_nothing(tmp_path):
    """2^32 - 1 layers are a product, no list."""
    pairs = PAIRS | {"llama.block_count": 2**32 - 1}
    found = read_header(tiny_gguf(tmp_path / "a.gguf", pairs))
    assert found.cache_values_per_token == (2**32 - 1) * 2 * 32


@pytest.mark.parametrize("count", [3, 2**31])
def test_the_number_of_parts_is_that_of_the_name(tmp_path, count):
    path = tiny_gguf(tmp_path / "m-00001-of-00002.gguf", PAIRS | {"split.count": count})
    with pytest.raises(ModelError, match=f"is one of {count} parts"):
        read_header(path)


@pytest.mark.parametrize(
    ("changes", "is_decoder"),
    [
        ({}, True),
        ({"llama.attention.causal": False}, False),
        ({"general.architecture": "nomic-bert"}, False),
        ({"general.architecture": "t5"}, False),
        ({"general.architecture": "qwen3", "qwen3.attention.causal": True}, True),
    ],
    ids=str,
)
def test_encoders_are_told_by_architecture_or_key(tmp_path, changes, is_decoder):
    assert read_header(tiny_gguf(tmp_path / "a.gguf", PAIRS | changes)).is_decoder is is_decoder
