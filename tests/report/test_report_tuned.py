"""What `bench tune` draws of its entries: code for each provider, and files without an end."""

import json
from dataclasses import replace

import pytest
from msgspec import structs

from harness.report.tuned import draw_tuned, notes, python_code, sentence
from harness.results.entries import HeatEntry, TuneEndEntry, TuneEntry, TuneSetting, TurnPlan
from harness.results.environment import MachineFacts
from harness.results.replies import WatchInterval
from harness.results.schema import Cell
from harness.runner.tuning.search import CONFIRMATION, UNTRIED
from harness.runner.tuning.standings import Tuned, standings

DEFAULT = TuneSetting(threads=2, level="int4")
BLOCKS = TuneSetting(
    threads=2,
    level="int4",
    session_options=(("enable_mem_pattern", "0"), ("session.dynamic_block_base", "4")),
)
SLOW = TuneSetting(threads=1, level="int4")
BUSY = WatchInterval(wall_ns=10**9, processors=2, background_cpu_ns=10**9, steal_ns=0)


def cell(device="cpu", model="m"):
    return Cell(
        model=model, parameters=1, level="int4", device=device, provider="", runtime="ort",
        workload="tg8 @ d0", prompt=0, gen=8, depth=0, batch=1, threads=2, weights="seeded",
    )  # fmt: skip


def heat(stage, rung, settings, values, **other):
    return HeatEntry(stage=stage, rung=rung, settings=settings, values=values, seconds=1.0, **other)


def tuned(heats=(), end=None, **of_cell):
    header = TuneEntry(
        created_utc="", method_version=2, environment=MachineFacts(), digest="",
        cell=cell(**of_cell), metric="decode_step_tok_s", default=DEFAULT,
        candidates=(BLOCKS, SLOW), budget_s=180.0,
        turns=TurnPlan(0.1, 0.3, 600.0, 0),
    )  # fmt: skip
    return Tuned(header, tuple(heats), end)


SEARCHED = heat(0, 0, (DEFAULT, BLOCKS, SLOW), ((10.0,) * 6, (11.0,) * 6, (5.0,) * 6), watch=BUSY)
PAIRS = [heat(CONFIRMATION, n, (DEFAULT, BLOCKS), ((10.0,) * 3, (11.0,) * 3)) for n in range(5)]
END = TuneEndEntry(winner=BLOCKS, ratio=1.1, low=1.05, high=1.15, pairs=5, ended="precision")


def test_candidates_and_what_became_of_them():
    found = standings(tuned([SEARCHED, *PAIRS], END))
    assert [(one.setting, one.turns, one.outcome) for one in found] == [
        (BLOCKS, 6, "ahead: taken on"),
        (SLOW, 6, "slower"),
    ]
    assert [one.ratio for one in found] == pytest.approx([1.1, 0.5])
    lost = replace_lost(SEARCHED, {1: "it broke"})
    assert [one.outcome for one in standings(tuned([lost]))] == ["slower", "it broke"]


def replace_lost(one, lost):
    values = tuple(() if place in lost else values for place, values in enumerate(one.values))
    return heat(one.stage, one.rung, one.settings, values, lost=tuple(lost.items()))


def test_who_was_tried_first_in_fresh_pairs_is_named():
    first = [heat(CONFIRMATION, n, (DEFAULT, SLOW), ((10.0,) * 3, (8.0,) * 3)) for n in range(5)]
    found = tuned([SEARCHED, *first, *PAIRS], END)
    assert found.ratios == pytest.approx([1.1] * 5)
    (line,) = [one for one in notes(found) if "also tried" in one]
    assert SLOW.beyond(DEFAULT) in line
    kept = TuneEndEntry(winner=DEFAULT, ratio=0.8, low=0.8, high=0.8, pairs=5, ended="slower")
    assert tuned([SEARCHED, *first, *PAIRS], kept).ratios == pytest.approx([0.8] * 5)
    assert tuned([SEARCHED, *first, *PAIRS[:3]]).ratios == pytest.approx([1.1] * 3)


def test_the_sentence_says_what_to_do():
    assert sentence(tuned([SEARCHED, *PAIRS], END)) == (
        "enable_mem_pattern=0, session.dynamic_block_base=4: 1.100 times as fast as the default,"
        " 95 % interval 1.050 to 1.150, 5 fresh pairs of processes"
    )
    undecided = TuneEndEntry(winner=DEFAULT, ratio=1.1, low=0.9, high=1.3, pairs=20, ended="pairs")
    assert sentence(tuned([SEARCHED, *PAIRS], undecided)).startswith(
        "no setting is shown to be faster than the default: keep it (enable_mem_pattern=0"
    )
    busy = structs.replace(END, winner=DEFAULT, busy=True)
    assert sentence(tuned([SEARCHED, *PAIRS], busy)).startswith(
        "others used the processors, which decides nothing: keep the default"
    )
    lost = TuneEndEntry(winner=DEFAULT, ended="lost")
    assert sentence(tuned([SEARCHED], lost)).endswith("did not run again as it had")
    assert "20 pairs are the most" in " ".join(notes(tuned([SEARCHED], undecided)))


def test_a_killed_search_says_what_it_has():
    found = notes(tuned([SEARCHED, *PAIRS]))
    assert any(line.startswith("pairs so far: 1.100, 1.100") for line in found)
    assert any("95 % interval 1.100 to 1.100" in line for line in found)
    assert "not finished" in sentence(tuned([SEARCHED]))
    assert draw_tuned(tuned(), "csv") == ""
    assert notes(tuned()) == []  # nothing has a ratio yet
    assert "keep the default" in draw_tuned(tuned(), "table")


def test_pairs_beyond_the_budget_are_told():
    """The search took 179 s of 180, each of five pairs 3 s."""
    pairs = [structs.replace(one, seconds=3.0) for one in PAIRS]
    found = notes(tuned([structs.replace(SEARCHED, seconds=179.0), *pairs], END))
    assert any(line.startswith("took 194 s of turns where the budget was 180 s") for line in found)
    assert not any("budget" in line for line in notes(tuned([SEARCHED, *PAIRS], END)))


def test_what_was_not_tried_stands_in_one_line():
    late = replace_lost(SEARCHED, {2: UNTRIED})
    drawn = draw_tuned(tuned([late]), "table")
    assert "not tried within the budget, which a longer one does: 1 thread" in drawn
    assert "1 thread  " not in drawn
    assert UNTRIED in draw_tuned(tuned([late]), "csv")


def test_others_that_used_the_processors_are_told():
    assert "others used 50.0% of the processors meanwhile" in notes(tuned([SEARCHED]))


def test_code_sets_attributes_and_entries():
    code = python_code(tuned([SEARCHED, *PAIRS], END))
    assert "options.enable_mem_pattern = False" in code
    assert 'options.add_session_config_entry("session.dynamic_block_base", "4")' in code
    assert 'providers = [("CPUExecutionProvider", {})]' in code
    assert '# or: harness.load("m", level="int4", threads=2, session_options=' in code
    compile(code, "pasted", "exec")


def test_code_of_a_device_has_its_provider_and_its_options():
    given = TuneSetting(threads=2, level="int4", provider_options=(("powerPreference", "x"),))
    end = TuneEndEntry(winner=given)
    plugin = python_code(tuned([], end, device="webgpu:1"))
    assert 'd.ep_name == "WebGpuExecutionProvider"' in plugin
    assert 'options.add_provider_for_devices(devices[1:2], {"powerPreference": "x"})' in plugin
    assert "harness.load" not in plugin
    second = python_code(tuned([], end, device="cuda:1"))
    assert '("CUDAExecutionProvider", {"device_id": "1", "powerPreference": "x"})' in second
    built_in = python_code(tuned([], end, device="coreml-gpu"))
    assert '("CoreMLExecutionProvider", {"ModelFormat": "MLProgram", ' in built_in
    for code in (plugin, built_in):
        compile(code, "pasted", "exec")


def test_names_from_files_end_no_line_and_no_string():
    code = python_code(tuned([], END, model='x"\nimport os'))
    compile(code, "pasted", "exec")
    assert "\nimport os" not in code
    assert json.loads(draw_tuned(tuned([SEARCHED], END, model="a|b"), "json"))["model"] == "a|b"
    assert "a\\|b" in draw_tuned(tuned([SEARCHED], END, model="a|b"), "md")
    assert replace(tuned(), end=END).winner == BLOCKS
