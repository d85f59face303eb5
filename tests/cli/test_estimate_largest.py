"""`bench estimate --largest`, and systems without a published count, as a user types them."""

import csv
import io
import json
import shlex

import pytest

from harness.cli.main import main
from harness.models.catalog.systems import Answer, answer_to, systems, unpublished

MODELS = [row for row in systems() if row.kind == "model"]
KEYS = list(dict.fromkeys(row.key for row in MODELS))


def run(capsys, *arguments):
    """Exit code, standard output and standard error of one command."""
    code = main(["estimate", *arguments])
    out, err = capsys.readouterr()
    return code, out, err


def test_the_largest_of_two_devices_at_two_levels(capsys):
    code, out, err = run(
        capsys,
        "--largest",
        *("--on", "rpi5,m4", "--quant", "int4,int8", "--require", "decode>=20,peak<=4GiB"),
        *("--format", "json"),
    )
    assert (code, err) == (0, "")
    rows = json.loads(out)
    assert [(row["device"], row["level"]) for row in rows] == [
        ("rpi5", "int4"),
        ("rpi5", "int8"),
        ("apple-m4", "int4"),
        ("apple-m4", "int8"),
    ]
    for row in rows:
        assert row["question"] == "largest"
        assert row["limits"] == ["decode>=20", "peak<=4GiB"]
        assert row["parameters_low"] <= row["parameters_centre"] <= row["parameters_high"]
        assert len(row["models_centre"]) == 3
        assert row["held_by"] == ["peak"] or row["held_by"] == ["decode"]


@pytest.mark.parametrize("style", ["table", "md", "csv", "jsonl"])
def test_every_format_holds_the_same_answer(capsys, style):
    code, out, _ = run(
        capsys, "--largest", "--on", "m4", "--require", "decode>=20", "--format", style
    )
    assert code == 0
    assert "qwen3" in out
    if style == "table":
        assert max(map(len, out.splitlines())) <= 78
        assert "surely" in out
    if style == "csv":
        (row,) = csv.DictReader(io.StringIO(out))
        assert row["limits"] == "decode>=20"
        assert int(row["parameters_centre"]) > 10**9


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ("--largest llama-3-8b --on rpi5", "MODEL llama-3-8b"),
        ("--largest --params 7B --on rpi5", "--params 7B"),
        ("--largest --bits 4 --on rpi5", "--bits 4"),
        ("--largest --turns 2x8+8 --on rpi5", "--turns 2x8+8"),
        ("--largest --explain-row --on rpi5", "--explain-row"),
        ("--largest", "--on names none"),
        ("--largest --on rpi4000", "rpi4000"),
        ("--largest --on rpi5 --require decode>=x", "decode>=x"),
        ("--largest --on rpi5 --require decode", "no requirement"),
        ("--largest --on rpi5 --require kld<=0.05", "kld_nats"),
        ("--largest --on rpi5 --require weights<=1", "needs a unit"),
        ("--largest --on rpi5 --require decode<=5", "better where it is larger"),
        ("--largest --on rpi5 --capacity max", "whole context"),
        ("llama-3-8b --on rpi5 --require decode>=5", "--largest"),
        ("sora", "--on names none"),
        ("sora,llama-3-8b --on rpi5 --format csv", "Sora"),
        ("sora --on rpi5 --require top1>=0.9", "top1_agreement"),
    ],
)
def test_what_cannot_be_asked_is_told_in_one_message(capsys, words, problem):
    code, out, err = run(capsys, *shlex.split(words))
    assert (code, out) == (2, "")
    assert problem in err
    assert len(err.splitlines()) == 2
    assert err.count("try:") == 1


def test_every_model_of_the_documents_is_answered():
    """26 of 49 were; a statement about a model is answered like every other about it."""
    assert (len(MODELS), len(KEYS)) == (58, 49)
    answers = {row.key: answer_to(row) for row in MODELS}
    counted = {answer: sum(one is answer for one in answers.values()) for answer in Answer}
    assert counted == {
        Answer.CATALOG: 17,
        Answer.COUNT: 18,
        Answer.PARTS: 3,
        Answer.LARGEST: 11,
    }
    assert all(answer_to(row) is None for row in systems() if row.kind == "chip")


@pytest.mark.parametrize("key", [key for key in KEYS if unpublished(key) is None])
def test_a_system_answers_with_a_row_for_each_size(capsys, key):
    code, out, _ = run(capsys, key, "--on", "m4", "--format", "jsonl")
    assert code == 0
    meant = next((row.meant for row in MODELS if row.key == key and row.meant), (key,))
    rows = [json.loads(line) for line in out.splitlines()]
    assert [row["model"] for row in rows] == list(meant)


def test_two_sizes_of_one_system_and_why_they_are_meant(capsys):
    code, out, _ = run(capsys, "gemini-nano", "--on", "galaxy-s24", "--format", "json")
    rows = json.loads(out)
    assert (code, [row["parameters"] for row in rows]) == (0, [1_800_000_000, 3_250_000_000])
    assert any("2312.11805" in note for note in rows[0]["notes"])
    _, out, _ = run(capsys, "hyperclova-x", "--on", "galaxy-s24")
    assert "SEED" in out
    _, out, _ = run(capsys, "carbon-villain", "--on", "m4", "--format", "json")
    assert json.loads(out)[0]["parameters"] == 10_731_524_096


def test_a_model_without_a_count_is_answered_by_what_could_run(capsys):
    """Per level: what fits, what reaches 5 and 20 tokens a second; less at more bits."""
    code, out, _ = run(capsys, "sora", "--on", "m4", "--format", "json")
    assert code == 0
    rows = json.loads(out)
    assert [row["limits"] for row in rows] == [[], ["decode>=5"], ["decode>=20"]] * 3
    assert [row["level"] for row in rows[::3]] == ["int4", "int8", "fp16"]
    assert {tuple(row["systems"]) for row in rows} == {("sora",)}
    fitting = [row["parameters_centre"] for row in rows[::3]]
    assert fitting == sorted(fitting, reverse=True)
    code, out, _ = run(capsys, "sora,gpt-4v", "--on", "rpi5", "--quant", "int4")
    assert code == 0
    assert "Sora: no parameter count was ever published, and it makes videos." in out
    assert "GPT-4V: no parameter count was ever published." in out


def test_its_own_limits_take_the_place_of_the_usual_ones(capsys):
    words = ("reka-core", "--on", "m4", "--quant", "int8", "--require", "decode>=7")
    _, out, _ = run(capsys, *words, "--format", "json")
    assert [(row["level"], row["limits"]) for row in json.loads(out)] == [("int8", ["decode>=7"])]


def test_what_makes_images_is_no_text_transformer(capsys):
    """8e9 parameters at 5 bits are 5e9 bytes; no rate is estimated."""
    code, out, _ = run(capsys, "stable-diffusion-3", "--on", "rpi5", "--quant", "int4")
    assert code == 0
    assert "makes images: it is no text transformer" in out
    assert "tok/s" not in out
    _, out, _ = run(capsys, "sd3-turbo", "--on", "rpi5", "--quant", "int4", "--format", "json")
    first = json.loads(out)[0]
    assert (first["parameters"], first["weights_bytes"]) == (8 * 10**9, 5 * 10**9)
    assert first["fits"]
    _, out, _ = run(capsys, "karlo", "--on", "m4", "--quant", "int4", "--format", "csv")
    assert len(list(csv.DictReader(io.StringIO(out)))) == 3


def test_other_models_beside_one_without_a_count_are_drawn_too(capsys):
    code, out, _ = run(capsys, "sora,smollm2-135m", "--on", "rpi5", "--quant", "int4")
    assert code == 0
    assert "no parameter count was ever published" in out
    assert "model smollm2-135m" in out


def test_the_list_of_systems_says_how_each_is_answered(capsys):
    assert main(["models", "--source", "seeds", "--format", "json"]) == 0
    rows = {row["key"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["meta-ai"]["models"] == ["llama-3-8b", "llama-3-70b"]
    assert rows["meta-ai"]["answer"] == "catalog"
    assert rows["sora"]["answer"] == "largest"
    assert rows["karlo-2.0"]["answer"] == "parts"
    assert rows["h100"]["answer"] is None
    assert main(["models", "--source", "seeds"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["key", "kind", "parameters", "answer"]
    assert max(map(len, lines)) <= 78
    assert ["sora", "model", "–", "largest"] in [line.split() for line in lines]
