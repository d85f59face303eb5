"""Files of questions: what is read, what is refused with its line, and the sets that ship."""

import importlib.util
import json
from collections import Counter

import pytest

from harness.core.errors import UsageError
from harness.core.records import data_folder
from harness.models.texts.task_tokens import encode_pair, encode_tasks
from harness.models.texts.tasks import BUILTIN, MOST_LINE, read_tasks
from harness.models.texts.tokens import TokenCoder

MODELS = data_folder("models")
GOOD = {"context": "Two and two make", "choices": [" four", " five"], "answer": 0}
BYTES = TokenCoder(encode=lambda text: list(text.encode()), decode=bytes, begin_id=0)


def written(tmp_path, *lines):
    """A file of lines; what is no text is written as JSON."""
    path = tmp_path / "mine.jsonl"
    texts = (line if isinstance(line, str) else json.dumps(line) for line in lines)
    path.write_text("\n".join(texts), encoding="utf-8")
    return str(path)


def refused(tmp_path, *lines):
    with pytest.raises(UsageError) as caught:
        read_tasks(written(tmp_path, *lines), None)
    assert caught.value.fix
    return caught.value.problem


def test_items_keep_their_lines_and_other_keys_are_left_alone(tmp_path):
    read = read_tasks(written(tmp_path, GOOD, "", GOOD | {"subject": "sums", "answer": 1}), None)
    assert [(item.line, item.answer) for item in read.items] == [(1, 0), (3, 1)]
    assert (read.name, read.items[0].choices) == ("mine.jsonl", (" four", " five"))
    again = read_tasks(written(tmp_path, GOOD), None)
    assert again.digest != read.digest


def test_a_file_as_editors_of_windows_write_it(tmp_path):
    path = tmp_path / "mine.jsonl"
    path.write_bytes(f"{json.dumps(GOOD)}\r\n".encode("utf-8-sig"))
    assert read_tasks(str(path), None).items[0].context == GOOD["context"]
    path.write_text(json.dumps(GOOD), encoding="utf-16")
    assert read_tasks(str(path), None).items[0].answer == 0


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        ("{", "no JSON: "),
        ("[]", "no JSON object"),
        ("[" * 100_000, "no JSON: "),
        ('{"context": "\\ud800", "choices": ["a", "b"], "answer": 0}', "no JSON: "),
        ({"choices": ["a", "b"], "answer": 0}, "no 'context'"),
        (GOOD | {"context": ""}, "'context' is no text"),
        ({"context": "a", "answer": 0}, "no 'choices'"),
        (GOOD | {"choices": []}, "no choice: an item has two or more"),
        (GOOD | {"choices": [" four"]}, "one choice: an item has two or more"),
        (GOOD | {"choices": [" four", 5]}, "'choices' is no list of texts"),
        (GOOD | {"choices": [" four", ""]}, "'choices' is no list of texts"),
        (GOOD | {"choices": [" four", " four"]}, "two choices are the same"),
        ({"context": "a", "choices": ["a", "b"]}, "no 'answer'"),
        (GOOD | {"answer": 2}, "'answer' is 2; it is the index of the right choice, 0 to 1"),
        (GOOD | {"answer": -1}, "'answer' is -1"),
        (GOOD | {"answer": True}, "'answer' is True"),
        (GOOD | {"context": "a" * MOST_LINE}, "an item has at most 262,144"),
    ],
)
def test_a_line_that_is_no_item_is_named(tmp_path, bad, told):
    problem = refused(tmp_path, GOOD, bad)
    assert problem.startswith("--tasks 'mine.jsonl', line 2: ")
    assert told in problem


def test_bytes_that_are_no_text_are_named_with_their_line(tmp_path):
    path = tmp_path / "mine.jsonl"
    path.write_bytes(json.dumps(GOOD).encode() + b"\n\xff\n")
    with pytest.raises(UsageError, match="line 2: "):
        read_tasks(str(path), None)


def test_no_file_and_no_items_are_refused(tmp_path):
    with pytest.raises(UsageError, match=r"'none.jsonl' cannot be read: No such file"):
        read_tasks(str(tmp_path / "none.jsonl"), None)
    assert "has 0 items" in refused(tmp_path, "", " ")


def test_space_before_a_choice_goes_with_it():
    """`a ` and `b`: tokenizers write the space with the word, so `b` begins at it."""
    passage = encode_pair(BYTES, "a ", "b")
    assert passage.ids == (0, *b"a b")
    assert bytes(passage.ids[passage.start :]) == b" b"


@pytest.mark.parametrize(
    ("coder", "vocab", "most", "told"),
    [
        (BYTES, 256, 3, "choice 0 ends at token 22; the model reads 3 at once"),
        (BYTES, 100, 99, "outside the vocabulary of 100"),
        (
            TokenCoder(lambda text: [7] * len(text.split()), str, None, unknown_id=7),
            256,
            99,
            "choice 0 has signs outside the vocabulary",
        ),
        (TokenCoder(lambda _: [1], str, None), 256, 99, "choice 0 adds no token"),
    ],
)
def test_an_item_that_a_model_cannot_read_is_named(tmp_path, coder, vocab, most, told):
    tasks = read_tasks(written(tmp_path, "", GOOD), None)
    with pytest.raises(UsageError) as caught:
        encode_tasks(tasks, coder, vocab, most)
    assert "line 2: choice" in caught.value.problem
    assert told in caught.value.problem


SETS = {"texts": None, "bytelm": MODELS / "bytelm"}


@pytest.mark.parametrize("place", SETS)
def test_the_bundled_sets_are_what_their_scripts_write(place):
    folder = MODELS / place
    read = read_tasks(BUILTIN, SETS[place])
    assert read.name == ("builtin (english)" if place == "texts" else "builtin (bytelm)")
    assert len(read.items) >= 300
    assert (folder / "tasks.jsonl").stat().st_size < 200_000
    assert len({item.context for item in read.items}) == len(read.items)
    # where the right one stands says nothing
    places = Counter(item.answer for item in read.items)
    assert max(places.values()) < 0.35 * len(read.items)
    spec = importlib.util.spec_from_file_location("make_tasks", folder / "make_tasks.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    written = [
        json.loads(line) for line in (folder / "tasks.jsonl").read_text("utf-8").split("\n")[:-1]
    ]
    assert written == script.items()
