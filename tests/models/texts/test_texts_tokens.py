"""Bundled texts, bytes, a model's own tokenizer, and tokenizers that are not its own."""

import json
import sys

import pytest

from harness.core.errors import HarnessError, ModelError, UsageError
from harness.core.records import data_folder
from harness.models.texts.tokens import (
    BUNDLED,
    Tokenization,
    bytes_per_token,
    open_tokenizer,
    read_tokens,
    tokenization_of,
)
from harness.runner.quality.chunks import DEFAULT_PLAN

WORDS = ["<unk>", "<s>", "the", "of", "and", "to", "a", "국민은", "모든"]
VOCABULARY = len(WORDS)


@pytest.fixture
def byte_folder(make_tiny, tmp_path):
    return make_tiny(tmp_path / "tiny")


@pytest.fixture
def word_folder(tmp_path):
    """A folder whose tokenizer knows nine words and puts <s> before a text."""
    tokenizers = pytest.importorskip("tokenizers")
    models, splits = tokenizers.models, tokenizers.pre_tokenizers
    vocabulary = {word: index for index, word in enumerate(WORDS)}
    tokenizer = tokenizers.Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = splits.Whitespace()
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 1)]
    )
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    return tmp_path


@pytest.mark.parametrize("name", BUNDLED)
def test_bundled_texts_are_text_of_the_stated_size(name):
    text = (data_folder("models") / "texts" / f"{name}.txt").read_text(encoding="utf-8")
    assert 10_000 <= len(text.encode()) <= 20_000
    assert "\r" not in text


def test_the_korean_text_is_korean():
    text = (data_folder("models") / "texts" / "korean.txt").read_text(encoding="utf-8")
    letters = [sign for sign in text if sign.isalpha()]
    assert sum("가" <= sign <= "힣" for sign in letters) / len(letters) > 0.99


def test_bundled_texts_name_their_sources():
    readme = (data_folder("models") / "texts" / "README.md").read_text(encoding="utf-8")
    assert all(f"## {name}.txt" in readme for name in BUNDLED)


def test_a_byte_model_reads_bytes(byte_folder):
    read = read_tokens(byte_folder, 256, "korean")
    text = (data_folder("models") / "texts" / "korean.txt").read_bytes()
    assert tokenization_of(byte_folder, 256) is Tokenization.BYTES
    assert bytes(read.ids) == text
    assert (read.name, read.begin_id) == ("korean", None)


def test_a_text_beside_the_model_comes_first(byte_folder):
    assert read_tokens(byte_folder, 256, None).name == "english"
    (byte_folder / "heldout.txt").write_text("née", encoding="utf-8")
    assert read_tokens(byte_folder, 256, None).ids == [*b"n\xc3\xa9e"]
    assert read_tokens(byte_folder, 256, "english").name == "english"


def test_a_text_of_the_users(byte_folder, tmp_path):
    path = tmp_path / "mine.txt"
    path.write_text("abc", encoding="utf-8")
    read = read_tokens(byte_folder, 256, str(path))
    assert (read.name, read.ids) == ("mine.txt", [97, 98, 99])


def test_bytelm_begins_with_its_zero_byte():
    read = read_tokens(data_folder("models") / "bytelm", 256, None)
    assert (read.name, read.begin_id) == ("heldout.txt", 0)
    assert len(read.ids) == 184_384


@pytest.mark.parametrize(("begin", "expected"), [(3, 3), (None, None), ([1], None), (300, None)])
def test_only_a_byte_begins_a_byte_text(byte_folder, begin, expected):
    config = json.loads((byte_folder / "config.json").read_text())
    (byte_folder / "config.json").write_text(json.dumps(config | {"bos_token_id": begin}))
    assert read_tokens(byte_folder, 256, None).begin_id == expected


def test_a_folder_with_a_tokenizer_uses_it(word_folder):
    """`the people` is the word 2 and an unknown one; <s> is kept for the chunks."""
    path = word_folder / "text.txt"
    path.write_text("the people", encoding="utf-8")
    read = read_tokens(word_folder, VOCABULARY, str(path))
    assert tokenization_of(word_folder, VOCABULARY) is Tokenization.FILE
    assert (list(read.ids), read.begin_id) == ([2, 0], 1)


@pytest.mark.parametrize(("template", "begin"), [("<s> $A", 1), ("$A <s>", None), ("$A", None)])
def test_only_what_stands_before_a_text_begins_it(word_folder, template, begin):
    tokenizers = pytest.importorskip("tokenizers")
    tokenizer = open_tokenizer(word_folder, VOCABULARY)
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing(
        single=template, special_tokens=[("<s>", 1)]
    )
    tokenizer.save(str(word_folder / "tokenizer.json"))
    assert read_tokens(word_folder, VOCABULARY, "english").begin_id == begin


def test_a_length_in_the_tokenizer_cuts_no_text(word_folder):
    """Some files say: cut, or fill, to so many tokens. The text has some thousand."""
    whole = read_tokens(word_folder, VOCABULARY, "english").ids
    tokenizer = open_tokenizer(word_folder, VOCABULARY)
    tokenizer.enable_truncation(16)
    tokenizer.enable_padding(length=9000)
    tokenizer.save(str(word_folder / "tokenizer.json"))
    assert list(read_tokens(word_folder, VOCABULARY, "english").ids) == list(whole)
    assert len(whole) > 1000


def test_models_without_tokenizer(tmp_path):
    assert tokenization_of(None, 256) is Tokenization.NONE
    assert tokenization_of(tmp_path, 32_000) is Tokenization.NONE
    assert bytes_per_token(None, 256) is None
    assert bytes_per_token(tmp_path, 32_000) is None


def test_bytes_per_token(byte_folder, word_folder):
    """One byte of a byte model; for words, the file's bytes over its words and signs."""
    assert bytes_per_token(byte_folder, 256) == {"english": 1.0, "korean": 1.0}
    english = read_tokens(word_folder, VOCABULARY, "english")
    size_bytes = (data_folder("models") / "texts" / "english.txt").stat().st_size
    assert bytes_per_token(word_folder, VOCABULARY)["english"] == size_bytes / len(english.ids)


def test_the_default_plan_fits_the_english_text():
    """At 5 bytes a token, more than tokenizers of 150,000 tokens give, the text still suffices."""
    size_bytes = (data_folder("models") / "texts" / "english.txt").stat().st_size
    assert size_bytes / 5 > DEFAULT_PLAN.tokens + 1


@pytest.mark.parametrize("vocab_size", [8, 10, 100])
def test_a_tokenizer_of_another_model_is_refused(word_folder, vocab_size):
    """9 ids: too many for 8 rows; of 10 rows 10 % and of 100 rows 91 % would never be used."""
    with pytest.raises(ModelError, match="ids up to 8") as caught:
        read_tokens(word_folder, vocab_size, "english")
    assert "checkpoint" in caught.value.fix


def test_a_padded_vocabulary_is_no_disagreement(tmp_path):
    """151,665 tokens in 151,936 rows, as in Qwen2.5: 0.2 % unused."""
    tokenizers = pytest.importorskip("tokenizers")
    vocabulary = {f"t{index}": index for index in range(975)}
    model = tokenizers.models.WordLevel(vocabulary, unk_token="t0")
    tokenizers.Tokenizer(model).save(str(tmp_path / "tokenizer.json"))
    assert open_tokenizer(tmp_path, 1000).get_vocab_size() == 975


def test_a_damaged_tokenizer_is_refused(tmp_path):
    pytest.importorskip("tokenizers")
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(ModelError, match="cannot be read"):
        open_tokenizer(tmp_path, 100)


@pytest.mark.parametrize(
    ("known", "words"), [("b", "cannot be read"), ("a", "cannot write a text")]
)
def test_a_tokenizer_that_lacks_a_token_it_names_is_refused(known, words, tmp_path):
    """At once where it can write no text, else where it meets the first that it cannot write."""
    tokenizers = pytest.importorskip("tokenizers")
    model = tokenizers.models.WordLevel({known: 0}, unk_token="nowhere")
    tokenizers.Tokenizer(model).save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(ModelError, match=words):
        read_tokens(tmp_path, 1, "english")


def test_no_tokenizer_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"no tokenizer\.json"):
        open_tokenizer(tmp_path, 100)


def test_a_missing_package_names_the_command(tmp_path, monkeypatch):
    (tmp_path / "tokenizer.json").write_text("{}")
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(UsageError) as caught:
        open_tokenizer(tmp_path, 100)
    assert "pip install" in caught.value.fix


@pytest.mark.parametrize("content", [None, b"\xff\xfe\xfa"])
def test_a_text_that_cannot_be_read_is_refused(byte_folder, tmp_path, content):
    path = tmp_path / "text.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(HarnessError, match=r"text\.txt") as caught:
        read_tokens(byte_folder, 256, str(path))
    assert "english" in caught.value.fix
    assert str(tmp_path) not in caught.value.problem
