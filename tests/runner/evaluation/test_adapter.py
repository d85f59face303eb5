"""lm-evaluation-harness over our decoders; skipped without the extra `lm-eval`."""

import json
import sys

import pytest

from harness.cli.main import main
from harness.models.weights.source import resolve_model
from harness.runner.evaluation import evaluate
from harness.runner.quality import tasks
from harness.runner.quality.tasks import TaskRun
from harness.store.cache import ensure_artifact
from tests.inline_worker import InlineWorker

ITEMS = 40
YAML = """\
task: {name}
dataset_path: json
dataset_kwargs:
  data_files: {{test: {data}}}
test_split: test
output_type: {kind}
doc_to_text: "{{{{context}}}}"
{rest}
"""
CHOICES = """\
doc_to_target: answer
doc_to_choice: choices
target_delimiter: ""
metric_list:
  - metric: acc
  - metric: acc_norm
"""
ROLLING = """\
doc_to_target: "{{context}}"
metric_list:
  - metric: byte_perplexity
"""
WRITTEN = """\
doc_to_target: "{{choices[answer]}}"
generation_kwargs: {until: ["\\n"], max_gen_toks: 6, do_sample: %s}
metric_list:
  - metric: exact_match
"""


@pytest.fixture(autouse=True)
def inline(monkeypatch):
    monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "1")  # which a child sets for itself
    for module in (evaluate, tasks):
        monkeypatch.setattr(module, "Worker", InlineWorker)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Questions of the bundled model and three tasks that ask them."""
    pytest.importorskip("lm_eval")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    lines = (resolve_model("bytelm").folder / "tasks.jsonl").read_text().splitlines()[:ITEMS]
    data = tmp_path / "mine.jsonl"
    data.write_text("\n".join(lines))
    kinds = {
        "mine": ("multiple_choice", CHOICES),
        "rolled": ("loglikelihood_rolling", ROLLING),
        "written": ("generate_until", WRITTEN % "false"),
        "drawn": ("generate_until", WRITTEN % "true"),
    }
    for name, (kind, rest) in kinds.items():
        text = YAML.format(name=name, data=data, kind=kind, rest=rest)
        (tmp_path / f"{name}.yaml").write_text(text)
    return tmp_path


def asked(capsys, cache, folder, names, *words):
    """What `bench eval` prints as JSON."""
    own = ["--tasks", names, "--include", str(folder), "--cache", str(cache), "--threads", "1"]
    code = main(["eval", "bytelm", *own, "--format", "json", "-q", *words])
    out, err = capsys.readouterr()
    return (code, json.loads(out)) if code == 0 else (code, err)


@pytest.mark.filterwarnings("ignore")
def test_its_tasks_and_ours_agree(capsys, shared_cache, folder):
    """One task, two scorers: the same share of right answers, at two levels."""
    code, rows = asked(capsys, shared_cache, folder, "mine,rolled,written", "--quant", "fp32,int2")
    assert code == 0
    source = resolve_model("bytelm")
    reference = ensure_artifact(source, "fp32", shared_cache)
    for level in ("fp32", "int2"):
        values = {
            (row["task"], row["metric"]): row["value"] for row in rows if row["level"] == level
        }
        built = ensure_artifact(source, level, shared_cache)
        ours = TaskRun(str(folder / "mine.jsonl")).judge(source, reference, built)
        assert values["mine", "acc_norm"] == pytest.approx(ours.task_accuracy.value, abs=1e-9)
        assert 0 <= values["written", "exact_match"] <= 1
        assert 1 < values["rolled", "byte_perplexity"] < 256
    assert {row["items"] for row in rows} == {ITEMS}
    code, rows = asked(capsys, shared_cache, folder, "mine", "--limit", "7")
    assert {row["items"] for row in rows} == {7}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("names", "told"),
    [("mime", "has no task 'mime'"), ("drawn", "a task draws tokens")],
)
def test_a_task_that_cannot_be_run_is_named(capsys, shared_cache, folder, names, told):
    code, err = asked(capsys, shared_cache, folder, names)
    assert code == 2
    assert told in err


def test_without_the_package_its_name_is_told(capsys, shared_cache, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    code, err = asked(capsys, shared_cache, tmp_path, "mine")
    assert code == 4
    assert "pip install 'ondevice-bench[lm-eval]'" in err


def test_an_encoder_has_no_next_token(capsys, shared_cache):
    assert main(["eval", "all-minilm-l6-v2", "--tasks", "mine", "--cache", str(shared_cache)]) == 2
    assert "is an encoder" in capsys.readouterr().err


def test_offline_keeps_the_child_from_the_hub(capsys, shared_cache, tmp_path, monkeypatch):
    """What fetches the data of tasks is told so before it is imported."""
    told = []

    class Telling(InlineWorker):
        def __init__(self, module, env):
            told.append(dict(env))
            super().__init__(module, env)

    monkeypatch.setattr(evaluate, "Worker", Telling)
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    asked(capsys, shared_cache, tmp_path, "mine")
    asked(capsys, shared_cache, tmp_path, "mine", "--offline")
    assert told == [{}, {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}]
