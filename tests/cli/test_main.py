"""The command line's outer shell: start-up cost, help, and how errors end."""

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from harness.cli.main import COMMANDS, main
from harness.core.errors import EXIT_STORAGE
from harness.results.bounds import read_stored

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "results" / "reference" / "default.json"
HEAVY = ("numpy", "onnxruntime", "onnx", "psutil", "tabulate", "rich", "safetensors")


def test_help_imports_nothing_heavy():
    """`bench --help` in a fresh interpreter loads none of the forbidden modules."""
    script = (
        "import sys\nfrom harness.cli.main import main\ncode = main(['--help'])\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[] 0"


@pytest.mark.parametrize(
    "module", ["harness", "harness.runner.plan", "harness.runner.loop.run", "harness.cli.run"]
)
def test_the_parent_never_loads_numpy_or_onnxruntime(module):
    """Everything the measuring parent imports, in a fresh interpreter."""
    script = (
        f"import sys, {module}\n"
        "print([name for name in ('numpy', 'onnxruntime', 'onnx') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", [name for name, _, _ in COMMANDS])
def test_every_command_has_help_with_an_example(name, capsys):
    assert main([name, "--help"]) == 0
    assert "Example:" in capsys.readouterr().out


def test_bare_options_are_the_run_command(capsys):
    assert main(["--device", "cpu", "--dry-run"]) == 0
    assert "smollm2-135m/int4/cpu/ort" in capsys.readouterr().out


def test_a_dry_run_names_every_cache(capsys):
    assert (
        main(["--model", "bytelm", "--quant", "int4", "--kv-cache", "auto,int8", "--dry-run"]) == 0
    )
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("bytelm/int4/cpu/") for line in lines)
    assert any(line.startswith("bytelm/int4/kv-int8/cpu/") for line in lines)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--model", "smolm2-135m", "--dry-run"],
        ["--quant", "int5", "--dry-run"],
        ["--quant", "fp32", "--kv-cache", "fp16", "--dry-run"],
        ["--device", "tpu", "--dry-run"],
        ["--threads", "0", "--dry-run"],
        ["--prompt", "8-64", "--dry-run"],
        ["--batch", "0", "--dry-run"],
        ["--budget", "soon", "--dry-run"],
        ["--prompt", "100000000", "--dry-run"],
        ["--config", "nonesuch", "--dry-run"],
        ["--format", "xml"],
        ["--nonesuch"],
        ["nonesuch"],
        ["explain", "nonesuch-term"],
    ],
)
def test_bad_input_is_two_lines_and_exit_code_two(arguments, capsys):
    assert main(arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("bench: ")
    assert "\n  try: " in shown.err
    assert "Traceback" not in shown.err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
def test_an_output_that_takes_nothing_is_a_storage_error():
    """A full disk behind stdout: one message, no traceback, also not at the interpreter's end."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "harness", "explain", "ttft_ms"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == EXIT_STORAGE
    assert done.stderr.startswith("bench: the output cannot be used")
    assert done.stderr.count("\n") == 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
def test_an_error_that_cannot_be_said_keeps_its_exit_code(monkeypatch):
    """A full disk behind stderr: never 1, which is a failed gate."""
    with Path("/dev/full").open("w", buffering=1) as full:
        monkeypatch.setattr(sys, "stderr", full)
        assert main(["explain", "no such term"]) == 2
        monkeypatch.undo()
        with suppress(OSError):
            full.close()


def test_a_reader_that_has_gone_is_no_failed_gate():
    """`bench ... | head -1`: silent, and not exit code 1."""
    with subprocess.Popen(
        [sys.executable, "-m", "harness", "explain"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == EXIT_STORAGE


def test_version_is_one_line(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("bench ")


def test_bench_alone_is_the_help(capsys):
    """No arguments: the table of commands and an example, not an error without words."""
    main([])
    shown = capsys.readouterr()
    assert "Example:" in shown.out + shown.err
    assert "Traceback" not in shown.err


def test_a_fault_of_ours_has_its_own_code_and_sentence(monkeypatch, capsys):
    """No traceback but for BENCH_DEBUG, and a place to report it."""

    def wrong(*_arguments, **_others):
        raise KeyError("x")

    monkeypatch.setattr("harness.results.glossary.terms", wrong)
    monkeypatch.setattr("harness.cli.explain.terms", wrong)
    monkeypatch.delenv("BENCH_DEBUG", raising=False)
    assert main(["explain"]) == 70
    told = capsys.readouterr().err
    assert told.startswith("bench: this is a fault of bench: KeyError: 'x' (")
    assert "/issues" in told
    assert "Traceback" not in told
    monkeypatch.setenv("BENCH_DEBUG", "1")
    assert main(["explain"]) == 70
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "cp437", "utf-8"])
def test_an_output_of_any_encoding_is_drawn(encoding):
    done = subprocess.run(
        [sys.executable, "-m", "harness", "report", str(REFERENCE)],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": encoding, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0
    assert b"Traceback" not in done.stderr
    assert "smollm2-135m" in done.stdout.decode(encoding)


def test_the_trust_of_a_file_is_explained_with_its_worst_values(capsys):
    """The rules first, then a line per record of the reference run."""
    assert main(["explain", "trust", str(REFERENCE), "--wide"]) == 0
    shown = capsys.readouterr().out
    assert "half-width of the 95 % interval <= 3 %, background CPU <= 2 %" in shown
    [row] = [
        line for line in shown.splitlines() if line.startswith("smollm2-135m int4 tg32 @ d0 2")
    ][:1]
    assert row.split()[7:] == ["C", "5", "19.1%", "4.2%", "1.1%", "0"]
    assert main(["explain", "ttft_ms", str(REFERENCE)]) == 2


def test_a_level_is_explained_with_what_its_products_round(capsys):
    """Of a block of 128, and its diagnostic; fp32 rounds nothing."""
    assert main(["explain", "int4-b128"]) == 0
    shown = capsys.readouterr().out
    assert "once for every block of 128 inputs" in shown
    assert "`--quality --activations exact` adds int4-b128-exact" in shown
    assert main(["explain", "int4-b128-exact"]) == 0
    assert "A diagnostic of int4-b128" in capsys.readouterr().out
    assert main(["explain", "fp32"]) == 0
    assert "round" not in capsys.readouterr().out


def test_latest_and_prev_mean_runs_of_the_usual_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["report", "latest"]) == 2
    assert "latest means the newest run in results, which holds no run" in capsys.readouterr().err
    (tmp_path / "results").mkdir()
    sources = (("20260101-000000-a", "first.json"), ("20260102-000000-b", "again.json.xz"))
    for name, source in sources:
        content = read_stored(ROOT / "results" / "validation" / source)
        (tmp_path / "results" / f"run-{name}.json").write_bytes(content)
        if source == "first.json":
            assert main(["report", "prev"]) == 2
            told = "prev means the run before the newest in results, which holds one run"
            assert told in capsys.readouterr().err
    for arguments in (["report", "prev"], ["compare", "prev", "latest"], ["scaling", "prev"]):
        assert main(arguments) == 0
    assert "beside run-" in capsys.readouterr().out
    for arguments in (["explain", "trust", "latest"], ["explain", "trust", "prev", "--row", "1"]):
        assert main(arguments) == 0
