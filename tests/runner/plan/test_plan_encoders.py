"""Which tests an encoder runs, and which it refuses."""

from dataclasses import replace

import pytest

from harness.core.errors import UsageError
from harness.runner.plan import make_plan
from harness.runner.settings import Settings, flag_values, load_settings, read_plan

ENCODER, DECODER = "all-minilm-l6-v2", "smollm2-135m"
SMALL = Settings(model=(ENCODER,), quant=("int4",), prompt=(128,))


def runs_of(settings):
    """Model -> names of its tests."""
    groups = make_plan(settings, 1).groups
    return {group.source.name: [test.name for test in group.workloads] for group in groups}


def flags(**given):
    return load_settings(None, **flag_values({"quant": "int4", **given}))


def test_an_encoder_runs_the_usual_tests_where_none_is_named():
    assert runs_of(SMALL) == {ENCODER: ["enc128x1", "enc128x8"]}


def test_each_kind_of_model_runs_its_own_tests():
    settings = replace(SMALL, model=(ENCODER, DECODER), enc=((32, 2),))
    assert runs_of(settings) == {ENCODER: ["enc32x2"], DECODER: ["pp128 @ d0"]}


def test_the_batch_of_a_plan_is_that_of_decoders():
    """An encoder keeps nothing between passes: its batch stands in the test, not in the session."""
    plan = make_plan(replace(SMALL, model=(ENCODER, DECODER), batch=(1, 4)), 1)
    assert [group.batch for group in plan.groups] == [1, 1, 4]
    assert [group.capacity_tokens for group in plan.groups] == [1, 128, 128]


def test_flags_of_decoders_leave_an_encoder_its_usual_tests():
    found = runs_of(flags(model=f"{ENCODER},{DECODER}", gen="8"))
    assert found == {ENCODER: ["enc128x1", "enc128x8"], DECODER: ["tg8 @ d0"]}


def test_the_flag_of_encoders_leaves_decoders_those_of_the_plan():
    found = runs_of(flags(model=f"{ENCODER},{DECODER}", enc="64x4,32"))
    assert found[ENCODER] == ["enc64x4", "enc32x1"]
    assert found[DECODER] == ["pp128 @ d0", "tg32 @ d0", "pg128+16 @ d0"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"model": DECODER, "enc": "128x1"}, "enc tests are for encoders; smollm2-135m is none"),
        ({"model": ENCODER, "prompt": "128"}, "for decoders; all-minilm-l6-v2 is none"),
        ({"model": ENCODER, "enc": "513x1"}, "built for 512"),
        ({"model": ENCODER, "enc": "0x1"}, "--enc 0 is below 1"),
        ({"model": ENCODER, "enc": "128x0"}, "--enc 0 is below 1"),
    ],
)
def test_tests_that_fit_no_model_are_refused(given, message):
    with pytest.raises(UsageError, match=message):
        make_plan(flags(**given), 1)


@pytest.mark.parametrize("text", ["128y1", "x1", "128x1x", "", "128,x"])
def test_a_slip_in_a_test_is_named(text):
    with pytest.raises(UsageError, match="not a length and a batch"):
        flags(model=ENCODER, enc=text)


@pytest.mark.parametrize("value", ['"64x2,32x1"', '["64x2", "32x1"]', "[[64, 2], [32, 1]]"])
def test_a_plan_file_names_tests_in_three_ways(tmp_path, value):
    path = tmp_path / "plan.toml"
    path.write_text(f'model = ["{ENCODER}"]\nenc = {value}\n')
    assert read_plan(path).enc == ((64, 2), (32, 1))


def test_a_part_may_name_encoder_tests(tmp_path):
    path = tmp_path / "plan.toml"
    path.write_text(
        f'quant = ["int4"]\n[[part]]\nmodel = ["{ENCODER}"]\nenc = ["16x1"]\n'
        f'[[part]]\nmodel = ["{DECODER}"]\nprompt = [16]\n'
    )
    settings = read_plan(path)
    assert runs_of(settings) == {ENCODER: ["enc16x1"], DECODER: ["pp16 @ d0"]}
    plan = make_plan(settings, 1).as_asked()
    assert [part.enc for part in plan.part] == [((16, 1),), None]
