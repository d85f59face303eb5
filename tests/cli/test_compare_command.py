"""`bench compare` and `bench report` on the command line: formats, gates, exit codes, refusals."""

import csv
import io
import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from msgspec import UNSET, structs

from harness.cli.main import main
from harness.cli.options import COMPARE_FORMATS
from harness.report.github import CUT, SUMMARY_BYTES
from harness.results.document import write_document
from harness.results.enums import Ending
from harness.results.plan import Progress
from harness.results.schema import METHOD_VERSION
from tests.measured_documents import busy, document, quality, record
from tests.results.results_samples import unchecked

RESULTS = Path(__file__).resolve().parents[2] / "results"
BASE = [10.0, 10.1, 9.9, 10.05, 9.95]
SLOW = [time * 1.2 for time in BASE]


@pytest.fixture
def sides(tmp_path):
    """Two runs of one machine; in B decoding is 20 % slower and takes 10 % more memory."""
    paths = []
    for name, times, peak in (("a", BASE, 200_000_000), ("b", SLOW, 220_000_000)):
        path = tmp_path / name / f"{name}.json"
        path.parent.mkdir()
        run = document(record(times, peak_bytes=peak, quality=quality(0.02)), run_id=f"run-{name}")
        write_document(run, path)
        paths.append(str(path))
    return paths


def run(capsys, *arguments):
    """Exit code, stdout, stderr."""
    code = main(["compare", *arguments])
    shown = capsys.readouterr()
    return code, shown.out, shown.err


def refusal(capsys, *arguments):
    """Exit code and the two lines on stderr."""
    code, out, err = run(capsys, *arguments)
    assert out == ""
    assert err.startswith("bench: ")
    assert "\n  try: " in err
    assert "Traceback" not in err
    return code, err


def test_the_table_has_a_verdict_per_line(sides, capsys):
    code, out, err = run(capsys, *sides, "--wide")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "new beside base: run-b beside run-a"
    [speed] = [line for line in lines if " decode_tok_s " in line]
    assert speed.split() == [
        *("tg4", "decode_tok_s", "100", "tok/s", "83.3", "tok/s", "0.833", "0.824", "0.843"),
        *("SLOWER", *speed.split()[10:11], "5", "processes"),
    ]
    assert "1 SLOWER" in out
    assert "equal sizes not shown: 1" in out


def test_columns_that_do_not_vary_are_left_out(sides, capsys):
    _, out, _ = run(capsys, *sides, "--format", "md")
    header = next(line for line in out.splitlines() if line.startswith("| test"))
    assert "threads" not in header
    assert "level" not in header


def test_folders_and_patterns_are_sides(sides, tmp_path, capsys):
    (tmp_path / "a" / "table.json").write_text('{"rows": []}')
    code, out, err = run(capsys, str(tmp_path / "a"), str(tmp_path / "b" / "*.json"))
    assert code == 0
    assert "SLOWER" in out
    assert "passed over, no results file" in err


def test_programs_get_every_number(sides, capsys):
    _, out, _ = run(capsys, *sides, "--format", "json")
    table = json.loads(out)
    rows = {row["metric"]: row for row in table["rows"]}
    assert rows["decode_tok_s"]["verdict"] == "SLOWER"
    assert rows["decode_tok_s"]["ratio"] == pytest.approx(1 / 1.2)
    assert rows["decode_tok_s"]["holds_together"]
    assert rows["kld_nats"]["verdict"] == "SAME"
    for now, deprecated in (("mde", "sure_to_show"), ("p_adjusted", "p_family")):
        assert all(row[now] == row[deprecated] for row in table["rows"])
    _, out, _ = run(capsys, *sides, "--format", "jsonl")
    assert [json.loads(line) for line in out.splitlines()] == table["rows"]
    _, out, _ = run(capsys, *sides, "--format", "csv")
    found = list(csv.DictReader(io.StringIO(out)))
    assert [row["verdict"] for row in found] == [row["verdict"] for row in table["rows"]]


def test_the_flag_of_version_0_1_still_leaves_out_the_correction(sides, capsys):
    def drawn(*more):
        return json.loads(run(capsys, *sides, "--format", "json", *more)[1])

    old, new = drawn("--each"), drawn("--no-correction")
    assert old == new
    assert (new["no_correction"], drawn()["no_correction"]) == (True, False)
    assert new["each_alone"] is True  # the deprecated name


def test_a_former_name_is_not_in_the_help(capsys):
    _, text, _ = run(capsys, "--help")
    assert "--no-correction" in text
    assert "--each" not in text


def test_a_gate_ends_with_one(sides, capsys):
    code, out, err = run(capsys, *sides, "--fail-on", "slower:3%", "--fail-on", "memory:2%")
    assert code == 1
    assert "SLOWER" in out
    assert (
        "gate slower:3% FAIL: smollm2-135m int4 tg4 @ d0 cpu t2 decode_tok_s: SLOWER, 0.833 ["
        in err
    )
    assert "gate memory:2% FAIL" in err
    assert all(", MDE " in line for line in err.splitlines())


def test_a_gate_that_holds_ends_with_zero(sides, capsys):
    code, _, err = run(capsys, *reversed(sides), "--fail-on", "slower:3%", "--fail-on", "kld:0.01")
    assert code == 0
    assert err.splitlines() == [
        "gate slower:3% PASS: 1 of 1 lines surely within, MDE at most 1.6%",
        "gate kld:0.01 PASS: 1 of 1 lines surely within, MDE at most 0.0039",
    ]


@pytest.fixture
def beside(tmp_path):
    """A quiet base, and a new side 20 % slower beside programs that used 84 % of the CPU."""
    paths = []
    for name, times, share in (("a", BASE, 0.03), ("b", SLOW, 0.84)):
        path = tmp_path / f"{name}.json"
        write_document(document(busy(record(times), share), run_id=f"run-{name}"), path)
        paths.append(str(path))
    return paths


@pytest.mark.parametrize(("words", "ends"), [((), 0), (("warn",), 0), (("fail",), 1), (("ok",), 0)])
def test_a_busy_neighbour_fails_no_gate_and_is_named(words, ends, beside, capsys):
    policy = ("--inconclusive", *words) if words else ()
    code, out, err = run(capsys, *beside, "--fail-on", "slower:3%", *policy)
    assert code == ends
    assert "SLOWER" in out
    assert err.startswith("gate slower:3% INCONCLUSIVE: smollm2-135m int4 tg4 @ d0 cpu t2 decode")
    assert "CPU used by others: base 3 %, new 84 %; a gate allows 5 %, MDE 1.6%" in err


def test_a_gate_that_is_undecided_is_skipped_in_junit(beside, capsys):
    arguments = (*beside, "--fail-on", "slower:3%", "--format", "junit")
    _, out, _ = run(capsys, *arguments)
    suite = ElementTree.fromstring(out)[0]
    assert (suite.get("failures"), suite.get("skipped")) == ("0", "1")
    [skipped] = [one for case in suite for one in case.findall("skipped")]
    assert skipped.get("type") == "INCONCLUSIVE"
    assert "new 84 %" in skipped.get("message")
    _, out, _ = run(capsys, *arguments, "--inconclusive", "fail")
    assert ElementTree.fromstring(out)[0].get("failures") == "1"


@pytest.mark.parametrize(
    ("policy", "kind"), [("warn", "warning"), ("fail", "error"), ("ok", "notice")]
)
def test_an_undecided_gate_has_an_annotation_of_its_own(policy, kind, beside, capsys, monkeypatch):
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    words = ("--fail-on", "slower:3%", "--inconclusive", policy, "--format", "github")
    _, out, _ = run(capsys, *beside, *words)
    told = f"\n::{kind} title=bench%3A slower%3A3%25 INCONCLUSIVE::smollm2-135m"
    assert told in out
    assert "gate slower:3% INCONCLUSIVE" in out.partition("\n::")[0]


def test_programs_get_what_every_line_says_of_a_gate(beside, capsys):
    _, out, _ = run(capsys, *beside, "--fail-on", "slower:3%", "--format", "json")
    table = json.loads(out)
    [gate] = table["gates"]
    assert (gate["gate"], gate["limit"], gate["outcome"]) == ("slower:3%", 0.03, "INCONCLUSIVE")
    assert [(line["cause"], line["mde"]) for line in gate["lines"]] == [("busy", 0.016)]
    rows = {row["metric"]: row for row in table["rows"]}
    assert rows["decode_tok_s"]["new_others_cpu_share"] == 0.84


def test_a_gate_over_few_processes_is_refused(tmp_path, capsys):
    paths = []
    for name in "ab":
        path = tmp_path / f"{name}.json"
        write_document(document(record(BASE[:3]), run_id=f"run-{name}"), path)
        paths.append(str(path))
    code, err = refusal(capsys, *paths, "--fail-on", "slower:3%")
    assert code == 2
    assert "--fail-on slower:3% needs 5 processes a side; base has 3, new 3" in err
    assert "--rounds 5" in err


def test_junit_fails_the_lines_that_break_a_gate(sides, capsys):
    code, out, _ = run(capsys, *sides, "--fail-on", "slower:3%", "--format", "junit")
    suite = ElementTree.fromstring(out)[0]
    assert code == 1
    failed = [case for case in suite if case.find("failure") is not None]
    assert suite.get("failures") == "1"
    assert [case.get("name") for case in failed] == [
        "smollm2-135m int4 tg4 @ d0 cpu t2 decode_tok_s"
    ]
    assert failed[0].find("failure").get("type") == "SLOWER"


def test_github_gets_a_summary_and_annotations(sides, tmp_path, capsys, monkeypatch):
    summary = tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    arguments = ("--fail-on", "slower:3%", "--format", "github")
    code, out, _ = run(capsys, *sides, *arguments)
    assert code == 1
    assert out.startswith("::error title=bench%3A slower%3A3%25::smollm2-135m")
    assert "::warning title=bench%3A LARGER::" in out
    assert "| SLOWER" in summary.read_text()
    first = summary.read_text()
    run(capsys, *sides, *arguments)
    assert summary.read_text() == first * 2


def test_a_summary_that_is_nearly_full_is_not_overfilled(sides, tmp_path, capsys, monkeypatch):
    """GitHub drops a summary above 1 MiB as a whole: ours is cut with a word about it."""
    summary = tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    summary.write_bytes(b"x\n" * (SUMMARY_BYTES // 2 - 150))
    assert main(["report", sides[0], "--format", "github"]) == 0
    assert summary.stat().st_size <= SUMMARY_BYTES
    assert summary.read_text().endswith(CUT)


def test_a_name_in_an_error_begins_no_command(capsys):
    """GitHub obeys a line of stderr that begins with two colons."""
    code, err = refusal(capsys, "a\n::error::b", "c", "--format", "github")
    assert code == 5
    assert not [line for line in err.splitlines() if line.lstrip().startswith("::")]


def test_outside_of_github_the_summary_is_printed(sides, capsys, monkeypatch):
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    _, out, _ = run(capsys, *sides, "--format", "github")
    assert out.startswith("new beside base")
    assert "\n::warning " in out


def test_a_summary_that_cannot_be_written_is_a_storage_error(sides, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "absent" / "summary.md"))
    code, err = refusal(capsys, *sides, "--format", "github")
    assert code == 5
    assert "summary.md cannot be written" in err


def test_report_writes_the_same_summary(sides, tmp_path, capsys, monkeypatch):
    summary = tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    assert main(["report", sides[0], "--format", "github"]) == 0
    assert capsys.readouterr().out == ""
    assert "| trust" in summary.read_text()


def test_benchstat_gets_both_sides(sides, capsys):
    _, out, _ = run(capsys, *sides, "--format", "benchstat")
    lines = [line for line in out.splitlines() if line.startswith("Benchmark")]
    assert sum("/side=base\t" in line for line in lines) == 5
    assert sum("/side=new\t" in line for line in lines) == 5


def test_an_axis_of_a_committed_run(capsys):
    path = str(RESULTS / "reference" / "default.json")
    code, out, _ = run(capsys, path, "--axis", "quant", "--metric", "decode_tok_s", "--wide")
    assert code == 0
    assert out.startswith("new beside base: level int4 beside fp32 in run-")
    assert "FASTER" in out
    assert "5 rounds" in out


@pytest.mark.parametrize("axis", ["quant", "threads"])
def test_no_two_lines_of_an_axis_have_the_same_name(axis, capsys):
    path = str(RESULTS / "reference" / "levels.json")
    _, out, _ = run(capsys, path, "--axis", axis, "--format", "junit")
    cases = [
        (case.get("classname"), case.get("name"))
        for case in ElementTree.fromstring(out).iter("testcase")
    ]
    assert len(cases) == len(set(cases)) > 40


# What is refused, with which exit code.


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "Missing argument"),
        (("{a}",), "1 side is given"),
        (("{a}", "{b}", "{b}"), "3 sides are given"),
        (("{a}", "{a}"), "agrees with itself"),
        (("{a}", "{b}", "--axis", "quant"), "inside one run"),
        (("{a}", "--axis", "nonesuch"), "no axis is called"),
        (("{a}", "--axis", "quant"), "its values are int4"),
        (("{a}", "{b}", "--base", "int4"), "--base says nothing without --axis"),
        (("{a}", "{b}", "--metric", "speed"), "no comparison by 'speed'"),
        (("{a}", "{b}", "--tolerance", "0"), "not above 0"),
        (("{a}", "{b}", "--tolerance", "150%"), "not above 0 and at most 1"),
        (("{a}", "{b}", "--tolerance", "nan"), "no number"),
        (("{a}", "{b}", "--fail-on", "slower:0"), "not above 0"),
        (("{a}", "{b}", "--fail-on", "slower"), "has no limit"),
        (("{a}", "{b}", "--fail-on", "spede:3%"), "no gate is called"),
        (("{a}", "{b}", "--fail-on", "first:10%"), "can never fail"),
        (("{empty}", "{b}"), "holds no results file"),
        (("{empty}/*.json", "{b}"), "holds no results file"),
        (("{a}", "{other}"), "cpu_model AMD EPYC and Apple M2"),
        (("{a}", "{method}"), f"method version {METHOD_VERSION} and 99"),
        (("{a}", "{none}"), "share nothing"),
    ],
)
def test_bad_input_ends_with_two(arguments, words, sides, tmp_path, capsys):
    places = {"a": sides[0], "b": sides[1], "empty": str(tmp_path / "empty")}
    (tmp_path / "empty").mkdir()
    texts = {
        "other": ('"AMD EPYC"', '"Apple M2"'),
        "method": (f'"method_version":{METHOD_VERSION}', '"method_version":99'),
    }
    for name, (old, new) in texts.items():
        content = unchecked(Path(sides[1]).read_bytes()).decode()
        assert old in content
        places[name] = str(tmp_path / f"{name}.json")
        Path(places[name]).write_text(content.replace(old, new))
    places["none"] = str(tmp_path / "none.json")
    write_document(document(run_id="run-none"), Path(places["none"]))
    code, err = refusal(capsys, *(text.format(**places) for text in arguments))
    assert code == 2
    assert words in err


def test_a_file_that_is_not_there_is_a_storage_error(sides, tmp_path, capsys):
    code, err = refusal(capsys, sides[0], str(tmp_path / "absent.json"))
    assert code == 5
    assert "cannot be read" in err


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"schema_version":3', '"schema_version":99', "is newer than"),
        ("11940000", "NaN", "no complete JSON"),
        ("11940000", "1e999", "results file"),
        ("11940000", "11940001", "damaged or edited"),
    ],
)
def test_a_damaged_side_ends_with_5(old, new, words, sides, tmp_path, capsys):
    content = Path(sides[1]).read_text()
    assert old in content
    (tmp_path / "damaged.json").write_text(content.replace(old, new))
    code, err = refusal(capsys, sides[0], str(tmp_path / "damaged.json"))
    assert code == 5
    assert words in err


def test_a_damaged_file_in_a_folder_is_refused(sides, tmp_path, capsys):
    """It may have been a result: passing over it would compare something else."""
    (tmp_path / "b" / "torn.json").write_text('{"schema":"bench.results",')
    code, err = refusal(capsys, sides[0], str(tmp_path / "b"))
    assert code == 5
    assert "torn.json" in err


def test_force_compares_other_machines_and_says_so(sides, tmp_path, capsys):
    other = tmp_path / "other.json"
    content = unchecked(Path(sides[1]).read_bytes())
    other.write_bytes(content.replace(b'"AMD EPYC"', b'"Apple M2"'))
    code, out, _ = run(capsys, sides[0], str(other), "--force")
    assert code == 0
    assert "FORCED: cpu_model AMD EPYC and Apple M2" in out


def test_markup_in_names_stays_text(tmp_path, capsys):
    paths = []
    for name, times in (("a", BASE), ("b", SLOW)):
        path = tmp_path / f"{name}.json"
        odd = [record(times, model="<img src=x> | b"), record(times, model="=1+1\n::error::x")]
        write_document(document(*odd, run_id=f"run-{name}"), path)
        paths.append(str(path))
    _, out, _ = run(capsys, *paths, "--format", "github")
    assert "<img" not in out.partition("\n::")[0]
    assert not any(line.startswith("::error::x") for line in out.splitlines())
    _, out, _ = run(capsys, *paths, "--format", "csv")
    assert "\n=1+1" not in out


@pytest.mark.parametrize("style", COMPARE_FORMATS)
def test_a_partial_side_says_so_in_every_format(style, tmp_path, capsys, monkeypatch):
    """Interrupted, with the command that goes on; nothing is said of the side that is whole."""
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    progress = Progress(
        ended=Ending.INTERRUPTED,
        cells=3,
        whole=1,
        unmeasured=2,
        rounds=5,
        command="bench run --config long.toml --resume",
    )
    paths = []
    for name, found_progress in (("a", UNSET), ("b", progress)):
        found = document(record(BASE), run_id=f"run-{name}")
        plan = structs.replace(found.plan, progress=found_progress)
        write_document(structs.replace(found, plan=plan), tmp_path / name)
        paths.append(str(tmp_path / name))
    code, out, _ = run(capsys, *paths, "--format", style)
    assert code == 0
    told = "interrupted: 2 of 3 cells not measured; go on: bench run --config long.toml --resume"
    escaped = " ".join(out.replace("\\", "").split())
    assert told in escaped
    assert "run-a is partial" not in escaped
    code, out, _ = run(capsys, paths[0], paths[0], "--format", style)
    assert "partial: " not in out
