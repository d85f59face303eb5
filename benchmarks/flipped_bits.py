"""Which share of flipped bits is found: of results documents, and of journals line by line.

    python benchmarks/flipped_bits.py results/reference/default.json --flips 600
    python benchmarks/flipped_bits.py results/reference/default.json --flips 600 --unchecked
    python benchmarks/flipped_bits.py tests/fixtures/journals/format-1.journal.jsonl

Each flip is one bit of the whole file, by a seed. A document is read again: it is refused, or says
the same (a bit of the spelling of a number, of the name of the checksum), or says something else,
which nobody would notice. `--unchecked` writes it without its checksum, as older versions did. Of a
journal every sound line has to be one that was written, and lines are lost, which are named.
"""

import argparse
import random
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from harness.core.errors import ResultFormatError
from harness.results.document import decode_document, encode_document
from harness.results.journal import SUFFIX, check_lines, read_journal

REFUSED, SAME, CHANGED = "refused", "read, says the same", "read, says something else"


def flipped(content: bytes, count: int, seed: int) -> Iterator[bytes]:
    """Yield the content with one bit turned, `count` times; the same for the same seed."""
    chance = random.Random(seed)
    for _ in range(count):
        place = chance.randrange(len(content) * 8)
        changed = bytearray(content)
        changed[place // 8] ^= 1 << place % 8
        yield bytes(changed)


def document_outcome(content: bytes, written: object) -> str:
    """What becomes of a document with a flipped bit."""
    try:
        return SAME if decode_document(content) == written else CHANGED
    except ResultFormatError:
        return REFUSED


def of_document(content: bytes, count: int, seed: int, unchecked: bool) -> Counter[str]:
    """Outcomes of so many flips of one document, written by this version."""
    written = decode_document(content)
    again = encode_document(written)
    if unchecked:
        again = re.sub(rb'"checksum":"[^"]*",', b"", again, count=1)
    return Counter(document_outcome(one, written) for one in flipped(again, count, seed))


def of_journal(content: bytes, count: int, seed: int) -> Counter[str]:
    """Outcomes of so many flips of one journal; lines that a flip cost are told with it."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"run{SUFFIX}"
        path.write_bytes(content)
        written = {msgspec.json.encode(entry) for entry in read_journal(path)}
        outcomes: Counter[str] = Counter()
        for one in flipped(content, count, seed):
            path.write_bytes(one)
            sound = read_journal(path, lambda _: None)
            lost = len(written) - len(sound)
            named = len(check_lines(path).damaged) + bool(check_lines(path).torn_bytes)
            is_same = all(msgspec.json.encode(entry) in written for entry in sound)
            told = "named" if named else "unnamed"
            outcomes[f"{lost} of {len(written)} entries lost, {told}" if is_same else CHANGED] += 1
        return outcomes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--flips", type=int, default=600)
    parser.add_argument("--seed", type=int, default=8)
    parser.add_argument("--unchecked", action="store_true", help="without its checksum")
    asked = parser.parse_args()
    content = asked.file.read_bytes()
    if asked.file.suffix == ".jsonl":
        outcomes = of_journal(content, asked.flips, asked.seed)
    else:
        outcomes = of_document(content, asked.flips, asked.seed, asked.unchecked)
    for outcome, count in outcomes.most_common():
        print(f"{count:6} {count / asked.flips:7.1%}  {outcome}")


if __name__ == "__main__":
    main()
