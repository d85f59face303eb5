"""The header of a GGUF file: counts by hand, and one clear sentence for each that cannot be."""

import pytest

from harness.core.errors import ModelError
from harness.models.gguf import content_hash_of, gguf_name, read_header
from tests.models.gguf_files import F32, PAIRS, SHAPES, header, tiny_gguf


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


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"<!DOCTYPE html>" + bytes(64), "is no GGUF: it begins with"),
        (b"version https://git-lfs.github.com/spec/v1", "is no GGUF"),
        (header(PAIRS, [], version=1), "of version 1"),
        (b"GGUF\0\0\0\3" + bytes(16), "of big-endian machines"),
        (header(PAIRS, []) + bytes(64), "holds no text model"),
        (header({"x": 1}, []) + bytes(64), "names no architecture"),
        (header(PAIRS, [("a", (64, 2), 199, 0)]) + bytes(64), "of type 199 of ggml"),
        (header(PAIRS, [("a", (33, 2), 2, 0)]) + bytes(64), r"has shape \[33, 2\] at Q4_0"),
        (header(PAIRS, [("a", (2**62, 2**62), F32, 0)]) + bytes(64), "cut off"),
    ],
)
def test_what_is_no_model_is_told(tmp_path, data, said):
    path = tmp_path / "m.gguf"
    path.write_bytes(data)
    with pytest.raises(ModelError, match=said):
        read_header(path)
