"""Levels of the bundled model answer questions, beside their fp32 reference."""

import json
import math

import numpy as np
import pytest

from harness.devices.device import find_device
from harness.models.texts.task_tokens import Passage
from harness.models.weights.source import resolve_model
from harness.runner.quality.divergence import compare_logits
from harness.runner.quality.likelihood import judge_passage
from harness.runner.quality.measure import graphs
from harness.runner.quality.paths import OPENERS
from harness.runner.quality.tasks import TaskRun, check_tasks
from harness.runner.quality.worker import graph_files
from harness.store.cache import ensure_artifact

# Continuations of Python that any model of it tells from the other.
EASY = [
    ("import os\nimport sys\n\ndef main(", "):\n", "@@qz"),
    ("    def __init__(self", ", ", "zzz"),
    ("for i in range(", "10", "}}"),
    ("    return self", ".", "QQ"),
]


@pytest.fixture(scope="module")
def model():
    return resolve_model("bytelm")


@pytest.fixture
def questions(tmp_path):
    path = tmp_path / "mine.jsonl"
    lines = [
        {"context": context, "choices": [wrong, right], "answer": 1}
        for context, right, wrong in EASY
    ]
    path.write_text("\n".join(map(json.dumps, lines)))
    return str(path)


def test_a_level_answers_beside_its_reference(model, shared_cache, questions):
    reference, level = (ensure_artifact(model, name, shared_cache) for name in ("fp32", "int2"))
    run = TaskRun(questions)
    found = run.judge(model, reference, level)
    assert (found.items, found.chance, found.reason) == (4, 0.5, None)
    assert found.reference_accuracy.value == 1.0
    assert found.lost + found.won == round(4 * found.task_flips.value)
    itself = run.judge(model, reference, reference)  # answered already
    assert (itself.task_accuracy.value, itself.task_flips.value) == (1.0, 0.0)


def test_a_file_that_is_gone_is_a_reason_and_no_end(model, shared_cache, tmp_path):
    reference = ensure_artifact(model, "fp32", shared_cache)
    found = TaskRun(str(tmp_path / "gone.jsonl")).judge(model, reference, reference)
    assert "'gone.jsonl' cannot be read" in found.reason


def test_random_weights_answer_by_bytes(shared_cache, questions):
    """A catalog model without a tokenizer: its tokens are bytes, and its answers a guess."""
    source = resolve_model("bytelm")
    reference = ensure_artifact(source, "fp32", shared_cache)
    read = check_tasks(source, reference, questions)
    assert (read.tokenization, read.choices[0]) == ("bytes", (4, 3))


@pytest.mark.parametrize("path", OPENERS)
def test_a_passage_is_judged_token_by_token(model, shared_cache, path):
    """Both paths, whole or a token a pass: the sum of what compare_logits says of each token."""
    artifact = ensure_artifact(model, "fp32", shared_cache)
    text = b"\x00def main(argv):\n"
    reader = OPENERS[path](graph_files(graphs(artifact)), find_device("cpu"), 1, len(text))
    found = judge_passage(reader, Passage(tuple(text), 10))
    ids = np.frombuffer(text, np.uint8).astype(np.int64)
    logits = np.concatenate([block.copy() for block in reader.blocks(ids[:-1])])
    told = compare_logits(logits, logits, ids[1:]).reference_nll_nats
    assert found.log_likelihood == pytest.approx(-told[9:].sum(), rel=1e-9)
    assert math.isfinite(found.log_likelihood)
    assert found.is_greedy == bool((logits.argmax(axis=1)[9:] == ids[10:]).all())
