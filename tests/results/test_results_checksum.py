"""A document's checksum: any other value is refused, any other layout is not."""

import hashlib
import json
import random

import pytest

from harness.core.errors import ResultFormatError
from harness.results import checksum
from harness.results.checksum import check_content, checksum_of
from harness.results.document import decode_document, encode_document
from tests.results.results_samples import document, record, unchecked

WRITTEN = document(record(), record(), environment={"cpu_model": "AMD EPYC™"})
CONTENT = encode_document(WRITTEN)
# Each writes the same values otherwise, as other programs do.
LAYOUTS = {
    "indented": lambda text: json.dumps(json.loads(text), indent=2),
    "sorted": lambda text: json.dumps(json.loads(text), sort_keys=True),
    "not ASCII": lambda text: json.dumps(json.loads(text), ensure_ascii=False),
    "without fractions": lambda text: text.replace('"value":50.0', '"value":50'),
    "line ends of Windows": lambda text: text.replace("\n", "\r\n"),
}


def test_the_checksum_is_what_the_page_says():
    """Another program makes it in one line of Python, where all numbers are whole."""
    plain = json.dumps({"b": [1, "é"], "a": None}, sort_keys=True, separators=(",", ":"))
    digest = f"sha256:{hashlib.sha256(plain.encode()).hexdigest()}"
    assert checksum_of('{"checksum": "any", "b": [1.0, "\\u00e9"], "a": null}') == digest


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_another_layout_is_the_same_document(layout):
    text = layout(CONTENT.decode())
    assert text != CONTENT.decode()
    assert decode_document(text.encode()) == WRITTEN


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"value":50.0', b'"value":50.1'),
        (b"[[1,2],[3,4]]", b"[[1,2],[3,5]]"),
        (b'"reason":null', b'"reason":0'),
        (b'"AMD EPYC', b'"AMD EPYB'),
        (b'"checksum":"sha256:', b'"checksum":"sha255:'),
        (b'"checksum":"', b'"checksum":5,"a":"'),
    ],
)
def test_another_value_is_refused_in_one_sentence(old, new):
    assert old in CONTENT
    with pytest.raises(ResultFormatError) as caught:
        decode_document(CONTENT.replace(old, new, 1))
    assert "\n" not in caught.value.problem


def test_no_flipped_bit_changes_what_is_read():
    """400 of them, seeded: each is refused, or the document still says the same."""
    chance = random.Random(8)
    refused = 0
    for place in (chance.randrange(len(CONTENT) * 8) for _ in range(400)):
        flipped = bytearray(CONTENT)
        flipped[place // 8] ^= 1 << place % 8
        try:
            assert decode_document(bytes(flipped)) == WRITTEN, place
        except ResultFormatError:
            refused += 1
    assert refused > 380


def test_a_document_from_before_checksums_is_read():
    assert decode_document(unchecked(CONTENT)) == WRITTEN


def test_what_is_read_and_written_again_has_a_checksum_of_its_own():
    again = encode_document(decode_document(unchecked(CONTENT)))
    assert again == CONTENT


ODD = (0.00001, 50.0, -0.0, 1e22, 1e16, 123456789012345680.0, 2**53, -7, True, None, "ü€\x7f😀\n/")


def test_the_fast_way_agrees_with_the_canonical_form(monkeypatch):
    """Whatever JSON may hold: thousands of documents are not read by the slow way."""
    text = json.dumps({"b": list(ODD), "a": {"z": 1, "é": {}}}, indent=1)
    stated = checksum_of(text)
    content = json.dumps({**json.loads(text), "checksum": stated}).encode()
    monkeypatch.setattr(checksum, "checksum_of", None)
    check_content(content, stated)
    check_content(CONTENT, json.loads(CONTENT)["checksum"])
