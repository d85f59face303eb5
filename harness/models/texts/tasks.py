"""Sets of questions with choices: the format of their files, and what is no such file.

One JSON object a line, UTF-8:

    {"context": "The capital of France is", "choices": [" Paris", " Rome"], "answer": 0}

A choice is read right behind the context, so that it brings its own space. Other keys are left
alone; empty lines are passed over.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from harness.core.encoding import text_from
from harness.core.errors import UsageError
from harness.core.records import data_folder
from harness.core.units import MIB

BUILTIN = "builtin"  # the set beside the model, else the English one that ships
OWN_TASKS = "tasks.jsonl"  # beside a model: a set that its training left out
MOST_LINE = 256 * 1024  # far beyond any context that is scored choice by choice
MOST_FILE_BYTES = 64 * MIB
MOST_ITEMS = 20_000  # each choice is a pass of its own
FORM = 'an item such as {"context": "Two and two make", "choices": [" four", " five"], "answer": 0}'


@dataclass(frozen=True, slots=True)
class TaskItem:
    """One question.

    Attributes:
        line: of its file, from 1.
        context: what every choice follows.
        choices: texts that may follow it; two or more, each another.
        answer: index of the right one.
    """

    line: int
    context: str
    choices: tuple[str, ...]
    answer: int


@dataclass(frozen=True, slots=True)
class TaskSet:
    """A file of questions.

    Attributes:
        name: what reports call it.
        items: in the order of the file.
        digest: of the file's bytes, so that results say which one it was.
    """

    name: str
    items: tuple[TaskItem, ...]
    digest: str


def read_tasks(word: str, folder: Path | None) -> TaskSet:
    """Read a set of questions.

    Args:
        word: `builtin`, or the path of a file.
        folder: of the model; a tasks.jsonl there is its own `builtin` set.

    Raises:
        UsageError: no such file, or a line that is no item; says which line.
    """
    path, name = _place(word, folder)
    try:
        size_bytes = path.stat().st_size
        content = path.read_bytes() if size_bytes <= MOST_FILE_BYTES else b""
    except OSError as error:
        raise UsageError(
            f"--tasks {path.name!r} cannot be read: {error.strerror}",
            fix=f"a file with an item a line, or {BUILTIN}",
        ) from error
    if size_bytes > MOST_FILE_BYTES:
        raise UsageError(
            f"--tasks {path.name!r} has {size_bytes // MIB:,} MiB; at most {MOST_FILE_BYTES // MIB}"
            " MiB are read",
            fix="fewer items: a thousand tell two points of accuracy apart",
        )
    items = tuple(_items(content, path.name))
    if not 1 <= len(items) <= MOST_ITEMS:
        raise UsageError(
            f"--tasks {path.name!r} has {len(items):,} items",
            fix=f"1 to {MOST_ITEMS:,} of them, one a line: {FORM}",
        )
    return TaskSet(name, items, hashlib.sha256(content).hexdigest()[:16])


def line_error(name: str, line: int, problem: str, fix: str = FORM) -> UsageError:
    """What is wrong with a line of a file, as every such error is told."""
    return UsageError(f"--tasks {name!r}, line {line}: {problem}", fix=fix)


def _place(word: str, folder: Path | None) -> tuple[Path, str]:
    """Path and printed name of a set."""
    if word != BUILTIN:
        return Path(word), Path(word).name
    own = None if folder is None else folder / OWN_TASKS
    if own is not None and folder is not None and own.is_file():
        return own, f"{BUILTIN} ({folder.name})"
    return data_folder("models") / "texts" / OWN_TASKS, f"{BUILTIN} (english)"


def _items(content: bytes, name: str) -> Iterator[TaskItem]:
    """Yield the items of a file's lines."""
    try:
        text = text_from(content)
    except ValueError as error:
        cause = error.__cause__
        start = cause.start if isinstance(cause, UnicodeDecodeError) else 0
        raise line_error(
            name, content[:start].count(b"\n") + 1, str(error), fix="save the file as UTF-8"
        ) from error
    for number, line in enumerate(text.split("\n"), 1):
        if len(line) > MOST_LINE:
            raise line_error(
                name,
                number,
                f"{len(line):,} characters; an item has at most {MOST_LINE:,}",
                fix="a shorter context: every choice is read behind all of it",
            )
        if line.strip():
            yield _item(line, number, name)


def _item(line: str, number: int, name: str) -> TaskItem:
    """Read one line.

    Raises:
        UsageError: it is no JSON object, or one of no item.
    """
    try:
        found = msgspec.json.decode(line)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise line_error(name, number, f"no JSON: {error}") from error
    problem = _problem(found)
    if problem is not None:
        raise line_error(name, number, problem)
    return TaskItem(number, found["context"], tuple(found["choices"]), found["answer"])


def _problem(found: Any) -> str | None:
    """What keeps a JSON value from being an item; None: it is one."""
    if not isinstance(found, dict):
        return "no JSON object"
    missing = [key for key in ("context", "choices", "answer") if key not in found]
    if missing:
        return f"no {missing[0]!r}"
    if not _is_text(found["context"]):
        return "'context' is no text, or an empty one"
    return _problem_of_choices(found["choices"]) or _problem_of_answer(found)


def _problem_of_choices(choices: Any) -> str | None:
    """What keeps a value from being the choices of an item."""
    if not isinstance(choices, list) or not all(map(_is_text, choices)):
        return "'choices' is no list of texts, or one of them is empty"
    if len(choices) < 2:
        count = "one choice" if choices else "no choice"
        return f"{count}: an item has two or more"
    if len(set(choices)) < len(choices):
        return "two choices are the same"
    return None


def _problem_of_answer(found: dict[str, Any]) -> str | None:
    """What keeps a value from being the index of the right choice."""
    answer, last = found["answer"], len(found["choices"]) - 1
    if type(answer) is not int or not 0 <= answer <= last:
        return f"'answer' is {answer!r}; it is the index of the right choice, 0 to {last}"
    return None


def _is_text(value: Any) -> bool:
    """Whether a value is text that is not empty and that can be written."""
    return isinstance(value, str) and bool(value)
