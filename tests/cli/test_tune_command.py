"""`bench tune` end to end: real builds, and workers whose options say how long a step takes."""

import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from harness.cli.main import main
from harness.cli.tune import _settings, _task, _write_plan, command
from harness.core.errors import (
    EXIT_INTERRUPTED,
    EXIT_OK,
    DeviceError,
    ResultFormatError,
    StorageError,
    UsageError,
    WorkerError,
)
from harness.devices.session_options import BLOCK_BASE, MEMORY_PATTERN, SPINNING
from harness.machine.watch import cores, facts
from harness.results.entries import HeatEntry, TuneEndEntry
from harness.results.journal import Journal, read_journal
from harness.runner.settings import load_settings, read_plan
from harness.runner.settings.values import Settings
from harness.runner.settings.write import plan_text
from harness.runner.tuning import heats, search, sitting
from harness.runner.tuning.standings import Tuned, read_tuned
from tests.inline_worker import InlineWorker

QUICK = ("--for", "decode", "--quant", "int4", "-q")


class TunedWorker(InlineWorker):
    """A worker whose steps take what its options say, without a process."""

    @classmethod
    def start(cls, module, **other):
        assert module == heats.WORKER_MODULE
        return super().start("tests.tuning_child", **other)


@pytest.fixture
def tune(monkeypatch, tmp_path, shared_cache, tiny_folder):
    """Run the command on a machine of two cores; returns (result, folder of results)."""
    monkeypatch.setattr(heats, "Worker", TunedWorker)
    monkeypatch.setattr(heats, "REST_POLL_S", 0.0)
    monkeypatch.setattr(heats, "difference", lambda *_: None)  # others may use this machine
    monkeypatch.setattr(search, "MOST_RUNGS", 2)
    monkeypatch.setattr(cores, "usable_processors", lambda: frozenset({0, 1}))
    monkeypatch.setattr(cores, "one_per_core", lambda processors: tuple(sorted(processors)))
    monkeypatch.setattr(facts, "usable_cores", lambda: len(cores.usable_processors()))

    def run(*words, model=tiny_folder, quick=QUICK):
        arguments = [str(model), *quick, *words]
        arguments += ["--results", str(tmp_path / "tunes"), "--cache", str(shared_cache)]
        return CliRunner().invoke(command, arguments, standalone_mode=False)

    return run, tmp_path / "tunes"


def failed(result, kind, problem):
    assert isinstance(result.exception, kind), result.exception or result.output
    assert problem in result.exception.problem


def file_of(folder):
    return max(folder.glob("tune-*.jsonl"), key=lambda path: path.stat().st_mtime_ns)


def test_a_faster_setting_is_found_confirmed_and_given(tune, monkeypatch, tmp_path, capsys):
    run, folder = tune
    monkeypatch.setenv("FAST", BLOCK_BASE)
    plan = tmp_path / "tuned.toml"
    result = run("-o", str(plan), "--format", "json")
    assert result.return_value == EXIT_OK
    found = json.loads(result.stdout)
    assert list(found["winner"]["session_options"]) == [BLOCK_BASE]
    assert found["ratio"] == pytest.approx(1 / 0.9)
    assert len(found["pairs"]) == 5
    assert f'options.add_session_config_entry("{BLOCK_BASE}", "4")' in found["python"]
    compile(found["python"], "pasted", "exec")
    assert 'harness.load("path/to/model", level="int4", threads=2,' in found["python"]
    kept = read_plan(plan)
    assert (kept.session_option, kept.threads) == ((f"{BLOCK_BASE}=4",), ("2",))
    assert (kept.gen, kept.quant, kept.prompt) == ((8,), ("int4",), ())
    assert str(tmp_path) not in file_of(folder).read_text()
    for style in ("table", "md", "json", "csv", "jsonl"):
        assert main(["report", str(file_of(folder)), "--format", style]) == EXIT_OK
    assert "1.111 times as fast as the default" in capsys.readouterr().out
    assert main(["report", str(file_of(folder)), "--format", "pyperf"]) == 2


def test_the_plan_runs(tune, monkeypatch, tmp_path, shared_cache):
    run, _ = tune
    monkeypatch.setenv("FAST", BLOCK_BASE)
    plan = tmp_path / "tuned.toml"
    assert run("-o", str(plan)).return_value == EXIT_OK
    assert (
        main(["run", "--config", str(plan), "--dry-run", "--cache", str(shared_cache)]) == EXIT_OK
    )
    assert "1.111 times as fast as the default" in plan.read_text().splitlines()[0]


def test_the_plan_of_an_encoder_has_its_one_test(tune, tmp_path):
    task = _task(_settings("all-minilm-l6-v2", None, {"quant": "int4"}, None), (), None)
    winner = heats.setting_of(task.group)
    header = SimpleNamespace(cell=SimpleNamespace(workload="enc128x1"), default=winner)
    _write_plan(task, Tuned(header, (), TuneEndEntry(winner=winner)), tmp_path / "plan.toml")
    kept = read_plan(tmp_path / "plan.toml")
    assert (kept.enc, kept.gen, kept.threads) == (((128, 1),), (), ("2",))


def test_nothing_faster_keeps_the_default(tune, tmp_path):
    run, folder = tune
    result = run("-o", str(tmp_path / "same.toml"))
    assert result.return_value == EXIT_OK
    assert result.stdout.splitlines()[-1] == (
        "no setting is shown to be faster than the default: keep it"
    )
    assert read_plan(tmp_path / "same.toml").session_option == ()
    end = read_journal(file_of(folder))[-1]
    assert isinstance(end, TuneEndEntry)
    assert end.ratio is None


def test_what_computes_other_tokens_or_cannot_be_opened_never_wins(tune, monkeypatch, capsys):
    run, folder = tune
    monkeypatch.setenv("FAST", BLOCK_BASE)
    monkeypatch.setenv("WRONG", BLOCK_BASE)
    monkeypatch.setenv("BROKEN", SPINNING)
    lines = run("--wide").stdout.splitlines()
    assert lines[-1].startswith("no setting is shown to be faster")
    assert sum("computes other tokens" in line for line in lines) == 4
    assert sum("onnxruntime refuses" in line for line in lines) == 1
    assert (
        main(["report", str(file_of(folder)), "--wide"]) == EXIT_OK
    )  # those that are lost are read back
    assert "onnxruntime refuses" in capsys.readouterr().out


def test_a_model_that_does_not_load_ends_it(tune, monkeypatch):
    run, _ = tune
    monkeypatch.setenv("BROKEN", MEMORY_PATTERN)
    failed(run("--session-option", f"{MEMORY_PATTERN}=1"), WorkerError, "onnxruntime refuses")


def test_a_killed_search_goes_on(tune, monkeypatch):
    """Its heats are taken as they are, and it ends as it would have."""
    run, folder = tune
    monkeypatch.setenv("FAST", BLOCK_BASE)
    whole = run("--format", "json")
    path = file_of(folder)
    header, *rest = read_journal(path)
    path.unlink()
    with Journal(path) as journal:
        for entry in (header, *rest[:3]):
            journal.append(entry)
    asked = []
    real = sitting.measure_heat
    monkeypatch.setattr(
        sitting, "measure_heat", lambda turns, wanted: asked.append(wanted) or real(turns, wanted)
    )
    assert main(["report", str(path)]) == EXIT_OK  # what there is can be read
    again = run("--resume", "--format", "json")
    heats_before = len([one for one in rest if isinstance(one, HeatEntry)])
    assert len(asked) == heats_before - 3
    for key in ("winner", "ratio", "ended"):
        assert json.loads(again.stdout)[key] == json.loads(whole.stdout)[key]
    failed(run("--resume"), UsageError, "no unfinished search of the same")


def test_an_interrupt_keeps_what_there_is(tune, monkeypatch):
    run, folder = tune
    real, count = sitting.measure_heat, []

    def once(turns, wanted):
        count.append(wanted)
        if len(count) == 2:
            raise KeyboardInterrupt
        return real(turns, wanted)

    monkeypatch.setattr(sitting, "measure_heat", once)
    result = run()
    assert result.return_value == EXIT_INTERRUPTED
    assert "not finished: what was measured so far advises nothing" in result.stdout
    assert "--resume" in result.stderr
    assert len(read_journal(file_of(folder))) == 2


def test_an_interrupt_before_the_first_turns_has_no_headline(tune, monkeypatch, capsys):
    run, folder = tune

    def never(turns, wanted):
        raise KeyboardInterrupt

    monkeypatch.setattr(sitting, "measure_heat", never)
    (line,) = run().stdout.splitlines()
    assert line.startswith("not finished before any turns were measured")
    assert main(["results", str(folder), "--format", "json"]) == EXIT_OK
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["kind"], row["tests"], row["rows"], row["ended"]) == (
        "tune",
        "tg8",
        0,
        "interrupted",
    )


def test_one_core_says_what_is_left(tune, monkeypatch):
    run, _ = tune
    monkeypatch.setattr(cores, "usable_processors", lambda: frozenset({0}))
    monkeypatch.setenv("FAST", MEMORY_PATTERN)
    result = run("--wide", quick=QUICK[:-1])
    assert "one core: threads, waiting, blocks and places have no other value" in result.stderr
    assert result.stdout.splitlines()[-1].startswith(f"{MEMORY_PATTERN}=0: 1.111 times as fast")
    fixed = (
        "--session-option",
        f"{MEMORY_PATTERN}=1",
        "--session-option",
        "enable_cpu_mem_arena=1",
    )
    failed(run(*fixed), UsageError, "there is nothing to tune")


def test_what_is_tried_is_listed(tune):
    run, folder = tune
    result = run("--dry-run")
    assert "default: int4, 2 threads" in result.stdout
    assert f"{BLOCK_BASE}=4" in result.stdout
    assert not folder.exists()
    rows = json.loads(run("--dry-run", "--format", "json").stdout)
    assert {"setting": "threads", "tried": "1 thread"}.items() <= rows[1].items()
    assert "1 thread" not in run("--dry-run", "--threads", "2").stdout


def test_levels_are_taken_only_where_they_are_named(tune):
    run, _ = tune
    found = json.loads(run("--levels", "int8", "--format", "json").stdout)
    assert any(one["setting"] == "int8" for one in found["candidates"])
    assert "compute different things" in run("--levels", "int8").stdout
    failed(run("--levels", "int9"), UsageError, "int9")


@pytest.mark.parametrize(
    ("words", "metric", "test"),
    [
        ((), "e2e_ms", "pg64+16 @ d0"),
        (("--for", "prefill"), "prefill_tok_s", "pp128 @ d0"),
        (("--gen", "4", "--depth", "8"), "decode_step_tok_s", "tg4 @ d8"),
    ],
)
def test_what_is_tuned_for(tune, monkeypatch, words, metric, test):
    run, _ = tune
    found = json.loads(run(*words, "--format", "json", quick=("--quant", "int4", "-q")).stdout)
    assert (found["metric"], found["workload"]) == (metric, test)


@pytest.mark.parametrize(
    ("words", "kind", "problem"),
    [
        (("--prompt", "16"), UsageError, "--for decode, and --prompt names another test"),
        (("--gen", "4,8"), UsageError, "is for one test, and this is tg4 @ d0, tg8 @ d0"),
        (("--quant", "int4,fp32"), UsageError, "begins with one session, and this is 2"),
        (("--batch", "1,2"), UsageError, "begins with one session"),
        (("--budget", "1s"), UsageError, "too short"),
        (("--levels", "q4_0"), UsageError, "--runtime ort does not hold q4_0"),
        (("--budget", "soon"), UsageError, "--budget"),
        (("--threads", "3"), UsageError, "--threads 3 cannot be used"),
        (("--session-option", "session.x=1"), UsageError, "no option that bench knows"),
        (("--session-option", "=x"), UsageError, "'=x' is no NAME=VALUE: no name stands before ="),
        (("--device", "qnn"), DeviceError, "qnn"),
        (("-o", "nowhere/at/all.toml"), StorageError, "is no folder"),
        (("-o", "."), StorageError, "-o . is a folder, and the plan is a file"),
        (("--resume",), UsageError, "no unfinished search"),
    ],
)
def test_what_cannot_be_tuned_is_refused(tune, words, kind, problem):
    if words[0] == "--device" and "onnxruntime_qnn" in sys.modules:
        pytest.skip("the device may be there")
    run, _ = tune
    failed(run(*words), kind, problem)


def test_an_unknown_model_or_several_are_refused(tune):
    run, _ = tune
    failed(run(model="smolm2"), UsageError, "smolm2")
    failed(run(model="bytelm,smollm2-135m"), UsageError, "takes one model")
    failed(run(model="all-minilm-l6-v2"), UsageError, "is of decoders")
    failed(run(model="some-Q4_0.gguf"), UsageError, "some-Q4_0.gguf is a GGUF file")


@pytest.mark.slow
def test_real_processes(tmp_path, shared_cache):
    """What is advised is not said here: it is the machine's."""
    words = ["bytelm", "--quant", "int4", "--for", "decode", "--budget", "10s", "-q"]
    words += ["--results", str(tmp_path), "--cache", str(shared_cache), "--format", "json"]
    result = CliRunner().invoke(command, words, standalone_mode=False)
    assert result.return_value == EXIT_OK, result.exception
    found = json.loads(result.stdout)
    assert not any("other tokens" in one["outcome"] for one in found["candidates"])
    assert any(one["turns"] for one in found["candidates"])
    assert isinstance(read_journal(file_of(tmp_path))[-1], TuneEndEntry)


def test_a_file_of_something_else_is_none():
    with pytest.raises(ResultFormatError, match="none of `bench tune`"):
        read_tuned([])


def test_settings_are_written_as_they_are_read(tmp_path):
    """Every key that a plan has, of a flag of each kind of value."""
    path = tmp_path / "plan.toml"
    settings = replace(
        load_settings("ab", pg=((64, 16),), batch=(2,)),
        model=('a "model"', "C:\\models\\b"),
        dim=(("batch", 2),),
        input=(("sr", 16000),),
        enc=((128, 8),),
        aud=((10.5, 1),),
        session_option=(f"{BLOCK_BASE}=4",),
        quality=True,
        precision=0.05,
        given=(),
    )
    path.write_text(plan_text(settings, ["two\nlines"]), encoding="utf-8")
    assert read_plan(path) == settings
    assert path.read_text().startswith("# two lines\nmodel = ")
    assert Path(tmp_path / "usual.toml").write_text(plan_text(Settings()))
    assert read_plan(tmp_path / "usual.toml") == Settings()


def test_a_folder_that_may_not_be_written_is_refused_before_anything_runs(tune, monkeypatch):
    run, folder = tune
    monkeypatch.setattr("os.access", lambda _, mode: mode != os.W_OK)
    failed(run("-o", "tuned.toml"), StorageError, "may not be written")
    assert not folder.exists()
