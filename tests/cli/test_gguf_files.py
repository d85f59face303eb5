"""A bad .gguf file at the command line: one sentence, a way out, exit code 2, no library needed."""

import struct

import pytest

from harness.cli.main import main
from harness.core.errors import EXIT_DEVICE, EXIT_OK, EXIT_USAGE
from harness.runner.plan import runtimes
from tests.models.gguf_files import F32, PAIRS, SHAPES, header, tiny_gguf

WHOLE = PAIRS | {"llama.context_length": 1024}


def cut(path, share=0.5):
    data = tiny_gguf(path, WHOLE).read_bytes()
    path.write_bytes(data[: int(len(data) * share)])


def counting(path):
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 2**40, 2**40) + bytes(64))


def odd_type(path):
    path.write_bytes(header(WHOLE, [("blk.0.attn_q.weight", (64, 2), 31, 0)]) + bytes(64))


@pytest.fixture(autouse=True)
def installed(monkeypatch):
    """As if the packages were there: nothing here runs them."""
    monkeypatch.setattr(runtimes, "find_spec", lambda name: object())


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (cut, "is cut off or damaged"),
        (counting, "is cut off or damaged: 1,099,511,627,776 tensors follow"),
        (odd_type, "blk.0.attn_q.weight is of type 31 of ggml, which is not known here"),
        (lambda path: path.write_bytes(b"<html>not found</html>"), "is no GGUF: it begins with"),
        (lambda path: path.write_bytes(b""), "is no GGUF: it begins with b''"),
        (lambda path: path.mkdir(), "has no config.json"),
        (lambda path: tiny_gguf(path, WHOLE, SHAPES[1:]), "holds no text model"),
        (
            lambda path: tiny_gguf(path, WHOLE | {"llama.attention.causal": False}),
            "whose architecture llama is that of an encoder",
        ),
    ],
    ids=["cut", "counts", "type", "html", "empty", "folder", "projector", "encoder"],
)
@pytest.mark.parametrize("command", [[], ["models"]], ids=["run", "models"])
def test_a_bad_file_is_one_sentence(tmp_path, capsys, write, said, command):
    path = tmp_path / "words-Q4_0.gguf"
    write(path)
    words = [*command, str(path)] if command else ["--model", str(path), "--dry-run"]
    code = main(words)
    told = capsys.readouterr()
    if command and "encoder" in said:  # it is told what it is; only a plan is refused
        assert (code, "encoder" in told.out) == (EXIT_OK, True)
        return
    assert code == EXIT_USAGE
    first, fix, *more = told.err.splitlines()
    assert first.startswith("bench: ")
    assert said in first or path.is_dir()
    assert (fix.startswith("  try: "), more) == (True, [])


def test_a_file_without_the_extra_says_how_to_install_it(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(runtimes, "find_spec", lambda name: None)
    path = tiny_gguf(tmp_path / "words-Q4_0.gguf", WHOLE)
    assert main(["--model", str(path), "--dry-run"]) == EXIT_DEVICE
    told = capsys.readouterr().err.splitlines()
    assert told == [
        "bench: --runtime llama.cpp needs llama-cpp-python and gguf",
        "  try: pip install 'ondevice-bench[llamacpp]'",
    ]


def test_a_file_that_is_whole_is_told_without_the_library(tmp_path, capsys):
    path = tiny_gguf(tmp_path / "words-Q4_0.gguf", WHOLE, [*SHAPES, ("x", (64, 64), F32)])
    assert main(["models", str(path)]) == EXIT_OK
    told = capsys.readouterr().out
    assert "words" in told
    assert f"{96 * 64 + 2 * 64 * 64 + 2 * 64:,}" in told
