"""Text files in the encodings that editors and shells write."""

import codecs
import io
import json

import pytest

from harness.core.encoding import printable, read_json_file, read_text, text_from, utf8_from
from harness.core.errors import ModelError
from harness.core.records import read_json, read_table

WORDS = '{"name": "Größe – 大きさ"}'
TABLE = 'model = ["größe"]\nrounds = 3\n'
ENCODED = {
    "UTF-8": lambda text: text.encode(),
    "UTF-8 with a mark": lambda text: codecs.BOM_UTF8 + text.encode(),
    "UTF-16 of PowerShell": lambda text: codecs.BOM_UTF16_LE + text.encode("utf-16-le"),
    "UTF-16 big end first": lambda text: codecs.BOM_UTF16_BE + text.encode("utf-16-be"),
    "UTF-16 without a mark": lambda text: text.encode("utf-16-le"),
    "UTF-16 big, without": lambda text: text.encode("utf-16-be"),
    "UTF-32": lambda text: codecs.BOM_UTF32_LE + text.encode("utf-32-le"),
    "UTF-32 without a mark": lambda text: text.encode("utf-32-be"),
}


@pytest.mark.parametrize("encode", ENCODED.values(), ids=ENCODED)
def test_json_and_toml_are_read_in_every_encoding(tmp_path, encode):
    path = tmp_path / "x"
    path.write_bytes(encode(WORDS))
    assert read_json_file(path) == read_json(path, "x") == json.loads(WORDS)
    assert utf8_from(path.read_bytes()) == WORDS.encode()
    path.write_bytes(encode(TABLE))
    assert read_table(path) == {"model": ["größe"], "rounds": 3}


def test_utf_8_is_passed_on_as_it_is():
    content = WORDS.encode()
    assert utf8_from(content) is content


@pytest.mark.parametrize("content", [b"", b"{", codecs.BOM_UTF8, codecs.BOM_UTF16_LE])
def test_short_files_are_no_special_case(content):
    assert text_from(content) == content.decode("ascii", "ignore")[: len(content) % 2]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ('{"a": "é"}'.encode("latin-1"), "0xe9 at 7 is no text in UTF-8"),
        (codecs.BOM_UTF16_LE + b"{\0\0\xdc", "0x00 at 4 is no text in UTF-16"),
    ],
)
def test_what_is_no_text_names_the_encoding(tmp_path, content, told):
    path = tmp_path / "config.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=told):
        read_text(path)
    with pytest.raises(ModelError, match=f"m/config.json is not JSON: byte {told}"):
        read_json(path, "m/config.json")
    with pytest.raises(ModelError, match=f"config.json is not TOML: byte {told}"):
        read_table(path)


@pytest.mark.parametrize(
    ("encoding", "drawn"),
    [("ascii", "a - x ~ ? \\u5927"), ("cp1252", "a \u2013 \xd7 \xb1 ? \\u5927"), ("utf-8", None)],
)
def test_what_an_output_cannot_hold_is_drawn_otherwise(encoding, drawn):
    """Dashes, crosses and the like by their neighbours in ASCII, all else as an escape."""
    text = "a \u2013 \xd7 \xb1 ? \u5927"
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    printable(stream)
    stream.write(text)
    stream.flush()
    assert stream.buffer.getvalue().decode(encoding) == (drawn or text)
