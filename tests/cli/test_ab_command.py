"""`bench ab` end to end: real builds, and workers whose clock says how long a pass takes."""

import json
import math
from dataclasses import replace
from functools import cache
from importlib.metadata import version

import msgspec
import pytest
from click.testing import CliRunner

from harness.analysis.compare import Question, Verdict
from harness.analysis.paired import (
    LEAST_PAIRS,
    Ending,
    Limits,
    Line,
    PairValue,
    compare_turns,
    widest_half_width,
)
from harness.cli import pairs as pairs_module
from harness.cli.ab import command
from harness.cli.compare import command as compare_command
from harness.cli.main import main
from harness.core.errors import EXIT_GATE, EXIT_INTERRUPTED, EXIT_OK, ResultFormatError, UsageError
from harness.machine.process.worker import Worker
from harness.machine.watch.interpreter import InterpreterFacts, interpreter_facts
from harness.report.ab import cells_of, compare_pairs, moved_operators, shared_note, side_names
from harness.report.compare_table import pairs_note
from harness.results.entries import (
    AbEndEntry,
    AbEntry,
    AbProfileEntry,
    AbSide,
    PairEntry,
    TurnPlan,
    TurnValues,
)
from harness.results.environment import MachineFacts
from harness.results.journal import read_journal
from harness.results.replies import OperatorShare, Profile, WatchInterval
from harness.results.schema import Cell
from harness.runner.loop import paired
from harness.stats.differences import paired_difference
from tests.inline_worker import InlineWorker
from tests.replies import sample

QUICK = ("--gen", "4", "--threads", "1", "--seconds", "0", "--quant", "int4")


facts_once = cache(interpreter_facts)  # it starts an interpreter, the same one for every test


class ClockedWorker(InlineWorker):
    """A worker with a clock of its own, without a process."""

    @classmethod
    def start(cls, module, **other):
        assert module == paired.WORKER_MODULE
        return super().start("tests.turning_child", **other)


class ClockedChild(Worker):
    """The same as a process."""

    @classmethod
    def start(cls, module, **other):
        return super().start("tests.turning_child", **other)


@pytest.fixture
def clocked(monkeypatch, tmp_path, shared_cache, tiny_folder):
    """Run the command on workers with a clock of their own; returns (result, folder)."""
    monkeypatch.setattr(paired, "difference", lambda *_: watched(0.0))
    monkeypatch.setattr(paired, "Worker", ClockedWorker)
    monkeypatch.setattr(pairs_module, "interpreter_facts", facts_once)

    def run(*words, quick=QUICK):
        arguments = ["--model", str(tiny_folder), *quick, *words]
        arguments += ["--results", str(tmp_path / "ab"), "--cache", str(shared_cache)]
        return CliRunner().invoke(command, arguments, standalone_mode=False)

    return run, tmp_path / "ab"


def watched(others):
    """A second of two processors, of which other programs used a share."""
    used_ns = int(others * 2e9)
    return WatchInterval(wall_ns=10**9, processors=2, background_cpu_ns=used_ns, steal_ns=0)


def rows_of(result):
    return {row["metric"]: row for row in json.loads(result.stdout)["rows"]}


def test_a_slower_side_is_found_and_gated(clocked, monkeypatch):
    """The one whose ten workers are processes: a variable of a side reaches that side alone."""
    monkeypatch.setattr(paired, "Worker", ClockedChild)
    run, folder = clocked
    result = run("--b", "SLOWER=1.05", "--fail-on", "slower:3%", "--format", "json")
    row = rows_of(result)["decode_step_tok_s"]
    assert result.return_value == EXIT_GATE
    assert row["verdict"] == "SLOWER"
    assert row["ratio"] == pytest.approx(1 / 1.05, rel=1e-6)
    assert (row["base"], row["new"]) == pytest.approx((500.0, 500.0 / 1.05))
    assert row["base_count"] == LEAST_PAIRS  # exact ratios: the first five pairs are precise
    header, *kept, end = read_journal(next(folder.glob("ab-*.jsonl")))
    assert header.b.words == "SLOWER=1.05"
    assert [entry.pair for entry in kept] == [1, 2, 3, 4, 5]
    assert end.ending == "precision"


def test_pairs_go_on_until_a_gate_can_be_told(clocked):
    """A gate at 1 % asks for half-widths of 0.5 %, whatever --precision says."""
    run, _folder = clocked
    result = run("--fail-on", "slower:1%", "--precision", "5%")
    assert "5 interleaved pairs of processes; then every interval is within 0.5%" in result.stdout
    assert "within 5.0%" in run("--precision", "5%").stdout


def test_two_equal_sides_are_the_same(clocked):
    run, folder = clocked
    result = run("--fail-on", "slower:1%", "--format", "json")
    assert result.return_value == EXIT_OK
    assert rows_of(result)["decode_step_tok_s"]["verdict"] == "SAME"
    assert str(folder.parent) not in next(folder.glob("ab-*.jsonl")).read_text()


def test_a_file_of_pairs_is_drawn_again(clocked, capsys):
    """Every format that `bench ab` draws is the same from its file, sides and sentence included."""
    run, folder = clocked
    words = ("--b", "SLOWER=1.05", "--label-a", "main", "--label-b", "mine")
    for style in ("table", "json", "csv", "md"):
        drawn = run(*words, "--format", style).stdout
        newest = max(folder.glob("ab-*.jsonl"), key=lambda path: path.stat().st_mtime_ns)
        assert main(["report", str(newest), "--format", style]) == EXIT_OK
        assert capsys.readouterr().out == drawn
    assert main(["report", str(newest), "--format", "pyperf"]) == 2


def test_the_sides_are_named_and_the_last_line_is_a_sentence(clocked, monkeypatch):
    run, folder = clocked
    monkeypatch.setenv("GITHUB_SHA", "0123456789abcdef")
    result = run("--b", "SLOWER=1.05", "--label-a", "main", "--label-b", "mine", "--wide")
    lines = result.stdout.splitlines()
    assert lines[0] == "new beside base: mine (SLOWER=1.05) beside main"
    (both,) = [line for line in lines if line.startswith("- both sides: ")]
    assert f"onnxruntime {version('onnxruntime')}" in both
    assert both.endswith("commit 012345678")
    assert lines[-1] == (
        "B beside A: tg4 decode_step_tok_s is 4.8% below, 95 % interval -4.8% to -4.8%: SLOWER."
    )
    header = read_journal(next(folder.glob("ab-*.jsonl")))[0]
    assert header.commit == "0123456789abcdef"
    for side in (header.a, header.b):
        assert side.packages["onnxruntime"] == version("onnxruntime")


def test_another_interpreter_is_asked_what_it_has(tmp_path):
    """A script stands for it; what differs names the sides, and the commit the new one."""
    facts = {"python_version": "3.11.9", "packages": {"onnxruntime": "1.30.0", "mine": "2.0"}}
    script = tmp_path / "python"
    script.write_text(f"#!/bin/sh\necho '{json.dumps(facts)}'\n")
    script.chmod(0o755)
    assert interpreter_facts(str(script)) == InterpreterFacts(**facts)
    with pytest.raises(UsageError, match="does not say which packages"):
        interpreter_facts(str(tmp_path / "absent"))


def ab_side(**fields):
    usual = {"words": "", "model": "m", "level": "int4", "kv_cache": "fp32", "device": "cpu"}
    more = {"threads": 1, "batch": 1, "tests": ("tg4 @ d0",), "content_hash": "0"}
    return AbSide(**{**usual, **more, "other_interpreter": True, **fields})


def ab_header(a, b, **fields):
    usual = {
        "created_utc": "",
        "method_version": 1,
        "environment": MachineFacts(),
        "turns": TurnPlan(1.0, 1.0, 60.0, 0),
    }
    return AbEntry(**{**usual, "a": a, "b": b, **fields})


def test_versions_that_differ_name_the_sides():
    a = ab_side(packages={"onnxruntime": "1.30.0", "numpy": "2.1", "mine": "2.0"})
    b = ab_side(packages={"onnxruntime": "1.32.0", "numpy": "2.1"}, words="--threads 1", label="pr")
    assert side_names(ab_header(a, b, commit="0123456789abcdef")) == (
        "onnxruntime 1.30.0, mine 2.0",
        "pr (--threads 1, onnxruntime 1.32.0, mine absent, commit 012345678)",
    )


@pytest.mark.parametrize(
    ("runtimes", "shared"),
    [
        (("ort", "ort"), "onnxruntime 1.31.1, ondevice-bench 2.0"),
        (("ort", "llama.cpp"), "ondevice-bench 2.0"),
        (("llama.cpp", "llama.cpp"), "llama_cpp_python 0.3, ondevice-bench 2.0"),
        (("genai", "ort"), "onnxruntime 1.31.1, ondevice-bench 2.0"),
        (("llama-server", "llama-server"), "ondevice-bench 2.0"),
    ],
)
def test_both_sides_use_what_runs_both(runtimes, shared):
    """Installed is not used: a side of llama.cpp, or of a server, does without onnxruntime."""
    packages = {"onnxruntime": "1.31.1", "llama_cpp_python": "0.3", "ondevice-bench": "2.0"}
    side = ab_side(packages=packages, tests=("tg8",))
    old = cells_of(ab_header(side, side))["tg8"]
    cells = tuple(msgspec.structs.replace(old[0], runtime=one) for one in runtimes)
    header = ab_header(side, side, cells=(cells,))
    assert shared_note(header) == f"both sides: {shared}"


def test_files_without_cells_are_of_onnxruntime():
    side = ab_side(packages={"onnxruntime": "1.31.1"}, tests=("tg8",))
    assert shared_note(ab_header(side, side)) == "both sides: onnxruntime 1.31.1"


def test_a_build_beside_itself_has_two_names():
    assert side_names(ab_header(ab_side(), ab_side())) == ("A, as shared", "B, as shared")


def test_a_damaged_file_of_pairs_is_measured_anew(tmp_path):
    """Nothing goes on with one: there is no --resume to leave out."""
    path = tmp_path / "ab-20261122-101500-1a2b.jsonl"
    path.write_text('{"kind": "ab"}\n')
    with pytest.raises(ResultFormatError) as caught:
        read_journal(path)
    assert "`bench ab`" in caught.value.fix
    assert "--resume" not in caught.value.fix


def test_a_file_from_before_cells_were_kept_is_drawn():
    pairs = [
        PairEntry(
            pair=number,
            starts_ms={"load_ms": (300.0, 310.0)},
            turns=(
                TurnValues(
                    test="tg4 @ d0", metric="decode_step_tok_s", values=((500.0, 400.0),) * 6
                ),
            ),
        )
        for number in range(1, 6)
    ]
    found = compare_pairs([ab_header(ab_side(words="a"), ab_side(words="b")), *pairs])
    assert {row.metric.name: row.word for row in found.rows}["decode_step_tok_s"] == "SLOWER"
    assert "5 interleaved pairs of processes; then interrupted" in found.notes
    with pytest.raises(ResultFormatError, match="holds 1 pairs"):
        compare_pairs([ab_header(ab_side(), ab_side()), pairs[0]])


@pytest.mark.parametrize(
    ("most", "ending", "level"),
    [(0, "precision", 0.95), (20, "precision", 0.98), (6, "pairs", 0.96), (20, "budget", 0.96)],
)
def test_intervals_are_as_wide_as_the_way_in_which_pairs_ended_asks(most, ending, level):
    """Six log ratios of mean 0.01; a file from before the level was kept says 0 pairs at most."""
    ratios = [0.0, 0.02, 0.01, 0.015, 0.005, 0.01]
    pairs = [
        PairEntry(
            pair=number,
            starts_ms={},
            turns=(
                TurnValues(test="tg4 @ d0", metric="ttft_ms", values=((1.0, math.exp(ratio)),) * 3),
            ),
        )
        for number, ratio in enumerate(ratios, 1)
    ]
    header = ab_header(ab_side(words="a"), ab_side(words="b"), most_pairs=most)
    (row,) = compare_pairs([header, *pairs, AbEndEntry(ending=ending)]).rows
    plain = paired_difference([0.0] * 6, ratios).interval(level)
    assert row.interval == pytest.approx([math.exp(end) for end in plain], rel=1e-9)
    assert row.center == pytest.approx(math.exp(0.01))


def test_the_file_of_pairs_keeps_how_many_there_could_have_been(clocked):
    run, folder = clocked
    run("--pairs", "7")
    header, *_ = read_journal(next(folder.glob("ab-*.jsonl")))
    assert header.most_pairs == 7


def test_operators_that_moved_are_told_in_time_of_a():
    """B takes 1.25 times as long: 80 % of that is one whole A, 20 points more than A's 80 %."""
    a, b = (
        Profile(
            operators=tuple(
                OperatorShare(provider="CPU", operator=name, share=share, calls=1)
                for name, share in shares
            )
        )
        for shares in ([("MatMulNBits", 0.8), ("Add", 0.2)], [("MatMulNBits", 0.8), ("Add", 0.2)])
    )
    rows = compare_turns(
        [line([math.log(0.8)] * 5, "decode_step_tok_s")], Question(0.01), ("a", "b"), ()
    ).rows
    (note,) = moved_operators(AbProfileEntry(test=CELL.workload, a=a, b=b), rows)
    assert note == (
        f"operators of {CELL.workload} that moved, in A's time: "
        "MatMulNBits +20.0% (80.0% of A's time, 80.0% of B's), "
        "Add +5.0% (20.0% of A's time, 20.0% of B's)"
    )


@pytest.mark.parametrize(("policy", "ends"), [("warn", EXIT_OK), ("fail", EXIT_GATE)])
def test_a_busy_neighbour_decides_no_gate(policy, ends, clocked, monkeypatch):
    """Its share of the CPU lies in the file and beside the gate."""
    run, folder = clocked
    monkeypatch.setattr(paired, "difference", lambda *_: watched(0.84))
    result = run("--b", "SLOWER=1.05", "--fail-on", "slower:3%", "--inconclusive", policy)
    assert result.return_value == ends
    assert "gate slower:3% INCONCLUSIVE: " in result.stderr
    assert "CPU used by others: base 84 %, new 84 %" in result.stderr
    kept = read_journal(next(folder.glob("ab-*.jsonl")))
    shares = [
        one.watches["tg4 @ d0"].background_cpu_share for one in kept if isinstance(one, PairEntry)
    ]
    assert shares == [0.84] * LEAST_PAIRS


def test_a_broken_gate_is_measured_anew_before_it_fails(clocked):
    """A side that is slower each time breaks it twice; ten pairs are kept, no number twice."""
    run, folder = clocked
    result = run("--b", "SLOWER=1.05", "--fail-on", "slower:3%", "--confirm")
    assert result.return_value == EXIT_GATE
    assert "measured anew, 1 of 1 failing lines fail again" in result.stdout
    assert len(list(folder.glob("ab-*.jsonl"))) == 2


def test_a_gate_that_breaks_once_does_not_fail(clocked, monkeypatch):
    """The second five pairs are measured of two equal sides: a false alarm does not come twice."""
    run, _folder = clocked
    real = pairs_module.measure_pair

    def equal_later(sides, plan, number):
        return real(
            sides if number < LEAST_PAIRS else (sides[0], replace(sides[1], env={})), plan, number
        )

    monkeypatch.setattr(pairs_module, "measure_pair", equal_later)
    result = run("--b", "SLOWER=1.05", "--fail-on", "slower:3%", "--confirm")
    assert result.return_value == EXIT_OK
    assert "0 of 1 failing lines fail again" in result.stdout


def test_an_encoder_takes_turns_too():
    """Four texts in 50 ms are 80 a second."""
    cell = msgspec.structs.replace(CELL, workload="enc16x4", prompt=16, gen=0, sequences=4)
    assert paired.turn_values(cell, sample(encode_ns=[50_000_000])) == {"encode_seq_s": 80.0}
    (row,) = compare_turns([line([0.0] * 5, "encode_seq_s")], Question(0.01), ("a", "b"), ()).rows
    assert row.unit == "sequences/s"


def test_the_rate_of_a_turn_is_that_of_its_median_step():
    """4 steps of 9, 1, 2, 3 ms: without the first the median is 2 ms, 500 a second.

    Total tokens over total time, decode_tok_s, would be 4 in 15 ms: 266.7 a second.
    """
    reply = sample(itl_ns=[[9_000_000, 1_000_000, 2_000_000, 3_000_000]])
    assert paired.turn_values(CELL, reply) == {"decode_step_tok_s": 500.0}


def test_a_gate_by_the_name_that_the_rate_of_a_turn_once_had(clocked):
    run, _folder = clocked
    result = run("--b", "SLOWER=1.05", "--fail-on", "decode_tok_s:3%")
    assert result.return_value == EXIT_GATE
    assert "decode_step_tok_s: SLOWER" in result.stderr


def test_lines_of_older_files_are_judged_by_the_name_they_have():
    (row,) = compare_turns([line([0.1] * 5, "decode_tok_s")], Question(0.01), ("a", "b"), ()).rows
    assert (row.metric.name, row.unit, row.word) == ("decode_tok_s", "tok/s", "FASTER")


def test_starts_are_compared_too(clocked):
    run, _folder = clocked
    row = rows_of(run("--b", "SLOWER=1.5", "--format", "json"))["load_ms"]
    assert row["ratio"] == pytest.approx(1.5, rel=1e-6)


@pytest.mark.parametrize("style", ["table", "md", "csv", "jsonl", "junit"])
def test_every_format_draws(clocked, style):
    run, _folder = clocked
    result = run("--b", "SLOWER=1.05", "--format", style)
    assert result.return_value == EXIT_OK
    assert "SLOWER" in result.stdout


def test_few_pairs_have_no_verdict(clocked):
    run, _folder = clocked
    result = run("--b", "SLOWER=2", "--pairs", "3", "--format", "json")
    assert rows_of(result)["decode_step_tok_s"]["verdict"] == "INCONCLUSIVE"
    assert "3 pairs" in rows_of(result)["decode_step_tok_s"]["reason"]


def test_an_interrupt_keeps_finished_pairs(clocked, monkeypatch):
    run, folder = clocked
    real = pairs_module.measure_pair

    def stop_at_two(sides, plan, number):
        if number == 2:
            raise KeyboardInterrupt
        return real(sides, plan, number)

    monkeypatch.setattr(pairs_module, "measure_pair", stop_at_two)
    result = run("--b", "SLOWER=2")
    assert result.return_value == EXIT_INTERRUPTED
    assert "2 interleaved pairs of processes; then interrupted" in result.stdout
    _header, *pairs, end = read_journal(next(folder.glob("ab-*.jsonl")))
    assert (len(pairs), end.ending) == (2, "interrupted")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--a", "--quant int4,int8"), "is 2 sessions"),
        (("--a", "--rounds 3"), "No such option '--rounds'"),
        (("--a", "--qant int4"), "did you mean --quant? VARIABLE=value words first"),
        (("--a", "--gen 'x"), "No closing quotation"),
        (("--a", "--gen 5", "--b", "--gen 6"), "share no test"),
        (("--pairs", "1"), "--pairs 1"),
        (("--precision", "0"), "--precision"),
        (("--budget", "soon"), "--budget"),
        (("--fail-on", "kld:0.01"), "can never fail"),
        (("--fail-on", "slower:3%", "--pairs", "4"), "slower:3% needs 5 pairs, and --pairs is 4"),
    ],
)
def test_bad_words_are_refused(clocked, words, said):
    run, _folder = clocked
    result = run(*words)
    assert isinstance(result.exception, UsageError)
    assert said in str(result.exception)


CELL = Cell(
    model="m",
    parameters=1,
    level="int4",
    device="cpu",
    provider="CPU",
    runtime="ort",
    workload="tg4 @ d0",
    prompt=0,
    gen=4,
    depth=0,
    batch=1,
    threads=1,
    weights="seeded",
)


def line(log_ratios, metric="ttft_ms", is_start=False):
    values = tuple(PairValue(value, 1.0, math.exp(value)) for value in log_ratios)
    return Line(metric, CELL, CELL, values, is_start)


def test_the_interval_is_students_over_pairs():
    """Five log ratios of mean 0.1 and standard deviation 0.02: half-width 2.776 * 0.02 / sqrt 5."""
    spread = [0.1 + step * 0.02 * math.sqrt(0.4) for step in (-2, -1, 0, 1, 2)]
    found = line(spread)
    (row,) = compare_turns([found], Question(0.01), ("a", "b"), ()).rows
    assert row.center == pytest.approx(math.exp(0.1))
    half = 2.7764451 * 0.02 / math.sqrt(5)
    assert row.interval == pytest.approx((math.exp(0.1 - half), math.exp(0.1 + half)), rel=1e-6)
    assert row.verdict is Verdict.WORSE
    assert widest_half_width([found]) == pytest.approx(half, rel=1e-6)


def test_starts_do_not_decide_how_long_it_takes():
    wild = line([0.0, 1.0, -1.0, 2.0, -2.0], "load_ms", is_start=True)
    assert widest_half_width([wild]) is None
    assert widest_half_width([wild, line([0.1] * 5)]) == 0.0
    assert widest_half_width([line([0.1] * 4)]) is None


def test_limits_end_for_one_reason_each():
    limits = Limits(most=8, precision=0.01, budget_s=60.0)
    wild = [line([0.0, 0.5, -0.5, 0.3, -0.3])]
    assert limits.ending(5, 10.0, wild) is None
    assert limits.ending(8, 10.0, wild) is Ending.PAIRS
    assert limits.ending(5, 55.0, wild) is Ending.BUDGET
    assert limits.ending(1, 500.0, []) is None
    assert limits.ending(5, 10.0, [line([0.1] * 5)]) is Ending.PRECISION
    assert "within 1.0%" in pairs_note(5, Ending.PRECISION, limits.precision)


@pytest.mark.parametrize(
    ("require", "more", "code", "told"),
    [
        ("decode>=400", (), EXIT_OK, "require decode>=400 MET: 2 of 2 lines"),
        ("decode>=490", (), EXIT_GATE, "require decode>=490 NOT_MET: B "),
        ("decode>=490", ("--pairs", "2"), EXIT_OK, "fewer than 3 pairs (--pairs 3 or more)"),
        ("decode>=490", ("--pairs", "2", "--inconclusive", "fail"), EXIT_GATE, "INCONCLUSIVE: A "),
    ],
)
def test_both_sides_are_held_against_limits(clocked, require, more, code, told):
    """A decodes 500 tok/s, B 5 % less; the median step answers for the rate."""
    run, folder = clocked
    result = run("--b", "SLOWER=1.05", "--require", require, *more)
    assert result.return_value == code
    assert told in result.stderr
    assert "decode>=4" in result.stdout
    assert "is judged by decode_step_tok_s" in result.stdout
    (path,) = folder.glob("ab-*.jsonl")
    stored = CliRunner().invoke(compare_command, [str(path), "--require", require])
    assert told in stored.stderr


def test_limits_that_pairs_do_not_measure_are_refused(clocked):
    run, folder = clocked
    for require in ("peak<=1GiB", "kld<=0.1", "sustained_decode>=1", "ttft<=1s", "prefill>=1"):
        found = run("--require", require)
        assert "pairs do not measure" in found.exception.problem
        assert "load_ms" in found.exception.problem
    assert not list(folder.glob("*"))


def test_sides_are_told_apart_in_values_and_cases(clocked):
    run, _folder = clocked
    words = ("--b", "SLOWER=1.05", "--require", "decode>=490")
    values = json.loads(run(*words, "--format", "json").stdout)["required"]
    assert [(one["side"], one["outcome"]) for one in values] == [("A", "MET"), ("B", "NOT_MET")]
    assert {one["metric"] for one in values} == {"decode_tok_s"}
    drawn = run(*words, "--format", "junit").stdout
    assert drawn.count("<failure") == 1
    assert 'name="B ' in drawn
