"""The adapter of `bench eval` without the extra: what it answers to requests of the known forms."""

import importlib
import inspect
import json
import math
import sys

import pytest

from harness.cli.main import main
from harness.devices.device import find_device
from harness.devices.session import open_session
from harness.models.texts.tokens import open_coder
from harness.models.weights.source import resolve_model
from harness.runner.evaluation import evaluate
from harness.runner.evaluation.language_model import LanguageModel
from harness.runner.quality import tasks
from harness.runner.quality.tasks import TaskRun
from harness.store.cache import ensure_artifact
from tests.inline_worker import InlineWorker
from tests.runner.evaluation import lm_eval_surface as surface

ITEMS = 24
STOPS = {"until": ["\n", ""], "max_gen_toks": 6}


@pytest.fixture(autouse=True)
def inline(monkeypatch):
    for module in (evaluate, tasks):
        monkeypatch.setattr(module, "Worker", InlineWorker)
    monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "1")
    surface.put_in_place(monkeypatch)
    yield
    sys.modules.pop(surface.ADAPTER, None)  # that of the package, if it is there, comes anew


@pytest.fixture
def folder(tmp_path):
    """Questions of the bundled model, and tasks of every kind that ask them."""
    lines = (resolve_model("bytelm").folder / "tasks.jsonl").read_text().splitlines()[:ITEMS]
    data = tmp_path / "mine.jsonl"
    data.write_text("\n".join(lines))
    kinds = {
        "mine": {"kind": "choices"},
        "rolled": {"kind": "rolled"},
        "written": {"kind": "written", "options": STOPS},
        "drawn": {"kind": "written", "options": {**STOPS, "do_sample": True}},
        "broken": {"kind": "broken"},
    }
    for name, task in kinds.items():
        (tmp_path / f"{name}.json").write_text(json.dumps({**task, "data": str(data)}))
    return tmp_path


def asked(capsys, cache, folder, names, *words):
    """Exit code, and what `bench eval` prints as JSON, else its error."""
    own = ["--tasks", names, "--include", str(folder), "--cache", str(cache), "--threads", "1"]
    code = main(["eval", "bytelm", *own, "--format", "json", "-q", *words])
    out, err = capsys.readouterr()
    return (code, json.loads(out)) if code == 0 else (code, err)


def test_choices_are_judged_as_our_own_questions_are(capsys, shared_cache, folder):
    before = surface.TaskManager.looked_into_package
    code, rows = asked(capsys, shared_cache, folder, "mine", "--quant", "fp32,int2")
    assert code == 0
    assert surface.TaskManager.looked_into_package == before  # the user's own are enough
    values = {(row["level"], row["metric"]): row for row in rows}
    source = resolve_model("bytelm")
    reference = ensure_artifact(source, "fp32", shared_cache)
    for level in ("fp32", "int2"):
        built = ensure_artifact(source, level, shared_cache)
        ours = TaskRun(str(folder / "mine.jsonl")).judge(source, reference, built)
        row = values[level, "acc_norm"]
        assert row["value"] == pytest.approx(ours.task_accuracy.value, abs=1e-9)
        assert (row["standard_error"], row["items"]) == (None, ITEMS)  # "N/A" is no number
        assert values[level, "acc"]["standard_error"] > 0
    assert set(values) == {(one, name) for one in ("fp32", "int2") for name in ("acc", "acc_norm")}


def test_limit_and_shots_reach_the_package(capsys, shared_cache, folder):
    _, rows = asked(capsys, shared_cache, folder, "mine", "--limit", "7")
    assert {row["items"] for row in rows} == {7}
    _, more = asked(capsys, shared_cache, folder, "mine", "--shots", "2", "--limit", "7")
    assert {row["items"] for row in more} == {7}


def test_whole_texts_are_judged_once_and_written_ones_end(capsys, shared_cache, folder):
    code, rows = asked(capsys, shared_cache, folder, "rolled,written")
    assert code == 0
    values = {(row["task"], row["metric"]): row["value"] for row in rows}
    assert 0 < values["rolled", "nats_a_byte"] < math.log(256)  # better than a guess
    assert 0 < values["written", "longest"] <= 6
    assert values["written", "stops"] == 0


def test_windows_judge_what_one_pass_does(shared_cache):
    """A text that fits is one window: the sum over windows of any size judges each token once."""
    adapter = importlib.import_module(surface.ADAPTER)
    source = resolve_model("bytelm")
    artifact = ensure_artifact(source, "fp32", shared_cache)
    opened = open_session(artifact.all_logits_graph, find_device("cpu"), 1)
    coder = open_coder(source.folder, artifact.geometry.vocab_size)
    text = "import os\nimport sys\n\ndef main(argv):\n    return argv\n"
    judged = {}
    for most in (16, 128):
        lm = adapter.HarnessLM(LanguageModel(opened, artifact.geometry, coder, most))
        assert lm.max_length == most
        (judged[most],) = lm.loglikelihood_rolling([surface.Instance((text,))])
    whole = lm.model.judge((lm.prefix_token_id,), coder.encode(text)).log_likelihood
    assert judged[128] == pytest.approx(whole, rel=1e-5)
    assert judged[16] < judged[128] < 0  # less context, less likely
    ((empty, greedy),) = lm.loglikelihood([surface.Instance(("", text))])
    assert (empty, greedy) == (pytest.approx(whole, rel=1e-5), False)


def test_a_model_without_a_begin_refuses_an_empty_context(shared_cache):
    """What its tokenizer lacks is said with a way out."""
    adapter = importlib.import_module(surface.ADAPTER)

    class NoBegin:
        coder = type("Coder", (), {"begin_id": None, "end_id": None})()

    with pytest.raises(Exception, match="no token that begins or ends a text"):
        _ = adapter.HarnessLM(NoBegin()).eot_token_id


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ("mime", "has no task 'mime'"),
        ("hellaswagg", "did you mean hellaswag"),
        ("drawn", "a task draws tokens"),
        ("broken", "could not run broken: KeyError"),
    ],
)
def test_what_cannot_be_run_has_two_lines(capsys, shared_cache, folder, names, told):
    code, err = asked(capsys, shared_cache, folder, names)
    assert code == 2
    assert told in err
    assert "\n  try: " in err
    assert "Traceback" not in err


def test_the_surface_is_that_of_the_package(monkeypatch):
    """Where the package is installed: what stands in for it takes the same arguments."""
    monkeypatch.undo()
    real = pytest.importorskip("lm_eval")
    model = importlib.import_module("lm_eval.api.model")
    utils = importlib.import_module("lm_eval.utils")
    found = importlib.import_module("lm_eval.tasks")
    for ours, theirs in (
        (surface.simple_evaluate, real.simple_evaluate),
        (surface.rolling_windows, utils.get_rolling_token_windows),
        (surface.TaskManager.__init__, found.TaskManager.__init__),
        (surface.TemplateLM.loglikelihood, model.TemplateLM.loglikelihood),
    ):
        asked_for = set(inspect.signature(ours).parameters)
        assert asked_for <= set(inspect.signature(theirs).parameters), theirs
    tokens = list(range(50))
    arguments = {"token_list": tokens, "prefix_token": 99, "max_seq_len": 16, "context_len": 1}
    ours, theirs = (
        [tuple(map(list, pair(one))) for one in windows(**arguments)]
        for pair, windows in (
            (surface.disjoint, surface.rolling_windows),
            (utils.make_disjoint_window, utils.get_rolling_token_windows),
        )
    )
    assert ours == theirs
