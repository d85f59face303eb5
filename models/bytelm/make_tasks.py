"""Writes tasks.jsonl: questions that a byte model can answer, cut out of heldout.txt.

    python models/bytelm/make_tasks.py

An item is CONTEXT_BYTES of the held-out text, and four continuations of CHOICE_BYTES: the real one,
and three that follow the same last SHARED_BYTES at other places of the text. So that all four go
on from the bytes before them, and only what was read earlier tells the real one. Items lie evenly
over the text and do not overlap. Of a text that training left out: nothing is known by heart.
"""

import json
import random
from collections import defaultdict
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
OUT = FOLDER / "tasks.jsonl"
ITEMS = 400
CONTEXT_BYTES, CHOICE_BYTES, SHARED_BYTES = 96, 8, 3
CHOICES = 4
LEAST_PLACES = 8  # where the shared bytes stand, so that a choice is one
SEED = 19


def items(
    count: int = ITEMS,
    context_bytes: int = CONTEXT_BYTES,
    choice_bytes: int = CHOICE_BYTES,
    shared_bytes: int = SHARED_BYTES,
) -> list[dict]:
    """Every item, in the order of the text."""
    text = (FOLDER / "heldout.txt").read_bytes().decode("ascii", "replace").replace("\ufffd", "?")
    places = _places(text, shared_bytes, choice_bytes)
    drawn = random.Random(SEED)
    width = (len(text) - choice_bytes) // count
    written = []
    for index in range(count):
        first = max(context_bytes, index * width + context_bytes)
        last = (index + 1) * width - choice_bytes
        found = None
        while found is None:
            found = _item(
                text,
                places,
                drawn.randint(first, last),
                drawn,
                context_bytes,
                choice_bytes,
                shared_bytes,
            )
        written.append(found)
    return written


def _places(text: str, shared: int, choice: int) -> dict[str, list[int]]:
    """Where each run of bytes ends, with room for a choice behind it."""
    places = defaultdict(list)
    for end in range(shared, len(text) - choice):
        places[text[end - shared : end]].append(end)
    return places


def _item(text, places, at, drawn, context, choice, shared) -> dict | None:
    """The item whose real continuation begins at a place; None: too little follows like it."""
    right = text[at : at + choice]
    like = places[text[at - shared : at]]
    if len(like) < LEAST_PLACES:
        return None
    looked_at = drawn.sample(like, min(len(like), 4 * LEAST_PLACES))
    others = [
        one for one in dict.fromkeys(text[end : end + choice] for end in looked_at) if one != right
    ]
    if len(others) < CHOICES - 1:
        return None
    choices = [right, *drawn.sample(others, CHOICES - 1)]
    drawn.shuffle(choices)
    return {"context": text[at - context : at], "choices": choices, "answer": choices.index(right)}


def main() -> None:
    """Write the set."""
    OUT.write_text("".join(json.dumps(item) + "\n" for item in items()), encoding="utf-8")


if __name__ == "__main__":
    main()
