"""Plan files and flags: what replaces what, and what is refused."""

import pytest

from harness.core.errors import UsageError
from harness.core.records import data_folder
from harness.runner.plan import make_plan
from harness.runner.settings import Settings, load_settings, read_plan


def write_plan(tmp_path, text):
    path = tmp_path / "plan.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "path", sorted(data_folder("configs").glob("*.toml")), ids=lambda p: p.stem
)
def test_every_shipped_plan_is_readable(path):
    assert isinstance(read_plan(path), Settings)


def test_flags_replace_keys(tmp_path):
    path = write_plan(tmp_path, 'quant = ["int8"]\nrounds = 7\n')
    settings = load_settings(str(path), quant=("int4",), rounds=None)
    assert (settings.quant, settings.rounds) == (("int4",), 7)


def test_one_workload_flag_replaces_all_workloads(tmp_path):
    path = write_plan(tmp_path, "prompt = [128]\ngen = [32]\npg = [[128, 32]]\n")
    settings = load_settings(str(path), prompt=(512,))
    assert (settings.prompt, settings.gen, settings.pg) == ((512,), (), ())


def test_the_tests_of_another_tool_lie_over_the_plan_and_under_flags(tmp_path):
    """`-p 2048` of llama-bench keeps tg128 and chunks of 512; so does `--prompt 2048` here."""
    path = write_plan(tmp_path, "prompt = [128]\ngen = [32]\npg = [[128, 32]]\ndepth = [7]\n")
    usual = load_settings(str(path), like="llama-bench")
    assert (usual.prompt, usual.gen, usual.pg, usual.depth) == ((512,), (128,), (), (0,))
    longer = load_settings(str(path), like="llama-bench", prompt=(2048,))
    assert (longer.prompt, longer.gen, longer.prefill_chunk) == ((2048,), (128,), (512,))
    with pytest.raises(UsageError, match="no tool is called 'lama-bench'"):
        load_settings(str(path), like="lama-bench")


def test_an_encoder_has_no_tests_of_a_tool_for_decoders():
    settings = load_settings("ci", model=("all-minilm-l6-v2",), like="llama-bench")
    with pytest.raises(UsageError, match="--like"):
        make_plan(settings, usable_threads=1)


def test_ranges_work_in_plan_files(tmp_path):
    assert read_plan(write_plan(tmp_path, 'prompt = ["8-32*2", 100]')).prompt == (8, 16, 32, 100)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("promt = [1]", "promt"),
        ("rounds = true", "rounds"),
        ('rounds = "5"', "rounds"),
        ("rounds = 1.5", "rounds"),
        ("prompt = [1.5]", "prompt"),
        ("model = []", "model"),
        ("model = [1.5]", "model"),
        ("pg = 5", "pg"),
        ("pg = [[1]]", "pg"),
        ('budget = "soon"', "budget"),
        ("rounds = 1\nrounds = 2", "plan.toml"),
        ("= 3", "plan.toml"),
    ],
)
def test_bad_plan_names_file_or_key(tmp_path, text, word):
    with pytest.raises(UsageError) as caught:
        read_plan(write_plan(tmp_path, text))
    assert word in caught.value.problem


@pytest.mark.parametrize("text", ["pg = [[1]]", 'prompt = ["8-"]'])
def test_a_bad_grid_in_a_plan_names_the_file(tmp_path, text):
    with pytest.raises(UsageError, match=r"plan\.toml"):
        read_plan(write_plan(tmp_path, text))


def test_a_name_given_twice_in_a_plan_counts_once(tmp_path):
    assert read_plan(write_plan(tmp_path, 'quant = ["int4", "int4"]')).quant == ("int4",)


def test_unknown_plan_offers_the_nearest():
    with pytest.raises(UsageError) as caught:
        load_settings("laddr")
    assert "sweep" in caught.value.fix


def test_parts_take_the_plan_and_replace_lists(tmp_path):
    text = 'gen = [8]\nrounds = 3\n[[part]]\ndepth = [7]\n[[part]]\nmodel = ["bytelm"]\n'
    settings = read_plan(write_plan(tmp_path, text))
    assert [part.depth for part in settings.parts] == [(7,), (0,)]
    assert [part.model for part in settings.parts] == [("smollm2-135m",), ("bytelm",)]
    assert {part.rounds for part in settings.parts} == {3}
    assert {part.gen for part in settings.parts} == {(8,)}


def test_a_pinned_row_is_the_device_unless_one_is_named():
    assert load_settings(None, ep=("webgpu",)).device == ("webgpu",)
    assert load_settings(None, ep=("webgpu",), device=("gpu",)).device == ("gpu",)


def test_flags_go_over_every_part(tmp_path):
    text = "[[part]]\ngen = [8]\n[[part]]\nprompt = [16]\n"
    settings = load_settings(str(write_plan(tmp_path, text)), prompt=(32,), quant=("int4",))
    assert {(part.prompt, part.gen, part.quant) for part in settings.parts} == {
        ((32,), (), ("int4",))
    }


@pytest.mark.parametrize("text", ["part = 3", "[part]\ngen = [1]", "[[part]]\nrounds = 3"])
def test_a_bad_part_is_refused(tmp_path, text):
    with pytest.raises(UsageError, match=r"part|rounds"):
        read_plan(write_plan(tmp_path, text))
