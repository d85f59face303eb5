"""`bench models MODEL`: what an export turned out to be, before anything is measured."""

import json

import pytest

from harness.cli.main import main
from tests.exports import EXPORTS


def facts(capsys, *names):
    """The objects of the command's JSON."""
    assert main(["models", *map(str, names), "--format", "json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("name", "kind", "levels", "cache"),
    [
        ("genai/llama-int4", "decoder", ["int4"], "shared"),
        ("optimum/llama-past", "decoder", ["fp32", "int8", "int4"], "growing"),
        ("optimum/bert", "encoder", ["fp32", "int8", "int4"], "none"),
    ],
)
def test_an_export_is_described_by_its_files(capsys, name, kind, levels, cache):
    """Kind, true parameters, cache and levels, as the measured rows have them."""
    folder = EXPORTS / name
    (found,) = facts(capsys, folder)
    expected = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    assert found["kind"] == kind
    assert found["parameters"] == expected["parameters"]
    assert sum(row["parameters"] for row in found["stored"]) == expected["parameters"]
    assert found["bits_per_weight"] == 8 * found["weights_bytes"] / found["parameters"]
    assert (found["levels"], found["cache"]) == (levels, cache)
    assert str(EXPORTS) not in json.dumps(found)


def test_tests_are_those_of_the_usual_plan_or_a_reason(capsys):
    """The usual tests of a model are cut to its context, which holds 64 tokens here."""
    short, whole = facts(capsys, EXPORTS / "genai" / "llama-int4", "bytelm")
    assert short["tests"] == ["pp64", "tg32", "pg48+16"]
    assert short["refused"] is None
    assert whole["tests"][0].startswith("pp128")
    assert whole["refused"] is None


def test_models_stand_side_by_side_in_the_table(capsys):
    """One column each, built and exported; what neither has is no row."""
    assert main(["models", str(EXPORTS / "optimum" / "vit"), "smollm2-135m", "--format", "md"]) == 0
    out = capsys.readouterr().out
    lines = {line.split("|")[1].strip(): line for line in out.splitlines()}
    assert "vit" in lines["model"]
    assert "smollm2-135m" in lines["model"]
    assert "134,515,008" in lines["parameters"]
    assert "vision" in lines["kind"]
    assert "no tests, because" not in lines


def test_an_unknown_word_is_one_message(capsys):
    """The exit code of a wrong request, and the nearest name."""
    assert main(["models", "smollm2-135"]) == 2
    assert "smollm2-135m" in capsys.readouterr().err


def test_an_encoder_is_called_one_whatever_its_family(capsys):
    """BERT's layers are a matter of the estimate."""
    assert main(["models", "bge-reranker-v2-m3", "--format", "json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found["kind"] == "encoder"


def test_a_folder_without_a_name_is_called_as_it_was_typed(capsys):
    assert main(["models", "/"]) == 2
    assert "the folder '/' has no config.json" in capsys.readouterr().err
