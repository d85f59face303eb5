"""What the Tab key offers, through click's own interface, and that it imports nothing heavy."""

import os
import subprocess
import sys

import pytest
from click.shell_completion import ShellComplete

from harness.cli.main import COMMANDS, bench

HEAVY = ("numpy", "onnx", "onnxruntime", "psutil", "tabulate", "rich", "safetensors")


def offered(line):
    """What is offered for the last word of a line; without the mark of files."""
    *words, incomplete = line.split(" ")[1:]
    found = ShellComplete(bench, {}, "bench", "_BENCH_COMPLETE").get_completions(words, incomplete)
    return [item.value for item in found if item.type == "plain"]


def takes_files(line):
    *words, incomplete = line.split(" ")[1:]
    found = ShellComplete(bench, {}, "bench", "_BENCH_COMPLETE").get_completions(words, incomplete)
    return "file" in [item.type for item in found]


@pytest.mark.parametrize(
    ("line", "some"),
    [
        ("bench run --model smollm2-1", ["smollm2-1.7b", "smollm2-135m"]),
        ("bench run --model byt", ["bytelm"]),
        ("bench run --model llama-2", ["llama-2-7b"]),  # an alias
        ("bench --model bytelm,llama-3.2-1", ["bytelm,llama-3.2-1b"]),
        ("bench --quant int4-b128", ["int4-b128", "int4-b128-asym"]),
        ("bench --quant fp32,fp", ["fp32,fp16", "fp32,fp32-static"]),
        ("bench ab --quant us", ["usual"]),
        ("bench audit --kv-cache int", ["int4", "int8"]),
        ("bench run --device n", ["npu"]),
        ("bench run --ep web", ["webgpu"]),
        ("bench run --runtime g", ["genai"]),
        ("bench run --threads a", ["all"]),
        ("bench run --config sw", ["sweep"]),
        ("bench validate-estimates --config val", ["validate"]),
        ("bench run --text k", ["korean"]),
        ("bench run --preset r", ["rigorous"]),
        ("bench run --interleave t", ["turns"]),
        ("bench run --format bencher", ["bencher"]),
        ("bench compare --format j", ["json", "jsonl", "junit"]),
        ("bench compare --metric decode_tok", ["decode_tok_s"]),
        ("bench compare --axis qu", ["quant"]),
        ("bench compare --fail-on slo", ["slower:"]),
        ("bench ab --fail-on slo", ["slower:"]),
        ("bench estimate gemma-2-2", ["gemma-2-2b"]),
        ("bench estimate bytelm --on galaxy-s24", ["galaxy-s24"]),
        ("bench calibrate --quant int2", ["int2", "int2-kquant"]),
        ("bench models qwen3-0", ["qwen3-0.6b"]),
        ("bench levels byt", ["bytelm"]),
        ("bench explain ttft", ["ttft_ms"]),
        ("bench run --mod", ["--model"]),
        ("bench --mod", ["--model"]),  # of the default command
        ("bench --vers", ["--version"]),
        ("bench ex", ["explain"]),
    ],
)
def test_a_word_is_completed(line, some):
    found = offered(line)
    assert set(some) <= set(found)
    assert all(word.startswith(line.split(" ")[-1]) for word in found)


def test_every_command_is_offered():
    assert offered("bench ") == [name for name, _, _ in COMMANDS]


def test_a_name_that_stands_is_not_offered_again():
    assert "fp32,fp32" not in offered("bench --quant fp32,fp")


@pytest.mark.parametrize(
    "line", ["bench --model ./x", "bench --config x", "bench report x", "bench explain x"]
)
def test_files_stay_possible(line):
    assert takes_files(line)


def test_results_files_come_newest_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").mkdir()
    for number, name in enumerate(("b.json", "a.json", "c.txt")):
        path = tmp_path / "results" / name
        path.write_text("{}")

        os.utime(path, ns=(number, number))
    for command in ("report", "compare", "scaling", "validate-estimates", "explain"):
        found = [word for word in offered(f"bench {command} ") if word.startswith("results/")]
        assert found == ["results/a.json", "results/b.json"]


@pytest.mark.parametrize("words", ["bench --model smol", "bench explain tt", "bench compare x --m"])
def test_an_answer_imports_nothing_heavy(words):
    """In a fresh interpreter, as the shell asks; it ends with 0."""
    script = (
        "import sys\nfrom harness.cli.main import main\nsys.argv[0] = 'bench'\n"
        f"code = main([])\nprint([name for name in {HEAVY!r} if name in sys.modules], code)"
    )
    asked = {
        "_BENCH_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(words.count(" ")),
    }

    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **asked},
    )
    *found, last = done.stdout.splitlines()
    assert last == "[] 0"
    assert any(line.startswith("plain,") for line in found)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell_asks_bench(shell):
    script = (
        "import sys; from harness.cli.main import main; sys.argv[0] = 'bench'; sys.exit(main([]))"
    )

    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "_BENCH_COMPLETE": f"{shell}_source"},
    )
    assert done.returncode == 0
    assert f"_BENCH_COMPLETE={shell}_complete" in done.stdout
