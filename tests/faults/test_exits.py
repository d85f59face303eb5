"""Faults 27, 28, 33 to 42 and 63: whatever is wrong ends in two lines and the code of its kind.

1 is a failed gate and nothing else; 70 is a fault of `bench` itself, and none of these is one.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.cli.main import main
from harness.core.errors import (
    EXIT_DEVICE,
    EXIT_FAULT,
    EXIT_OK,
    EXIT_STORAGE,
    EXIT_USAGE,
)
from harness.results.document import decode_document, encode_document
from tests.results.results_samples import unchecked

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "results" / "reference" / "default.json"
SOUND = unchecked(encode_document(decode_document(REFERENCE.read_bytes())))
CHECKED = encode_document(decode_document(SOUND))
DIGITS = b"9" * 400
posix = pytest.mark.skipif(os.name != "posix", reason="descriptors of POSIX")


def ended(capsys, *words):
    """The code of a command that says what is wrong in two lines, and nothing on stdout."""
    code = main([str(word) for word in words])
    told = capsys.readouterr()
    assert [line[:7] for line in told.err.splitlines()] == ["bench: ", "  try: "], told.err
    assert max(map(len, told.err.splitlines())) < 3000
    assert told.out == ""
    return code


def replaced(old, new):
    assert old in SOUND
    return SOUND.replace(old, new, 1)


DAMAGED = {
    "empty": b"",
    "zeros": bytes(4096),
    "no text": b"\xff\xfe\xfd" * 99,
    "cut before its records": SOUND[: SOUND.index(b'"records":[')],
    "a flipped digit": CHECKED.replace(b'"rounds":5', b'"rounds":4', 1),
    "deep lists": b"[" * 100_000,
    "deep tables": b'{"a":' * 100_000,
    "deep and closed": b'{"schema":"bench.results","x":' + b"[" * 900 + b"]" * 900 + b"}",
    "NaN": replaced(b'"seed":0', b'"seed":NaN'),
    "400 digits": replaced(b'"load_ns":', b'"load_ns":' + DIGITS),
    "400 digits of a parameter count": replaced(b'"parameters":', b'"parameters":' + DIGITS),
    "400 digits and a fraction": replaced(b'"value":', b'"value":' + DIGITS),
    "6,000 digits": replaced(b'"value":', b'"value":' + b"9" * 6000),
    "an estimate of less than nothing": replaced(
        b'"pass":"decode step","seconds":', b'"pass":"decode step","seconds":-'
    ),
    "a rate below 0": replaced(b'"decode_tok_s":{"value":', b'"decode_tok_s":{"value":-'),
    "a number that is none": replaced(b'"schema_version":', b'"schema_version":-'),
    "a later format": replaced(b'"schema_version":3', b'"schema_version":99'),
    "a list": b"[]",
    "a word": b'"bench.results"',
    "another program's": b'{"schema":"other"}',
    "a journal": b'{"crc32":"25f207ea","entry":{"kind":"run"}}\n',
}
READERS = (["report"], ["explain"], ["explain", "trust"], ["compare", REFERENCE], ["scaling"])


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_document_ends_with_5(content, tmp_path, capsys):
    """As the README's table says; the file stays as it was."""
    path = tmp_path / "run.json"
    path.write_bytes(content)
    for words in READERS:
        assert ended(capsys, *words, path) == EXIT_STORAGE, words
    assert path.read_bytes() == content


def test_a_damaged_document_takes_no_other_with_it(tmp_path, capsys):
    """`bench results` lists what is sound, and names what is not."""
    (tmp_path / "run-a.json").write_bytes(SOUND)
    for number, content in enumerate(DAMAGED.values()):
        (tmp_path / f"run-b{number}.json").write_bytes(content)
    assert main(["results", str(tmp_path), "--format", "json"]) == EXIT_OK
    rows = json.loads(capsys.readouterr().out)
    assert [row["file"] for row in rows if row["ended"] != "damaged"] == ["run-a.json"]
    assert len(rows) == 1 + len(DAMAGED) - 4  # JSON of other programs is passed over


@pytest.mark.parametrize("words", READERS, ids=lambda words: " ".join(map(str, words[:2]))[:20])
def test_what_is_not_there_or_no_file_has_its_code(words, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert ended(capsys, *words, "none.json") in (EXIT_STORAGE, EXIT_USAGE)
    assert ended(capsys, *words, f"{'long' * 100}.json") in (EXIT_STORAGE, EXIT_USAGE)


PLANS = {
    "empty key": b'"" = 1\n',
    "unknown key": b"nonesuch = 1\n",
    "twice": b"rounds = 5\nrounds = 5\n",
    "no TOML": b"rounds = = 5\n",
    "no text": b"\xff\xfe\xfd",
    "deep": b"x = " + b"[" * 5000,
    "deep and closed": b"x = " + b"[" * 900 + b"]" * 900,
    "deep tables": b"x = " + b"{a=" * 900 + b"1" + b"}" * 900,
    "no rounds": b"rounds = 0\n",
    "negative": b"prompt = [-1]\n",
    "NaN": b"budget = nan\n",
    "infinite": b"sample_seconds = inf\n",
    "overflow": b"warm_seconds = 1e999\n",
    "another type": b'rounds = "many"\n',
    "a table": b"[rounds]\na = 1\n",
    "a list of tables": b"[[quant]]\n",
    "a truth": b"rounds = true\n",
    "a date": b"rounds = 1979-05-27\n",
    "a megabyte": b"# x\n" * 260_000,
    "another language": b"model: !!python/object/apply:os.system ['true']\n",
    "aliases": b"a: &a [1, 1]\nb: [*a, *a]\n",
    "a variable": b'precision = "${HOME}"\n',
    **{
        f"400 digits of {key}": b"%b = %b%b%b\n" % (key.encode(), before, DIGITS, after)
        for key, before, after in (
            *((key, b"", b"") for key in ("rounds", "seed", "min_passes", "timeout", "budget")),
            *((key, b"", b"") for key in ("cooldown", "sustain", "max_rounds", "sample_seconds")),
            *((key, b"[", b"]") for key in ("prompt", "gen", "depth", "batch", "prefill_chunk")),
            *((key, b'["', b'"]') for key in ("threads", "capacity", "turns", "pg", "enc")),
        )
    },
}


@pytest.mark.parametrize("content", PLANS.values(), ids=PLANS)
def test_a_plan_that_cannot_be_used_ends_with_2(content, tmp_path, capsys):
    path = tmp_path / "plan.toml"
    path.write_bytes(b'model = ["bytelm"]\n' + content)
    flags = (
        [] if b"pg =" in content or b"prompt =" in content or b"gen =" in content else ["--gen=4"]
    )
    assert ended(capsys, "--config", path, *flags, "--dry-run") == EXIT_USAGE


FLAGS = (
    *("--rounds", "--prompt", "--gen", "--depth", "--batch", "--threads", "--seed", "--budget"),
    *("--timeout", "--pg", "--turns", "--enc", "--capacity", "--prefill-chunk", "--precision"),
    *("--sample-seconds", "--warm-seconds", "--min-passes", "--cooldown", "--sustain"),
)


NUMBERS = {
    "400 digits": "9" * 400,
    "6,000 digits": "9" * 6000,
    "negative": "-1",
    "nan": "nan",
    "overflow": "1e999",
    "a pair of 400 digits": "1" * 400 + "x2+2",
}


@pytest.mark.parametrize("flag", FLAGS)
@pytest.mark.parametrize("value", NUMBERS.values(), ids=NUMBERS)
def test_a_number_that_no_machine_has_ends_with_2(flag, value, capsys):
    assert ended(capsys, "--model", "bytelm", f"{flag}={value}", "--dry-run") == EXIT_USAGE


@pytest.mark.parametrize(
    "words",
    [
        ("estimate", "9" * 400),
        ("estimate", "9" * 400 + "B"),
        ("estimate", "llama-3.2-1b", "--on", "raspberry-pi-5", "--memory", "9" * 400 + "GB"),
        ("estimate", "llama-3.2-1b", "--depth", "9" * 400),
        ("compare", str(REFERENCE), "--axis", "quant", "--tolerance", "9" * 400 + "%"),
        ("compare", str(REFERENCE), "--axis", "quant", "--fail-on", "slower:" + "9" * 400 + "%"),
        ("explain", str(REFERENCE), "--row", "9" * 6000),
        ("cache", "prune", "--older", "9" * 400 + "d"),
        ("cache", "prune", "--larger", "9" * 400 + "GB"),
        ("tune", "bytelm", "--for", "decode", "--budget", "9" * 400 + "s", "--dry-run"),
    ],
    ids=lambda words: f"{words[0]} {words[-2][:12]}",
)
def test_other_commands_refuse_such_numbers_too(words, capsys):
    assert ended(capsys, *words) == EXIT_USAGE


def test_no_error_of_any_kind_ends_with_1(monkeypatch, capsys):
    """What nobody has thought of is a fault, what a system lacks is no fault."""
    ends = {
        KeyError("x"): EXIT_FAULT,
        AssertionError(): EXIT_FAULT,
        RecursionError("deep"): EXIT_FAULT,
        MemoryError(): EXIT_DEVICE,
        ImportError("no module"): EXIT_DEVICE,
        OSError(28, "No space left on device"): EXIT_STORAGE,
    }
    for error, code in ends.items():

        def fail(*_arguments, error=error, **_others):
            raise error

        monkeypatch.setattr("harness.cli.explain.terms", fail)
        assert main(["explain"]) == code
        told = capsys.readouterr()
        assert [line[:7] for line in told.err.splitlines()] == ["bench: ", "  try: "]


def run(script, words, **streams):
    """A shell's words around `python -m harness`."""
    line = script.format(bench=f"{sys.executable} -m harness {words}")
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(["sh", "-c", line], capture_output=True, text=True, env=env, **streams)


@posix
def test_closed_and_full_streams_keep_the_code():
    """What cannot be said is lost; what the command ends with is not."""
    full = Path("/dev/full").exists()
    asked = (
        ("{bench} >&-", "explain ttft_ms", EXIT_STORAGE),
        ("{bench} 2>&-", "explain nonesuch", EXIT_USAGE),
        *((("{bench} 2>/dev/full", "explain nonesuch", EXIT_USAGE),) if full else ()),
        *((("{bench} >/dev/full 2>/dev/full", "explain ttft_ms", EXIT_STORAGE),) if full else ()),
    )
    for script, words, code in asked:
        done = run(script, words)
        assert done.returncode == code, (script, done.stderr)
        silent = "2>" in script
        assert [line[:7] for line in done.stderr.splitlines()] == (
            [] if silent else ["bench: ", "  try: "]
        )


def test_an_installation_that_lacks_a_package_is_no_failed_gate():
    """Before a single command is known."""
    script = (
        "import sys; sys.modules['click'] = None\n"
        "from harness.__main__ import run_and_exit; run_and_exit()"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == EXIT_DEVICE
    assert [line[:7] for line in done.stderr.splitlines()] == ["bench: ", "  try: "]


def test_the_readme_names_each_code():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    table = text.split("| exit code | meaning |")[1].split("\n\n")[0]
    assert [line.split("|")[1].strip() for line in table.splitlines()[2:]] == [
        *("0", "1", "2", "3", "4", "5", "70", "130")
    ]
    assert "results that are damaged" in next(
        line for line in table.splitlines() if line.startswith("| 5 ")
    )
