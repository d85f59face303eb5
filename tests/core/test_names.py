"""What is said of a name that nothing has: one function, for names of every kind."""

import pytest

from harness.analysis.axis_words import axis_field
from harness.analysis.compare_sides import find_compared
from harness.analysis.gate import parse_gate
from harness.builder.quantize.levels import find_cache, find_level
from harness.cli.main import main
from harness.core.errors import EXIT_USAGE, FEW_NAMES, UsageError, nearest, suggestion
from harness.devices.table import find_row
from harness.models.catalog.catalog import catalog_model
from harness.models.catalog.devices import catalog_device
from harness.results.glossary import explain
from harness.runner.settings import flag_values, load_settings
from harness.runner.settings.load import find_plan


def test_a_name_far_behind_the_best_was_not_meant():
    """`cpuu` is 6/7 like `cpu`, and 4/7 like `npu`."""
    assert nearest("cpuu", ("npu", "cpu", "gpu")) == ("cpu",)


def test_case_and_underscores_are_no_difference():
    assert nearest("INT4_B128", ("int4", "int4-b128")) == ("int4-b128",)


def test_few_names_stand_beside_the_guess():
    assert suggestion("quik", ("quick", "default")) == "did you mean quick? known: quick, default"


def test_many_names_are_listed_only_where_none_is_near():
    many = tuple(f"word{number}" for number in range(FEW_NAMES + 1))
    assert suggestion("word99", many).startswith("did you mean word9")
    assert "known" not in suggestion("word99", many)
    assert suggestion("§", many) == f"known: {', '.join(many)}"


@pytest.mark.parametrize(
    ("look_up", "meant"),
    [
        (lambda: find_level("int4-b12"), "int4-b128"),
        (lambda: find_cache("int88", find_level("int4")), "int8"),
        (lambda: find_row("cudaa"), "cuda"),
        (lambda: catalog_model("smollm2-135n"), "smollm2-135m"),
        (lambda: catalog_device("galaxy-s24x"), "galaxy-s24"),
        (lambda: find_compared(("decode_tok",)), "decode_tok_s"),
        (lambda: parse_gate("slowr:3%"), "slower"),
        (lambda: axis_field("qant"), "quant"),
        (lambda: explain("ttft_mss"), "ttft_ms"),
        (lambda: find_plan("sweeep"), "sweep"),
        (lambda: load_settings(None, preset="quik"), "quick"),
        (lambda: flag_values({"promt": "8"}), "prompt"),
    ],
)
def test_every_kind_of_name_is_answered_with_what_was_meant(look_up, meant):
    with pytest.raises(UsageError) as caught:
        look_up()
    assert f"did you mean {meant}" in caught.value.fix


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (["comprae"], "compare"),
        (["run", "--qant", "int4"], "--quant"),
        (["--modle", "bytelm"], "--model"),
        (["compare", "a", "--toleranc", "3%"], "--tolerance"),
        (["run", "--format", "tabel"], "table"),
        (["run", "--preset", "rigorus"], "rigorous"),
        (["estimate", "bytelm", "--on", "cpu", "--engine", "cpuu"], "cpu"),
    ],
)
def test_commands_options_and_their_words_are_answered_alike(arguments, meant, capsys):
    assert main(arguments) == EXIT_USAGE
    problem, fix = capsys.readouterr().err.splitlines()
    assert f"did you mean {meant}" in fix
    assert "did you mean" not in problem.lower()
