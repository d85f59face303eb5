"""The commands of the child that lets models choose: check, answer.

`python -m harness.machine.process.serve harness.runner.quality.task_worker` serves them.
"""

import math
from pathlib import Path

from harness.core.progress import told_parts
from harness.devices.device import SentDevice, find_device
from harness.machine.meters.memory import memory_mark
from harness.models.texts.task_tokens import Question, encode_tasks
from harness.models.texts.tasks import TaskSet, read_tasks
from harness.models.texts.tokens import open_coder, tokenization_of
from harness.runner.quality.likelihood import judge_passage
from harness.runner.quality.paths import open_prefill
from harness.runner.quality.replies import Answers, SentGraphs, TasksRead
from harness.runner.quality.worker import graph_files


def check(folder: str | None, vocab_size: int, tasks: str, most_tokens: int) -> TasksRead:
    """Read a set of questions as a model's tokens, to refuse it before anything is measured.

    Args:
        folder: the model's Hugging Face folder; None: seeded weights.
        vocab_size: rows of its embedding.
        tasks: see read_tasks.
        most_tokens: that it reads at once.

    Raises:
        UsageError, ModelError: as read_tasks, open_coder and encode_tasks.
    """
    read, _ = _read(folder, vocab_size, tasks, most_tokens)
    home = None if folder is None else Path(folder)
    return TasksRead(
        name=read.name,
        digest=read.digest,
        tokenization=str(tokenization_of(home, vocab_size)),
        answers=tuple(item.answer for item in read.items),
        choices=tuple(tuple(map(_size_bytes, item.choices)) for item in read.items),
    )


def answer(
    model: SentGraphs,
    device: str | SentDevice,
    threads: int,
    folder: str | None,
    vocab_size: int,
    tasks: str,
    most_tokens: int,
) -> Answers:
    """Let a model choose: how likely it finds each choice, a pass from an empty cache each.

    Args:
        model: its graphs.
        device: as it travels, or a key of the device table.
        threads: intra-op threads.
        folder: as of check, like what follows.
        vocab_size: rows of its embedding.
        tasks: see read_tasks.
        most_tokens: that it reads at once.
    """
    _, questions = _read(folder, vocab_size, tasks, most_tokens)
    longest = max(len(one.ids) - 1 for question in questions for one in question.passages)
    reader = open_prefill(graph_files(model), find_device(device), threads, longest)
    found: list[tuple[float, ...]] = []
    bad_line = None
    for question in told_parts(questions, "questions"):
        likelihoods = [judge_passage(reader, one).log_likelihood for one in question.passages]
        if not all(map(math.isfinite, likelihoods)):
            bad_line = question.item.line
            break
        found.append(tuple(likelihoods))
    return Answers(
        log_likelihoods=tuple(found), bad_line=bad_line, peak_bytes=memory_mark().peak_bytes
    )


def _read(
    folder: str | None, vocab_size: int, tasks: str, most_tokens: int
) -> tuple[TaskSet, tuple[Question, ...]]:
    """A set, and its questions as tokens."""
    home = None if folder is None else Path(folder)
    read = read_tasks(tasks, home)
    coder = open_coder(home, vocab_size)
    return read, encode_tasks(read, coder, vocab_size, most_tokens)


def _size_bytes(text: str) -> int:
    """Bytes of a text in UTF-8."""
    return len(text.encode())


COMMANDS = {"check": check, "answer": answer}
