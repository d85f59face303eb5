"""What asks for a decision that cannot be made: two lines and exit code 2, nothing measured."""

import json

import pytest

from harness.cli.main import main
from harness.core.errors import EXIT_USAGE
from harness.core.units import MIB
from harness.runner.quality import tasks
from tests.inline_worker import InlineWorker

FIT, RUN = ("fit", "bytelm", "--quant", "int4"), ("run", "--model", "bytelm", "--quant", "int4")
ITEM = {"context": "Two and two make", "choices": [" four", " five"], "answer": 0}


@pytest.fixture
def refused(capsys, tmp_path, shared_cache):
    """Run a command line that is refused; returns what stands on stderr."""

    def run(*words):
        places = () if words[0] in ("estimate", "compare") else ("--cache", str(shared_cache))
        if words[0] in ("fit", "run"):
            places = (*places, "--results", str(tmp_path / "results"))
        assert main([*words, *places]) == EXIT_USAGE
        out, err = capsys.readouterr()
        lines = err.splitlines()
        (at,) = (place for place, line in enumerate(lines) if line.startswith("bench: "))
        assert lines[at + 1].startswith("  try: ")
        assert len(lines) == at + 2
        assert not out
        assert not list(tmp_path.glob("results/run-*"))  # neither a document nor a journal
        return err

    return run


@pytest.mark.parametrize("command", [FIT, RUN, ("ab", "--model", "bytelm", "--quant", "int4")])
@pytest.mark.parametrize(
    ("require", "told"),
    [
        ("speed>=20", "called 'speed'"),
        ("decode>=20ms", "'ms' is no unit of decode_tok_s"),
        ("ttft<=800", "ttft_ms needs a unit"),
        ("decode<=20", "better where it is larger"),
        ("decode>=20, decode<=10", "contradict each other"),
        ("sustained_decode>=20, sustained_decode_tok_s<=10", "contradict each other"),
        ("decode_tok_s>=20, decode>=30", "decode>=20 and decode>=30 limit the same metric twice"),
        ("decode=20", "is no requirement"),
        ("", "holds no requirement"),
        (",", "holds no requirement"),
        ("encode>=5", "encode_seq_s"),
        ("sustained_decode>=5", "sustained_decode>=5"),
        ("accuracy>=50%", "accuracy>=50%"),
        ("device_bytes_peak<=1GiB", "device_bytes_peak"),
    ],
)
def test_a_requirement_that_nothing_can_answer(refused, command, require, told):
    assert told in refused(*command, "--require", require)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((*FIT, "--require", "decode>=1", "--capacity", "16"), "--capacity 16"),
        ((*RUN, "--gen", "32", "--capacity", "16"), "--capacity 16"),
        ((*RUN, "--turns", "3x32+16", "--capacity", "100"), "--capacity 100"),
        ((*FIT, "--require", "decode>=1", "--capacity", "99999999"), "--capacity 99999999"),
        ((*RUN, "--capacity", "99999999"), "--capacity 99999999"),
        ((*RUN, "--capacity", "0"), "--capacity 0"),
        ((*RUN, "--capacity", "much"), "'much'"),
        ((*RUN, "--model", "all-minilm-l6-v2", "--capacity", "max"), "--capacity max"),
        (
            ("estimate", "llama-3.2-1b", "--on", "m4", "--turns", "4x128+64", "--capacity", "500"),
            "--capacity 500: turn 3 needs 576 positions",
        ),
        (
            ("estimate", "llama-3.2-1b", "--on", "m4", "--capacity", "999999"),
            "takes 131072 tokens at most",
        ),
        (
            ("estimate", "llama-3.2-1b", "--on", "m4", "--turns", "4x128+64", "--prompt", "9"),
            "--turns says how long prompts are",
        ),
        (("estimate", "llama-3.2-1b", "--on", "m4", "--turns", "4x128"), "is no chat"),
        (("estimate", "llama-3.2-1b", "--on", "m4", "--turns", "0x128+64"), "has a 0"),
        (("estimate", "bert-base-uncased", "--on", "m4", "--turns", "2x8+8"), "decodes nothing"),
        ((*RUN, "--turns", "4x128"), "is no chat"),
        ((*RUN, "--turns", "999x128+64"), "context"),
    ],
)
def test_positions_and_turns_that_do_not_fit(refused, words, told):
    assert told in refused(*words)


@pytest.mark.parametrize(
    ("item", "told"),
    [
        (ITEM | {"choices": []}, "line 2: no choice: an item has two or more"),
        (ITEM | {"choices": [" four"]}, "line 2: one choice: an item has two or more"),
        ({"context": "a", "answer": 0}, "line 2: no 'choices'"),
        (ITEM | {"answer": 2}, "line 2: 'answer' is 2"),
        (ITEM | {"context": "a" * 10 * MIB}, "line 2: 10,485,"),
        (ITEM | {"context": "a" * 100_000}, "line 2: choice 0 ends at token 100,0"),
        ("no json", "line 2: no JSON"),
    ],
    ids=["none", "one", "missing", "answer", "10 MiB", "too long", "no JSON"],
)
def test_questions_that_are_none(refused, tmp_path, monkeypatch, item, told):
    monkeypatch.setattr(tasks, "Worker", InlineWorker)
    file = tmp_path / "mine.jsonl"
    lines = (one if isinstance(one, str) else json.dumps(one) for one in (ITEM, item))
    file.write_text("\n".join(lines))
    assert told in refused(*RUN, "--gen", "4", "--threads", "1", "--tasks", str(file), "-q")


def test_signs_outside_the_vocabulary(refused, make_tiny, tmp_path, monkeypatch):
    """A tokenizer of 256 words, of which none is what the second choice says."""
    tokenizers = pytest.importorskip("tokenizers")
    monkeypatch.setattr(tasks, "Worker", InlineWorker)
    folder = make_tiny(tmp_path / "words")
    words = {f"t{number}": number for number in range(256)}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="t0"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    file = tmp_path / "mine.jsonl"
    file.write_text(json.dumps({"context": "t1 t2", "choices": [" t3", " Rome"], "answer": 0}))
    model = ("run", "--model", str(folder), "--quant", "int4", "--gen", "4", "--threads", "1")
    told = refused(*model, "--tasks", str(file), "-q")
    assert "line 1: choice 1 has signs outside the vocabulary" in told
