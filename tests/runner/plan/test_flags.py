"""The table of flags: each row makes an option, a plan key and a keyword that mean the same."""

import re
from dataclasses import fields

import click
import pytest

from harness.cli.ab import command as ab
from harness.cli.audit import command as audit
from harness.cli.flags import FlagOption
from harness.cli.main import main
from harness.cli.run import command as run
from harness.cli.validate_estimates import command as validate
from harness.core.errors import EXIT_USAGE, UsageError
from harness.core.records import read_table
from harness.runner.plan import make_plan
from harness.runner.settings import FLAGS, PART_KEYS, PRESETS, Settings, flag_values, flags_of
from harness.runner.settings.flags import PLAN_KEYS, flag, plan_values
from harness.runner.settings.keywords import RunFlags
from harness.runner.settings.load import load_settings, shipped_plans

KEYED = [row for row in FLAGS if row.in_plan]


def test_a_row_for_every_field_and_keyword_and_no_other():
    assert {field.name for field in fields(Settings)} == {*PLAN_KEYS, "given", "part"}
    assert set(RunFlags.__annotations__) == set(PLAN_KEYS)
    assert len({row.option for row in FLAGS}) == len(FLAGS)


@pytest.mark.parametrize("row", KEYED, ids=lambda row: row.key)
def test_the_examples_of_a_row_mean_something(row, tmp_path):
    """What stands in docs/plans.md and in errors is read, as a flag and as a key."""
    path = tmp_path / "plan.toml"
    path.write_text(f"{row.key} = {row.in_plan}\n")
    (value,) = plan_values(read_table(path), PLAN_KEYS, "plan").values()
    if row.example:
        given = (row.example,) if row.is_multiple else row.example
        assert flag_values({row.key: given})[row.key] is not None
    assert isinstance(value, type(row.default)) or row.default is None


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("model", "bytelm,llama-3.2-1b"),
        ("prompt", "128,512"),
        ("pg", "128,16"),
        ("enc", "128x1,128x8"),
        ("dim", "batch=1"),
        ("threads", "1,2,all"),
        ("budget", "5m"),
        ("precision", "5%"),
        ("max_rounds", "30"),
        ("interleave", "turns"),
        ("reference", "smollm2-360m"),
    ],
)
def test_the_example_of_a_flag_is_that_of_its_key(key, text, tmp_path):
    row = flag(key)
    path = tmp_path / "plan.toml"
    path.write_text(f"{key} = {row.in_plan}\n")
    assert row.example == text
    assert flag_values({key: text}) == plan_values(read_table(path), PLAN_KEYS, "plan")


@pytest.mark.parametrize("command", [run, ab, audit], ids=lambda command: command.name)
def test_a_command_has_the_options_of_its_rows(command):
    made = [param for param in command.params if isinstance(param, FlagOption)]
    assert [param.name for param in made] == [row.key for row in flags_of(command.name)]


def test_a_variant_has_what_a_part_may_have():
    assert set(PART_KEYS) <= {row.key for row in flags_of("ab")}


def test_a_command_may_say_what_a_flag_means_to_it():
    (option,) = [param for param in validate.params if isinstance(param, FlagOption)]
    assert option.opts == ["--config"]
    assert "validate" in option.help


def test_the_help_has_every_flag_under_its_heading(capsys):
    assert main(["run", "--help"]) == 0
    text = capsys.readouterr().out
    for row in flags_of("run"):
        assert f"  {row.option} " in text
        assert f"\n{row.group}:\n" in text


def test_the_help_names_every_shipped_plan():
    for name in shipped_plans():
        assert name in flag("plan").help


def test_presets_hold_keys_and_their_values():
    for values in PRESETS.values():
        assert plan_values(values, PLAN_KEYS, "preset") == values


@pytest.mark.parametrize(
    ("arguments", "problem", "fix"),
    [
        (["--rounds", "x"], "--rounds 'x' must be a whole number", "--rounds 3"),
        (
            ["--prompt", "8-"],
            "--prompt '8-' is not a whole number without a sign, or a range",
            "--prompt 128,512",
        ),
        (["--budget", "soon"], "--budget 'soon' is not a time", "--budget 60s or 5m"),
        (["--precision", "5x"], "--precision is '5x', which is no number", "3% or 0.03"),
        (["--dim", "batch"], "--dim 'batch' must be a name and a size", "--dim batch=1"),
        (["--model", ""], "--model '' has an empty name", "--model one,two"),
    ],
)
def test_a_wrong_flag_is_named_with_its_value_and_a_right_one(arguments, problem, fix, capsys):
    assert main(["run", *arguments, "--dry-run"]) == EXIT_USAGE
    said, way_out = capsys.readouterr().err.splitlines()
    assert problem in said
    assert fix in way_out


@pytest.mark.parametrize(
    ("flags", "problem", "fix"),
    [
        ({"rounds": True}, "--rounds True must be a whole number", "bench run --rounds 5"),
        ({"prompt": 1.5}, "--prompt 1.5 must be numbers, or ranges", "bench run --prompt 128,512"),
        ({"quality": "yes"}, "--quality 'yes' must be true or false", "quality=True"),
        ({"interleave": "turn"}, "--interleave 'turn' is none of its words", "mean turns?"),
        ({"model": []}, "--model [] has no name", "names"),
    ],
)
def test_a_wrong_keyword_is_named_with_its_value_and_a_right_one(flags, problem, fix):
    with pytest.raises(UsageError) as caught:
        flag_values(flags)
    assert problem in caught.value.problem
    assert fix in caught.value.fix


@pytest.mark.parametrize("kind", ["model", "threads"])
def test_commas_split_a_flag_and_not_a_plan(kind):
    """A path of a plan may have a comma."""
    assert flag_values({kind: "a,b"}) == {kind: ("a", "b")}
    assert plan_values({kind: "a,b"}, PLAN_KEYS, "plan") == {kind: ("a,b",)}


def test_an_option_is_no_switch_by_accident():
    for param in run.params:
        if isinstance(param, FlagOption):
            assert param.is_flag == flag(param.name).is_switch
            assert isinstance(param, click.Option)


# What says how, how long or beside what is measured; the others say which cells there are.
NOT_OF_CELLS = {
    "require",
    *("seed", "rounds", "budget", "precision", "cooldown", "interleave", "sustain", "timeout"),
    *(
        "start_below",
        "warm_seconds",
        "sample_seconds",
        "min_passes",
        "calibrate",
        "profile",
        "quality",
        "tasks",
    ),
    *("sensitivity", "reference", "allow_simulated", "allow_fallback", "device", "model", "ep"),
    "telemetry",
}
# Examples that are the usual value, or none that the model has.
OTHERS = {"gen": "7", "threads": "1", "quant": "fp32", "enc": "7x1", "depth": "8", "pg": ("7,8",)}
OTHERS |= {"turns": "2x8+4"}  # the example is longer than the context of a model


@pytest.mark.parametrize("model", ["bytelm", "all-minilm-l6-v2"])
@pytest.mark.parametrize(
    "row", [row for row in KEYED if row.key not in NOT_OF_CELLS], ids=lambda row: row.key
)
def test_a_given_flag_changes_the_cells_or_is_refused_by_its_name(row, model):
    """So that no flag, and none that is still to come, is dropped without a word."""
    given = OTHERS.get(row.key, (row.example,) if row.is_multiple else row.example)
    usual = make_plan(load_settings("ci", model=(model,)), usable_threads=2)
    flags = flag_values({"model": model, row.key: given})
    refused, plan = "", usual
    try:
        plan = make_plan(load_settings("ci", **flags), usable_threads=2)
    except UsageError as error:
        refused = error.problem
    assert plan.groups != usual.groups or re.search(rf"{row.option}\b", refused)


@pytest.mark.parametrize(
    ("flags", "problem", "fix"),
    [
        ({"max_rounds": "9"}, "--max-rounds says nothing without --precision", "--precision 5%"),
        ({"text": "korean"}, "--text says nothing without --quality", "give --quality too"),
        ({"pg": ("8,4",), "depth": "8"}, "--depth is of prefill and decode tests", "--gen 32"),
        ({"model": "all-minilm-l6-v2", "kv_cache": "int8"}, "keeps no cache", "leave --kv-cache"),
    ],
)
def test_a_flag_that_goes_with_another_one_is_refused_without_it(flags, problem, fix):
    values = flag_values({"model": "bytelm", **flags})
    with pytest.raises(UsageError, match=problem) as caught:
        make_plan(load_settings("ci", **values), usable_threads=2)
    assert fix in caught.value.fix


def test_a_flag_with_the_one_that_it_goes_with_is_taken():
    for flags in (
        {"max_rounds": "9", "precision": "5%"},
        {"text": "korean", "reference": "bytelm"},
    ):
        values = flag_values({"model": "bytelm", **flags})
        assert make_plan(load_settings("ci", **values), usable_threads=2).groups
