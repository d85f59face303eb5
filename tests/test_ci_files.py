"""The workflows and the action: valid, safe, and every shell step runs."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from harness.results.document import read_document

ROOT = Path(__file__).resolve().parent.parent
ACTION = ROOT / "action.yml"
PULL_REQUEST, DEVICE, PAGES, FLEET = WORKFLOWS = [
    ROOT / "docs" / "ci" / name
    for name in ("pull-request.yml", "self-hosted-device.yml", "pages.yml", "fleet.yml")
]
# What the one job may do that publishes, and runs nothing of the repository.
PUBLISHES = {"pages": "write", "id-token": "write"}
FILES = [*WORKFLOWS, ACTION]
EXPRESSION = re.compile(r"\$\{\{\s*(.+?)\s*\}\}")
PINNED = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}")
TINY = "--model bytelm --quant int4 --threads 1"
# A `python` whose environments hold this very interpreter, and whose pip fetches nothing.
STUB = """#!/bin/sh
if [ "$2" != venv ]; then exit 9; fi
mkdir -p "$3/bin"
printf '#!/bin/sh\\nif [ "$2" = pip ]; then echo "$@" >> "{log}"; exit 0; fi\\n' > "$3/bin/python"
printf 'exec "{python}" "$@"\\n' >> "$3/bin/python"
printf '#!/bin/sh\\nexec "{python}" -m harness "$@"\\n' > "$3/bin/bench"
chmod +x "$3/bin/python" "$3/bin/bench"
"""


def read(path):
    return YAML(typ="safe").load(path)


def jobs(path):
    return read(path)["jobs"].values()


def steps(path):
    if path == ACTION:
        return read(path)["runs"]["steps"]
    return [step for job in jobs(path) for step in job["steps"]]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_each_file_is_what_its_schema_says(path):
    """The schemas are bundled: nothing is fetched."""
    schema = "vendor.github-actions" if path == ACTION else "vendor.github-workflows"
    words = ["check_jsonschema", "--builtin-schema", schema, str(path)]
    done = subprocess.run([sys.executable, "-m", *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_an_auditor_of_workflows_finds_nothing(path):
    """Injection, kept credentials, wide tokens, dangerous triggers, tags in place of commits."""
    tool = shutil.which("zizmor", path=str(Path(sys.executable).parent))
    assert tool is not None
    words = [tool, "--offline", "--no-config", str(path)]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_can_read_and_nothing_else(path):
    assert read(path)["permissions"] == {"contents": "read"}
    for job in jobs(path):
        assert job.get("permissions", PUBLISHES) == PUBLISHES
        assert "permissions" not in job or not [step for step in job["steps"] if "run" in step]
    assert path == PAGES or not [job for job in jobs(path) if "permissions" in job]
    assert "pull_request_target" not in path.read_text()
    assert "secrets." not in path.read_text()


def test_no_pull_request_reaches_a_device_of_ones_own():
    """A condition would not do: a fork can edit the file that holds it."""
    for path in (DEVICE, FLEET):
        assert set(read(path)["on"]) == {"push", "workflow_dispatch"}
    for path in WORKFLOWS:
        if "pull_request" in read(path)["on"]:
            assert not [job for job in jobs(path) if "self-hosted" in job["runs-on"]]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_actions_of_others_are_pinned_and_keep_no_credentials(path):
    used = [step for step in steps(path) if step.get("uses", "./") != "./"]
    assert [step["uses"] for step in used if not PINNED.fullmatch(step["uses"])] == []
    for step in used:
        if step["uses"].startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_expression_is_pasted_into_a_shell(path):
    """Titles and branches of strangers are expressions too; variables are not parsed again."""
    assert [step["run"] for step in steps(path) if "${{" in step.get("run", "")] == []


class Runner:
    """Runs the shell steps of a job as GitHub does: fresh shells, a file for outputs."""

    def __init__(self, folder, cache):
        self.folder = folder
        self.values = {"github.action_path": str(ROOT)}
        self.summary = folder / "summary.md"
        self.pip_log = folder / "pip.log"
        tools = folder / "tools"
        tools.mkdir()
        stub = tools / "python"
        stub.write_text(STUB.format(python=sys.executable, log=self.pip_log))
        stub.chmod(0o755)
        self.env = {
            **os.environ,
            "BENCH_CACHE": str(cache),
            "GITHUB_STEP_SUMMARY": str(self.summary),
            "RUNNER_TEMP": str(folder),
            "RUNNER_TOOL_CACHE": str(folder),
            "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
        }

    def run(self, step):
        """Run one step; returns the finished process and its outputs."""
        output = self.folder / "output"
        output.write_text("")
        env = {**self.env, **self.evaluated(step.get("env", {})), "GITHUB_OUTPUT": str(output)}
        shell = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
        done = subprocess.run(shell, cwd=self.folder, env=env, capture_output=True, text=True)
        pairs = [line.partition("=") for line in output.read_text().splitlines()]
        return done, {name: value for name, _, value in pairs}

    def evaluated(self, variables):
        return {
            name: EXPRESSION.sub(lambda found: self.values[found[1]], str(value))
            for name, value in variables.items()
        }


@pytest.fixture
def runner(tmp_path, shared_cache):
    if sys.platform == "win32":
        pytest.skip("the stub of an environment is a shell script")
    return Runner(tmp_path, shared_cache)


def act(runner, **given):
    """Run the action with these inputs; the last step's process and outputs."""
    inputs = {name: entry["default"] for name, entry in read(ACTION)["inputs"].items()} | given
    runner.values |= {f"inputs.{name}": value for name, value in inputs.items()}
    install, measure = steps(ACTION)
    done, outputs = runner.run(install)
    assert done.returncode == 0, done.stderr
    runner.values["steps.install.outputs.bench"] = outputs["bench"]
    runner.values["steps.bench.outputs.bench"] = outputs["bench"]
    return runner.run(measure)


QUICK = f"{TINY} --prompt 8 --gen 2 --rounds 1 --no-calibrate"


@pytest.fixture
def plan(tmp_path):
    """A plan without requests, that warms and samples as little as it may."""
    file = tmp_path / "plan.toml"
    file.write_text("warm_seconds = 0.1\nsample_seconds = 0.05\nmin_passes = 1\n")
    return file


@pytest.mark.slow
def test_the_action_measures_and_names_its_document(runner, plan):
    done, outputs = act(runner, config=str(plan), flags=QUICK, extras="hub")
    assert done.returncode == 0, done.stderr
    assert f"{ROOT}[hub]" in runner.pip_log.read_text()
    assert "| tg2 tok/s" in runner.summary.read_text().replace("  ", " ")
    assert (runner.folder / outputs["json"]).is_file()


def test_the_action_ends_as_bench_does_and_runs_no_input(runner):
    """An input is one word of the command line, whatever it holds."""
    done, outputs = act(runner, device="$(touch pwned); `touch pwned`")
    assert done.returncode == 2
    assert outputs == {"json": ""}
    assert not (runner.folder / "pwned").exists()


@pytest.mark.slow
def test_the_device_is_held_beside_its_last_run(runner, plan):
    """The first run has nothing beside it, the second is compared, one by hand begins anew."""
    (compare,) = [step for step in steps(DEVICE) if "run" in step]
    (job,) = jobs(DEVICE)
    runner.env |= job["env"]
    flags = f"{TINY} --gen 2 --no-calibrate --rounds"
    for event, rounds, text in (
        ("push", 5, ""),
        ("push", 5, "new beside base"),
        ("workflow_dispatch", 1, ""),
    ):
        runner.env["GITHUB_EVENT_NAME"] = event
        measured, outputs = act(runner, config=str(plan), flags=f"{flags} {rounds}")
        assert measured.returncode == 0, measured.stderr
        runner.summary.unlink()
        runner.values["steps.bench.outputs.json"] = outputs["json"]
        done, _ = runner.run(compare)
        assert done.returncode in (0, 1), done.stderr
        assert text in (runner.summary.read_text() if runner.summary.exists() else "")
        assert runner.summary.exists() == bool(text)


@pytest.mark.slow
def test_a_site_is_made_of_committed_results(runner):
    """Every shell step runs; the last job has none."""
    pytest.importorskip("vl_convert", reason="the extra report")
    build, publish = jobs(PAGES)
    assert [step for step in publish["steps"] if "run" in step] == []
    results = runner.folder / "results" / "published"
    results.mkdir(parents=True)
    shutil.copy(ROOT / "results" / "reference" / "levels.json", results)
    runner.env |= build["env"] | {"FLAGS": "--title Team --allow method,effort --grade C"}
    for step in build["steps"]:
        if "run" in step:
            done, _ = runner.run(step)
            assert done.returncode == 0, done.stderr
    assert "[report]" in runner.pip_log.read_text()
    assert "int4" in (runner.folder / "site" / "index.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_pull_request_is_measured_beside_its_base(runner, plan):
    """Every step runs; a gate may say what it likes about two equal sides."""
    (job,) = jobs(PULL_REQUEST)
    assert set(job["env"]) == {"TURNS", "RUNS", "TIMES"}
    runner.env |= {
        "TURNS": f"{TINY} --gen 2 --pairs 5 --seconds 0",
        "RUNS": f"--config {plan} {QUICK}",
        "TIMES": "2",
    }
    install, turns, runs = [step for step in job["steps"] if "run" in step]
    assert runner.run(install)[0].returncode == 0
    assert runner.pip_log.read_text().count("./") == 2
    done, _ = runner.run(turns)
    assert done.returncode in (0, 1), done.stderr
    assert "decode\\_step\\_tok\\_s" in runner.summary.read_text()
    runner.summary.unlink()
    done, _ = runner.run(runs)
    assert done.returncode in (0, 1), done.stderr
    assert "peak\\_rss\\_bytes" in runner.summary.read_text()
    for side in ("base", "head"):
        assert len(list((runner.folder / "runs" / side).glob("run-*.json"))) == 2


def run_job(runner, job, **matrix):
    """Run the shell steps of a job for one combination of its matrix; the last one, and outputs."""
    runner.values |= {f"matrix.{name}": value for name, value in matrix.items()}
    runner.env |= job.get("env", {})
    kept = {}
    for step in job["steps"]:
        if "run" in step:
            done, outputs = runner.run(step)
            kept |= outputs
    return done, kept


def test_each_cell_of_a_plan_is_a_job_of_the_matrix(runner):
    """The first job is run as it stands, and its output is what the second one is made of."""
    plan, measure, _ = jobs(FLEET)
    done, outputs = run_job(runner, plan)
    assert done.returncode == 0, done.stderr
    cells = [one["cell"] for one in json.loads(outputs["cells"])]
    assert sorted(cells) == sorted(path.name for path in (runner.folder / "cells").iterdir())
    assert len(cells) == 2
    assert measure["strategy"]["matrix"]["cell"] == "${{ fromJSON(needs.plan.outputs.cells) }}"


@pytest.mark.slow
def test_a_fleet_is_measured_and_merged_and_what_is_missing_is_said(runner, plan):
    """Every step runs; of two machines one loses its second cell."""
    lay, measure, merge = jobs(FLEET)
    lay["env"]["PLAN"] = f"--config {plan} {QUICK} --quant fp32,int4"
    _, outputs = run_job(runner, lay)
    cells = [one["cell"] for one in json.loads(outputs["cells"])]
    machines = measure["strategy"]["matrix"]["machine"]
    for machine, cell in [(machines[0], cells[0]), *((machines[1], cell) for cell in cells)]:
        done, _ = run_job(runner, measure, **{"machine": machine, "cell.cell": cell})
        assert done.returncode == 0, done.stderr
        (runner.folder / "results").rename(runner.folder / f"result-{machine}-{cell}")
    artifacts = runner.folder / "artifacts"
    artifacts.mkdir()
    for folder in [runner.folder / "cells", *runner.folder.glob("result-*")]:
        folder.rename(artifacts / folder.name)
    done, _ = run_job(runner, merge)
    assert done.returncode == 0, done.stderr
    assert len(read_document(runner.folder / "fleet.json").sources) == 3
    shutil.rmtree(runner.folder / "venv")
    for folder in artifacts.glob(f"result-*-{cells[1]}"):
        shutil.rmtree(folder)
    done, _ = run_job(runner, merge)
    assert done.returncode == 3
    assert "not run" in runner.summary.read_text()
