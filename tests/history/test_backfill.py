"""A plan over versions: what is made and measured, once, and what a version that fails costs."""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from harness.core.errors import DeviceError, StorageError, UsageError, WorkerError
from harness.history.backfill import Request, last_words, measure_versions, read_done
from harness.history.brought import Brought, find_changes
from harness.history.environments import (
    Target,
    ensure_code,
    ensure_environment,
    is_whole,
    read_targets,
    requirements_of,
)
from harness.history.installers import installer_error, python_of
from harness.history.steps import Detector
from harness.report.history_backfill import draw_backfill
from harness.results.document import write_document
from harness.results.enums import Verdict
from tests.measured_documents import document, record

OLD, MIDDLE, NEW = read_targets("onnxruntime", "1.31.0,1.31.1,1.32.0")


@dataclass
class FakeInstaller:
    """Makes an interpreter that is an empty file; some versions do not exist."""

    absent: tuple[str, ...] = ()
    made: list[str] = field(default_factory=list)

    def install(self, folder: Path, requirements: Sequence[str]) -> None:
        (swapped,) = (one for one in requirements if one.startswith("onnxruntime=="))
        if any(swapped.endswith(version) for version in self.absent):
            raise installer_error(f"ERROR: No matching distribution found for {swapped}")
        python_of(folder).parent.mkdir(parents=True)
        python_of(folder).touch()
        self.made.append(swapped)


@dataclass
class FakeRunner:
    """Steps take 10 ms, times a factor of the version and a few per cent of luck."""

    factors: dict[str, float] = field(default_factory=dict)
    failing: tuple[str, ...] = ()
    noise: float = 0.01
    calls: list[str] = field(default_factory=list)

    def measure(self, python: Path, words: Sequence[str], results: Path) -> None:
        version, index = results.parent.name, int(results.name.removeprefix("round-"))
        self.calls.append(f"{version} {index}")
        if version in self.failing:
            raise WorkerError("a worker crashed at tg4", fix="look at its log")
        shared = random.Random(index).gauss(0, 0.2)  # what a round has for every version
        own = random.Random(f"{version} {index}").gauss(0, self.noise)
        time_ms = 10 * self.factors.get(version, 1.0) * (1 + shared) * (1 + own)
        name = f"run-{version}-{index}"
        write_document(document(record([time_ms]), run_id=name), results / f"{name}.json")


@pytest.fixture
def request_of(tmp_path):
    def made(*targets: Target, rounds: int = 5) -> Request:
        words = ("--model", "bytelm")
        return Request(targets, words, rounds, (), tmp_path / "cache", tmp_path / "results")

    return made


def measured(request: Request, installer=None, runner=None, **more):
    return measure_versions(
        request, installer or FakeInstaller(), runner or FakeRunner(), lambda line: None, **more
    )


def found(outcomes):
    return find_changes([(one.target, one.documents) for one in outcomes if one.documents])


def test_versions_take_turns_in_every_round(request_of):
    """Each round has all of them, and no two rounds need have the same order."""
    runner = FakeRunner()
    measured(request_of(OLD, MIDDLE, NEW, rounds=6), runner=runner)
    rounds = [runner.calls[at : at + 3] for at in range(0, 18, 3)]
    for index, calls in enumerate(rounds, start=1):
        assert sorted(calls) == [f"{one.version} {index}" for one in (OLD, MIDDLE, NEW)]
    assert len({tuple(call.split()[0] for call in calls) for calls in rounds}) > 1


def test_what_is_done_is_not_done_again(request_of):
    installer, runner = FakeInstaller(), FakeRunner()
    measured(request_of(OLD, NEW, rounds=2), installer, runner)
    assert len(installer.made) == 2
    again = measured(request_of(OLD, NEW, rounds=3), installer, runner)
    assert len(installer.made) == 2
    assert sorted(runner.calls[4:]) == ["1.31.0 3", "1.32.0 3"]
    assert [one.measured for one in again] == [1, 1]
    assert [len(one.documents) for one in again] == [3, 3]


def test_a_version_that_is_added_joins_the_others(request_of):
    runner = FakeRunner()
    measured(request_of(OLD, NEW, rounds=2), runner=runner)
    outcomes = measured(request_of(OLD, MIDDLE, NEW, rounds=2), runner=runner)
    assert runner.calls[4:] == ["1.31.1 1", "1.31.1 2"]
    assert [len(one.documents) for one in outcomes] == [2, 2, 2]


def test_a_version_that_does_not_exist_costs_its_own_row(request_of):
    outcomes = measured(request_of(OLD, MIDDLE, NEW), FakeInstaller(absent=(MIDDLE.version,)))
    assert [len(one.documents) for one in outcomes] == [5, 0, 5]
    assert outcomes[1].problem.startswith("the index has no such version")
    assert outcomes[1].fix
    text = draw_backfill(outcomes, found(outcomes), "table")
    assert "1.31.0" in text
    assert "no such version" in text


def test_a_plan_that_fails_in_one_version_costs_its_row_and_is_tried_once(request_of):
    runner = FakeRunner(failing=(NEW.version,))
    outcomes = measured(request_of(OLD, MIDDLE, NEW), runner=runner)
    assert [len(one.documents) for one in outcomes] == [5, 5, 0]
    assert outcomes[2].problem == "a worker crashed at tg4"
    assert [call for call in runner.calls if call.startswith("1.32.0")] == ["1.32.0 1"]


def test_a_run_without_a_measured_cell_says_why(request_of):
    class Empty(FakeRunner):
        def measure(self, python, words, results):
            failed = record([], status={"status": "failed", "reason": "no kernel", "trust": None})
            write_document(document(failed, run_id="run-x"), results / "run-x.json")

    outcomes = measured(request_of(OLD, NEW), runner=Empty())
    assert [one.problem for one in outcomes] == ["no cell could be measured: no kernel"] * 2


def test_a_disk_without_space_is_refused_before_anything_is_made(request_of):
    installer, runner = FakeInstaller(), FakeRunner()
    with pytest.raises(StorageError, match=r"2 environments need about 600 MiB .* 5 MiB free"):
        measured(request_of(OLD, NEW), installer, runner, free_bytes=lambda _: 5 * 2**20)
    assert installer.made == runner.calls == []


def test_environments_that_are_there_need_no_space(request_of):
    request = request_of(OLD, NEW, rounds=1)
    measured(request)
    assert measured(replace(request, rounds=2), free_bytes=lambda _: 0)[0].measured == 1


def test_an_environment_that_was_not_finished_is_made_anew(tmp_path):
    installer = FakeInstaller()
    requirements = requirements_of(OLD)
    folder = ensure_environment(tmp_path, OLD, requirements, installer)
    assert is_whole(folder)

    class Torn(FakeInstaller):
        def install(self, folder, requirements):
            super().install(folder, requirements)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ensure_environment(tmp_path, NEW, requirements_of(NEW), Torn())
    assert [one.name for one in (tmp_path / "environments").iterdir()] == [folder.name]


def test_environments_differ_in_the_one_package():
    older, newer = requirements_of(OLD), requirements_of(NEW, ("onnxruntime-genai==0.18.0",))
    assert set(newer) - set(older) == {"onnxruntime==1.32.0", "onnxruntime-genai==0.18.0"}
    assert set(older) - set(newer) == {"onnxruntime==1.31.0"}
    assert any(one.startswith("numpy==") for one in older)


def test_the_copied_code_is_this_package_alone_with_its_data(tmp_path):
    """No other package lies beside it: an environment's own would be hidden."""
    folder = ensure_code(tmp_path)
    names = {one.name for one in folder.iterdir()}
    assert {one for one in names if not one.endswith(".dist-info")} == {
        "harness",
        "bench-environment.json",
    }
    assert (folder / "harness" / "_data" / "configs" / "default.toml").is_file()
    assert not list(folder.rglob("__pycache__"))
    assert ensure_code(tmp_path) == folder


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "0 versions"),
        ("1.31.1", "1 version,"),
        ("1.31.1,1.31.1", "given twice"),
        ("1.31.1,latest", "'latest' is no version"),
        ("1.31.1,>=1.32", "no version"),
        ("1.31.1,--index-url=x", "no version"),
    ],
)
def test_a_list_that_is_none_is_refused(text, problem):
    with pytest.raises(UsageError, match=problem):
        read_targets("onnxruntime", text)


@pytest.mark.parametrize(
    ("output", "kind", "problem"),
    [
        ("× No solution found:\n╰─▶ Because there is no version of onnxruntime==9.9.9 and ...",
         DeviceError, "no such version"),
        ("WARNING: Retrying after connection broken\nERROR: No matching distribution found",
         DeviceError, "does not answer"),
        ("error: Failed to fetch: `https://...`\n  Caused by: dns error",
         DeviceError, "does not answer"),
        ("error: failed to write: No space left on device (os error 28)",
         StorageError, "no space"),
        (
            "ERROR: no version (from versions: none)\nERROR: No matching distribution",
            DeviceError,
            "no such package, or does not answer",
        ),
        ("error: something new", DeviceError, "cannot be installed: error: something new"),
    ],
)  # fmt: skip
def test_what_an_installer_says_is_told_in_a_sentence(output, kind, problem):
    error = installer_error(output)
    assert type(error) is kind
    assert problem in error.problem
    assert "\n" not in error.problem


def test_the_last_words_of_a_run_are_its_problem_and_its_fix():
    text = "round 1\nbench: no device is called 'cpux'\n  try: bench devices\n"
    assert last_words(text, 2) == ("no device is called 'cpux'", "bench devices")
    assert last_words("", 9)[0] == "bench run ended with 9 and said nothing"
    assert "Segmentation fault" in last_words("Segmentation fault (core dumped)", 139)[0]


def test_the_version_that_brought_a_change_is_told(request_of):
    """15 % more time from 1.32.0 on, in rounds that differ by 20 %: paired, they tell."""
    outcomes = measured(request_of(OLD, MIDDLE, NEW), runner=FakeRunner({NEW.version: 1.15}))
    lines = {(one.metric.name, one.after): one for one in found(outcomes)}
    slower = lines["decode_tok_s", NEW]
    assert slower.brought is Brought.CONFIRMED
    assert slower.word == "SLOWER"
    assert slower.votes == tuple(sorted(Detector))
    low, high = slower.interval
    assert low < 1 / 1.15 < high
    assert lines["decode_tok_s", MIDDLE].brought is Brought.NOT
    text = draw_backfill(outcomes, found(outcomes), "table")
    assert "onnxruntime 1.32.0 brought decode_tok_s of smollm2-135m int4 tg4" in text


def test_versions_alike_bring_nothing(request_of):
    outcomes = measured(request_of(OLD, MIDDLE, NEW))
    changes = found(outcomes)
    assert {one.brought for one in changes} == {Brought.NOT}
    text = draw_backfill(outcomes, changes, "table")
    assert "no version is shown to have brought a change" in text
    assert re.search(r"equal sizes not shown: [1-9]", text)
    assert max(map(len, text.partition("\n- ")[0].splitlines())) <= 78


def test_a_step_within_the_tolerance_is_told_as_such(request_of):
    """2 % in 0.1 % of noise: a step that both detectors see, and SAME at 3 %; SLOWER at 1 %."""
    runner = FakeRunner({NEW.version: 1.02}, noise=0.001)
    outcomes = measured(request_of(OLD, MIDDLE, NEW), runner=runner)
    text = draw_backfill(outcomes, found(outcomes), "wide")
    assert "a step, suspected: within the tolerance" in text
    measured_ones = [(one.target, one.documents) for one in outcomes]
    strict = find_changes(measured_ones, tolerance=0.01)
    assert {one.word for one in strict if one.brought is Brought.CONFIRMED} == {"SLOWER"}


def test_one_round_says_nothing_and_two_have_no_vote(request_of):
    outcomes = measured(request_of(OLD, NEW, rounds=1), runner=FakeRunner({NEW.version: 1.5}))
    (speed,) = (one for one in found(outcomes) if one.metric.name == "decode_tok_s")
    assert (speed.verdict, speed.interval) == (Verdict.INCONCLUSIVE, None)
    (size,) = (one for one in found(outcomes) if one.metric.name == "weights_bytes")
    assert size.verdict is Verdict.SAME
    assert "it takes 3 rounds" in draw_backfill(outcomes, found(outcomes), "table")


def test_programs_get_every_change_with_its_numbers(request_of):
    outcomes = measured(request_of(OLD, NEW), runner=FakeRunner({NEW.version: 0.8}))
    text = draw_backfill(outcomes, found(outcomes), "csv")
    head, *rows = text.splitlines()
    assert head.startswith("cell,metric,unit,package,from,to,base,new,rounds,ratio,low,high")
    assert len(rows) == len(found(outcomes))


def test_names_of_others_stay_text(request_of):
    """A reason with markup and terminal codes is escaped in each format."""

    class Hostile(FakeRunner):
        def measure(self, python, words, results):
            raise WorkerError("<script>x</script> | a\x1b[31m", fix="none")

    outcomes = measured(request_of(OLD, NEW), runner=Hostile())
    assert "<script>" not in draw_backfill(outcomes, (), "md")


def test_a_damaged_document_is_measured_again(request_of, tmp_path):
    request, runner = request_of(OLD, NEW, rounds=1), FakeRunner()
    measured(request, runner=runner)
    (path,) = request.place(OLD, 0).glob("run-*.json")
    path.write_text(path.read_text()[:200])
    assert read_done(request.place(OLD, 0)) is None
    measured(request, runner=runner)
    assert len(runner.calls) == 3


def test_a_password_of_an_index_is_told_nobody():
    output = "error: Failed to fetch: `https://me:hunter2@packages.example.org/simple/six/`"
    error = installer_error(output)
    assert "hunter2" not in error.problem
    assert "packages.example.org" in error.problem
