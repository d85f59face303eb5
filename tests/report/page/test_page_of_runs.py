"""The page of runs: values of the table, what was wrong, what is missing, how it is repeated."""

import re
from itertools import pairwise

import pytest
from msgspec import structs

from harness.report.page.repeat import plan_toml
from harness.report.page.runs import Refused, runs_of
from harness.report.render import summary
from harness.report.rows import make_rows
from harness.results.enums import Status
from harness.results.schema import Reason, Trust
from harness.runner.settings import read_plan
from harness.runner.settings.flags import PLAN_KEYS
from tests.report.page.pages import STORED, drawn, sources, stored, table_of, words_of
from tests.report.report_documents import ENVIRONMENT, document, failed, group, sweep

HOSTILE = {
    "script": "<script>window.hit=1</script>",
    "attribute": '"onload="window.hit=1" x="',
    "end": "</script></style></textarea>-->",
    "address": "javascript:window.hit=1",
    "template": "{{7*7}}{% for x in y %}",
    "lines": "a\n\u2028b\u202ec\x00",
    "bytes": "caf\udce9",
    "long": "x" * 5000,
}


def tags(page):
    """Every element with the names of its attributes, in order."""
    return [(element.tag, tuple(element.keys())) for element in page.iter()]


@pytest.mark.parametrize("path", STORED, ids=lambda path: path.stem)
def test_the_table_has_the_values_of_the_wide_one(path):
    page = drawn(stored(path))
    header, cells = summary(make_rows(stored(path).records))
    heads, rows = table_of(page, "results")
    places = [heads.index(name) for name in header]
    assert [[row[place] for place in places] for row in rows] == cells


@pytest.mark.parametrize("path", STORED, ids=lambda path: path.stem)
def test_a_page_is_sound_and_leads_nowhere_else(path):
    """One of each name, links to them, headings without gaps, no address of another place."""
    page = drawn(stored(path))
    names = page.xpath("//@id")
    assert len(names) == len(set(names))
    for attribute in ("href", "data-tip", "aria-describedby", "aria-labelledby"):
        for value in page.xpath(f"//@{attribute}"):
            assert value == "data:," or value.removeprefix("#") in names
    assert page.xpath("//@src | //@action | //@style | //*[starts-with(name(), 'on')]") == []
    levels = [int(element.tag[1]) for element in page.iter("h1", "h2", "h3", "h4")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert page.get("lang") == "en"
    assert page.xpath("//title")[0].text_content()


def test_every_head_of_the_main_table_says_what_it_means_to_eyes_and_ears():
    page = drawn(stored(STORED[0]))
    for button in page.xpath('//*[@id="results"]//thead//button'):
        (meaning,) = page.xpath(f'//*[@id="{button.get("aria-describedby")}"]')
        assert button.get("data-tip") == button.get("aria-describedby")
        assert len(meaning.text_content()) > 10


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_name_changes_no_element_and_no_attribute(name):
    """As model, level, processor, reason, package and file, beside the same page with tame ones."""

    def page(word):
        doubt = Trust(grade="C", reasons=(Reason(code=word, detail=word),))
        records = [
            *group(model=word, level=word, level_label=word, trust=doubt),
            *group(),
            failed("tg32", word, model=word, device=word),
        ]
        machine = {**ENVIRONMENT, "cpu_model": word, "os": word, "packages": {"onnxruntime": word}}
        plan = {"model": [word], "text": word, "rounds": 5}
        run = document(*records, environment=machine, plan=plan)
        return drawn(run, refused=[Refused(word, word, word)])

    assert tags(page(name)) == tags(page("tame"))


def test_hostile_names_are_read_as_they_are():
    name = HOSTILE["script"]
    page = drawn(document(*group(model=name), *group(model="other")))
    _, rows = table_of(page, "results")
    assert rows[0][0] == name
    assert page.xpath("//title")[0].text_content() == "2 models on AMD EPYC"


def test_what_failed_is_named_with_its_reason_and_leads_there():
    page = drawn(sweep())
    heads, rows = table_of(page, "lacks")
    assert heads == ["what", "how", "why"]
    assert rows == [
        ["smollm2-135m int4 pp128 @ d0 2 threads", "crashed", "it died; try: less"],
        ["smollm2-135m int4 tg32 @ d0 2 threads", "crashed", "it died; try: less"],
    ]
    heads, rows = table_of(page, "results")
    assert [row[heads.index("measured")] for row in rows] == ["yes", "yes", "all 2 failed"]
    assert page.xpath('//*[@id="results"]//a[@href="#missing"]')
    assert "2 things are without a number" in words_of(page, "summary")


def test_numbers_that_may_not_be_shown_stand_among_what_was_not_measured():
    bad = Trust(grade="INVALID", reasons=(Reason(code="NON_FINITE", detail="3 of 9 are NaN"),))
    page = drawn(document(*group(bad), *group(level="fp32")))
    _, rows = table_of(page, "lacks")
    assert ["INVALID", "measured, and not shown: NON_FINITE: 3 of 9 are NaN"] in [
        row[1:] for row in rows
    ]
    heads, rows = table_of(page, "results")
    assert rows[0][heads.index("trust")] == "INVALID"
    assert rows[0][heads.index("tg32 tok/s")] == "–"


def test_a_file_that_was_not_read_is_named_with_a_way_out():
    refused = Refused("new.json", "its format 9 is newer than 2", "upgrade the harness")
    page = drawn(sweep(), refused=[refused])
    _, rows = table_of(page, "lacks")
    assert ["new.json", "not read"] in [[row[0], row[2]] for row in rows]
    assert "its format 9 is newer than 2; try: upgrade the harness" in words_of(page, "lacks")


def test_reasons_below_a_are_counted_and_explained():
    page = drawn(stored(STORED[0]))
    heads, rows = table_of(page, "doubts")
    assert rows[0][heads.index("reason")] == "WIDE_INTERVAL"
    assert rows[0][heads.index("records")] == "6 of 6"
    assert "interval" in rows[0][heads.index("what it means")]
    assert "Of 6 measured records: 6 C." in words_of(page, "trust")


def test_records_that_failed_have_no_grade_to_count():
    lost, *others = stored(STORED[0]).records
    lost = structs.replace(lost, status=Status.CRASHED, reason="killed")
    page = drawn(structs.replace(stored(STORED[0]), records=(lost, *others)))
    assert "Of 5 measured records: 5 C." in words_of(page, "trust")


def test_machines_stand_side_by_side_each_with_its_own_peaks():
    one = document(*group(level="fp32"), *group())
    peaks = [{"threads": 4, "bytes_per_s": 51e9, "processes": []}]
    other = structs.replace(
        document(*group(), environment={"cpu_model": "M9", "read_bandwidth": peaks}),
        run_id="run-b",
    )
    page = drawn(one, other)
    heads, rows = table_of(page, "facts")
    assert heads == ["fact", "AMD EPYC", "M9"]
    assert ["memory read in this run, 2 threads", "9.90 GB/s", "–"] in rows
    assert ["memory read in this run, 4 threads", "–", "51.0 GB/s"] in rows
    facts = [row[0] for row in rows]
    assert facts[0] == "processor"
    assert facts.index("memory read in this run, 4 threads") < facts.index("onnxruntime")
    heads, rows = table_of(page, "results")
    assert [row[heads.index("machine")] for row in rows] == ["AMD EPYC", "AMD EPYC", "M9"]
    assert "run" not in heads


def test_two_machines_with_one_processor_are_told_apart_and_two_runs_of_one_too():
    run = document(*group())
    larger = structs.replace(run.environment, memory_bytes=2**34)
    again = structs.replace(run, run_id="run-20270101-000000-beef")
    found = runs_of(sources(run, again, structs.replace(run, environment=larger)))
    assert [one.machine for one in found] == ["AMD EPYC", "AMD EPYC", "AMD EPYC (2)"]
    assert [one.label for one in found] == [
        "AMD EPYC, 20261122-101500-1a2b",
        "AMD EPYC, 20270101-000000-beef",
        "AMD EPYC (2)",
    ]


def test_levels_are_weighed_beside_those_of_their_own_run():
    """Two equal sweeps of two machines: each has the front that it has alone."""
    (path,) = (path for path in STORED if path.stem == "sweep-bytelm")
    run = stored(path)
    other = structs.replace(
        run, environment=structs.replace(run.environment, cpu_model="M9"), run_id="run-b"
    )
    heads, rows = table_of(drawn(run, other), "results")
    alone_heads, alone = table_of(drawn(run), "results")
    own = [row[alone_heads.index("Pareto front")] for row in alone]
    assert [row[heads.index("Pareto front")] for row in rows] == own * 2
    assert set(own) > {"–"}


def test_the_three_questions_are_answered():
    (path,) = (path for path in STORED if path.stem == "sweep-bytelm")
    told = words_of(drawn(stored(path)), "summary")
    assert re.search(r"What fits All that ran fits: [\d.]+ MiB of [\d.]+ GiB at the most", told)
    assert re.search(
        r"decodes fastest: \d+ tok/s .*95 % interval \d+ to \d+ tok/s; not told apart from 14",
        told,
    )
    assert "What to ship Ship int4-b64 The smallest of those as fast" in told
    assert re.search(r"at the most; int8-block .* tok/s; ship int4-b64\.", told)


def test_a_run_without_quality_says_what_would_recommend_a_level():
    told = words_of(drawn(stored(STORED[0])), "summary")
    assert "no level is recommended." in told
    assert "What each level loses was not measured: --quality does it." in told
    assert "no second level" in words_of(drawn(document(*group())), "summary")


@pytest.mark.parametrize("path", STORED, ids=lambda path: path.stem)
def test_the_plan_on_the_page_is_a_plan_file_of_the_same_run(path, tmp_path):
    """Read back it has what the document says; what it does not say is as usual."""
    plan = stored(path).plan
    file = tmp_path / "plan.toml"
    file.write_text(plan_toml(plan), encoding="utf-8")
    settings = read_plan(file)
    for key in ("rounds", "seed", "prompt", "gen", "depth", "sample_seconds", "calibrate"):
        kept = getattr(plan, key)
        if kept:
            assert getattr(settings, key) == kept, key
    asked = [*(plan.part or ()), plan]
    found = [*settings.part, settings]
    for one, other in zip(asked, found, strict=True):
        for key in ("model", "quant", "threads"):
            assert not getattr(one, key) or getattr(one, key) == getattr(other, key)


def test_names_of_any_signs_stand_in_a_plan_file(tmp_path):
    names = ['a"b\\c', "d\ne\tf", "\x7f\x01", "한국어 😀", "[[part]]", "#"]
    file = tmp_path / "plan.toml"
    run = document(*group(), plan={"model": names, "text": "caf\udce9"})
    file.write_text(plan_toml(run.plan), encoding="utf-8")
    settings = read_plan(file)
    assert settings.model[:2] == ('a"b\\c', "d\ne\tf")
    assert settings.model[3:] == tuple(names[3:])
    assert {"model", "text"} <= set(PLAN_KEYS)


def test_a_fit_says_what_it_chose_and_what_the_others_give_up():
    met = {"requirement": "decode>=20", "workload": "tg32 @ d0", "value": 65.0, "basis": "5"}
    fit = {
        "prefer": "quality",
        "lines": 2,
        "looks": [5],
        "candidates": [
            {"record": 0, "outcome": "MET", "lines": [{**met, "outcome": "MET"}], "rounds": 5},
            {"record": 3, "outcome": "NOT_MET", "lines": [{**met, "outcome": "NOT_MET"}]},
        ],
        "chosen": 0,
        "command": "bench run --model smollm2-135m --quant fp32",
    }
    plan = {"rounds": 5, "require": ["decode>=20"], "fit": fit}
    page = drawn(document(*group(level="fp32"), *group(), plan=plan))
    assert "smollm2-135m fp32 with 2 threads meets decode>=20" in words_of(page, "summary")
    heads, rows = table_of(page, "fit-0")
    assert [row[heads.index("verdict")] for row in rows] == ["chosen", "NOT_MET"]
    assert "What the fit chose, run alone: bench run --model" in words_of(page, "repeat")


def test_a_run_of_nothing_still_makes_a_page():
    page = drawn(document())
    assert "nothing was measured whose speed counts" in words_of(page, "summary")
