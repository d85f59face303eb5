"""Our decoder as a model of text: what it judges, what it writes, and what is cut."""

import pytest

from harness.devices.device import find_device
from harness.devices.session import open_session
from harness.models.texts.tokens import open_coder
from harness.models.weights.source import resolve_model
from harness.runner.evaluation.language_model import LanguageModel
from harness.store.cache import ensure_artifact


@pytest.fixture(scope="module")
def model(shared_cache):
    source = resolve_model("bytelm")
    artifact = ensure_artifact(source, "fp32", shared_cache)
    opened = open_session(artifact.all_logits_graph, find_device("cpu"), 1)
    coder = open_coder(source.folder, artifact.geometry.vocab_size)
    return LanguageModel(opened, artifact.geometry, coder, 64)


def test_a_written_text_is_the_one_that_is_judged_greedy(model):
    """What the model writes after a text is likeliest token by token; another is not."""
    context = model.coder.encode("import os\nimport ")
    text = model.write(context, (), 8)
    assert len(text) == 8
    assert model.judge(context, model.coder.encode(text)).is_greedy
    assert not model.judge(context, b"@@@@").is_greedy


def test_writing_ends_before_a_stop(model):
    context = model.coder.encode("import os\nimport ")
    text = model.write(context, (), 30)
    assert "\n" in text
    assert model.write(context, ("zzz", "\n"), 30) == text.partition("\n")[0]
    assert model.write(context, (), 0) == ""


def test_what_is_too_long_loses_its_beginning(model):
    """The last 64 tokens before the last one are read, as if the text began there."""
    long = model.coder.encode("x = 1\n" * 40)
    assert model.judge(long, b"\n") == model.judge(long[-64:], b"\n")
    assert model.judge(long, long).log_likelihood < 0  # a continuation longer than the context
    assert len(model.write(long, (), 10)) == 10


def test_the_token_that_begins_a_text_is_put_there_once(model):
    assert model.begun([5]) == (0, 5)
    assert model.begun([0, 5]) == (0, 5)
