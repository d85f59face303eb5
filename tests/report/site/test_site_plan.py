"""The plan of a site: cells, their histories, groups and addresses."""

import random
from itertools import count

from harness.report.site.plan import load, make_plan, unreadable
from harness.report.site.policy import Policy, make_policy
from harness.report.site.sources import cell_words
from harness.results.schema import METHOD_VERSION
from tests.report.site.site_documents import document, record

POLICY = Policy()


def planned(*documents, unread=(), **more):
    files = (load(one, f"{place:03}.json", POLICY) for place, one in enumerate(documents))
    return make_plan(files, unread, POLICY, **more)


def test_a_cell_has_a_page_with_its_history_by_date():
    plan = planned(*(document(record(100.0 + day), day=day) for day in (3, 1, 2)))
    (cell,) = plan.cells
    assert [row.record.metrics["decode_tok_s"].value for row in cell.points] == [101, 102, 103]
    assert cell.title == "smollm2-135m int4 tg4, 2 threads on AMD EPYC, 2 cores, 24 GiB"
    assert cell.path.startswith("cells/smollm2-135m-int4-tg4-2-threads-on-amd-epyc")
    assert [len(group.cells) for group in (*plan.machines, *plan.models, *plan.levels)] == [1] * 3
    assert plan.machines[0].runs == 3


def test_what_differs_in_anything_is_another_cell():
    """Machine, level, threads, cache, capacity, kind of weights: one history each."""
    number = count(1)
    documents = [
        document(record(**fields), day=next(number), machine=machine)
        for fields, machine in (
            ({}, {}),
            ({}, {"usable_cores": 8}),
            ({"level": "int8"}, {}),
            ({"threads": 1}, {}),
            ({"kv_cache": "int8"}, {}),
            ({"capacity": 4096}, {}),
            ({"weights": "trained"}, {}),
            ({"test": "tg8"}, {}),
        )
    ]
    plan = planned(*documents)
    assert len(plan.cells) == len(documents)
    assert len({cell.path for cell in plan.cells}) == len(documents)
    assert len({cell.title for cell in plan.cells}) == len(documents)
    assert [group.name for group in plan.levels] == ["int4", "int8"]


def test_numbers_of_two_methods_stand_in_two_histories():
    policy = make_policy("B", ["method"], signed_only=False)
    files = [
        load(document(day=day, method_version=method), f"{day}.json", policy)
        for day, method in ((1, METHOD_VERSION - 1), (2, METHOD_VERSION))
    ]
    older, newest = sorted(make_plan(files, (), policy).cells, key=lambda one: len(one.title))[::-1]
    assert f", method {METHOD_VERSION - 1} on" in older.title
    assert "method" not in newest.title


def test_a_new_system_or_onnxruntime_is_the_same_machine():
    plan = planned(
        document(day=1, machine={"os": "Debian 12", "packages": {"onnxruntime": "1.31.0"}}),
        document(day=2, machine={"os": "Debian 13", "packages": {"onnxruntime-gpu": "1.32.0"}}),
    )
    (cell,) = plan.cells
    versions = [row.source.onnxruntime for row in cell.points]
    assert versions == ["1.31.0", "onnxruntime-gpu 1.32.0"]


def test_the_plan_does_not_depend_on_the_order_of_files():
    files = [
        load(document(record(float(day), level=level), day=day), f"{day}.json", POLICY)
        for day, level in enumerate(("int4", "int8", "fp32", "int4", "int8"), 1)
    ]
    first = make_plan(files, [unreadable("b", "cut"), unreadable("a", "cut")], POLICY)
    random.Random(1).shuffle(files)
    again = make_plan(files, [unreadable("a", "cut"), unreadable("b", "cut")], POLICY)
    assert first == again


def test_hostile_names_have_pages_of_their_own_inside_the_site():
    """Other models, although a file system or a browser could take them for one another."""
    names = ("a", "A", "../a", "a/../../b", "con", "<script>alert(1)</script>", "a\u202e", "é", "e")
    plan = planned(*(document(record(model=name), day=day) for day, name in enumerate(names, 1)))
    paths = [one.path for one in (*plan.models, *plan.cells)]
    assert len({path.casefold() for path in paths}) == 2 * len(names)
    for path in paths:
        folder, _, name = path.partition("/")
        assert folder in ("models", "cells")
        assert name.endswith(".html")
        assert not set(name) - set("abcdefghijklmnopqrstuvwxyz0123456789.-")


def test_documents_are_copied_under_safe_names_or_not_at_all():
    files = [load(document(), name, POLICY) for name in ("CON.json", "x/run a.json")]
    plan = make_plan(files, (), POLICY)
    assert len(set(plan.copies.values())) == 2
    assert all(path.startswith("documents/") for path in plan.copies.values())
    assert make_plan(files, (), POLICY, copies=False).copies == {}


def test_a_file_without_a_row_that_is_shown_is_only_among_the_refused():
    plan = planned(document(record(grade="C")), document(day=2))
    assert [source.file for source in plan.documents] == ["001.json"]
    assert [(one.file, one.rule, one.rows) for one in plan.refused] == [("000.json", "grade", 1)]


def test_words_of_a_cell_say_what_is_unusual():
    told = cell_words(record(threads=1, batch=4, runtime="genai", device="webgpu").cell, "Intel")
    assert told == "smollm2-135m int4 tg4, webgpu, genai, 1 thread, batch 4, Intel"
