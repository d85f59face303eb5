"""The policy of a site: every rule refuses what it names, and nothing else."""

import tomllib
from pathlib import Path

import pytest

from harness.core.errors import UsageError
from harness.report.site.plan import load
from harness.report.site.policy import (
    RULES,
    STANDARD,
    Policy,
    loosened_words,
    make_policy,
    printed_rules,
)
from harness.results.schema import METHOD_VERSION
from harness.results.signature import Signature, SignatureState
from tests.report.site.site_documents import document, record

ROOT = Path(__file__).resolve().parents[3]
ENDED = {"ended": "budget", "cells": 2, "whole": 1, "unmeasured": 1, "rounds": 5}
# rule -> a document that breaks it, what else is known of its file, and a word of the reason.
BROKEN = {
    "once": (document(), {"twin": "other.json"}, "other.json"),
    "signature": (
        document(),
        {"signature": Signature(SignatureState.CHANGED, detail="its content is another")},
        "changed after signing",
    ),
    "method": (document(method_version=METHOD_VERSION - 1), {}, "method 1"),
    "whole": (document(plan={"progress": ENDED}), {}, "budget"),
    "effort": (document(plan={"rounds": 3}), {}, "rounds 3, the standard plan has 5"),
    "override": (
        document(plan={"session_option": ["session.a=1"], "seed": 7}),
        {},
        "session_option is session.a=1; seed is 7",
    ),
    "measured": (document(record(status="failed", reason="no memory")), {}, "failed: no memory"),
    "grade": (document(record(grade="C")), {}, "grade C (WIDE_INTERVAL)"),
    "device": (document(record(simulated=True)), {}, "emulated"),
}


def test_a_sound_document_is_shown_whole():
    found = load(document(record(), record(80.0, grade="B", level="int8")), "a.json", Policy())
    assert (len(found.rows), found.refused) == (2, ())


@pytest.mark.parametrize("name", BROKEN)
def test_each_rule_refuses_what_it_names(name):
    broken, more, words = BROKEN[name]
    found = load(broken, "a.json", Policy(), **more)
    assert found.rows == ()
    (refusal,) = found.refused
    assert (refusal.file, refusal.rule) == ("a.json", name)
    assert words in refusal.reason


def test_there_is_a_case_for_every_rule():
    assert set(BROKEN) == {rule.name for rule in RULES} - {"signed"}


@pytest.mark.parametrize(
    "rule", [rule for rule in RULES if rule.loosened], ids=lambda one: one.name
)
def test_a_rule_that_is_loosened_refuses_nothing_and_says_so(rule):
    broken, more, _ = BROKEN[rule.name]
    policy = make_policy("B", [rule.name], signed_only=False)
    found = load(broken, "a.json", policy, **more)
    assert (len(found.rows), found.refused) == (1, ())
    printed = {name: state for name, _, state in printed_rules(policy)}
    assert printed[rule.name] == f"not applied (--allow {rule.name})"
    assert list(printed.values()).count("applied") == len(printed) - 1
    assert loosened_words(policy) == f"--allow {rule.name}"


@pytest.mark.parametrize("name", ["grade", "measured", "once", "readable", "efort"])
def test_what_nobody_may_loosen_is_named_with_what_may(name):
    with pytest.raises(UsageError, match="no rule that may be loosened") as raised:
        make_policy("B", [name], signed_only=False)
    assert "effort" in raised.value.fix


def test_rows_are_refused_one_by_one_with_how_many():
    rows = [
        record(level=f"int{bits}", grade=grade) for bits, grade in ((2, "C"), (4, "C"), (8, "A"))
    ]
    found = load(document(*rows), "a.json", Policy())
    assert [row.cell.level for row in found.rows] == ["int8"]
    (refusal,) = found.refused
    assert (refusal.rule, refusal.rows, refusal.reason) == ("grade", 2, "grade C (WIDE_INTERVAL)")
    levels = ("int2", "int4")
    assert refusal.names == tuple(f"smollm2-135m {level} tg4, 2 threads" for level in levels)


def test_a_looser_grade_is_said_and_a_stricter_one_is_none():
    loose = make_policy("C", [], signed_only=False)
    assert load(document(record(grade="C")), "a.json", loose).refused == ()
    assert loosened_words(loose) == "--grade C"
    strict = make_policy("A", [], signed_only=False)
    assert load(document(record(grade="B")), "a.json", strict).rows == ()
    assert loosened_words(strict) == ""


def test_nothing_makes_an_invalid_row_a_result():
    loosest = make_policy("C", [rule.name for rule in RULES if rule.loosened], signed_only=False)
    assert load(document(record(grade="INVALID")), "a.json", loosest).rows == ()


@pytest.mark.parametrize(
    ("signature", "shown", "reason"),
    [
        (Signature(SignatureState.SIGNED, "ann@example.org"), 1, ""),
        (Signature(SignatureState.UNSIGNED), 0, "unsigned"),
        (None, 0, "unsigned"),
    ],
)
def test_a_site_of_signed_documents_refuses_the_others(signature, shown, reason):
    policy = make_policy("B", [], signed_only=True)
    found = load(document(), "a.json", policy, signature=signature)
    assert len(found.rows) == shown
    assert [one.reason for one in found.refused] == [reason] * (1 - shown)


def test_the_standard_plan_is_that_of_a_usual_run():
    """The least effort that is shown is what `bench run` takes by itself."""
    plan = tomllib.loads((ROOT / "configs" / "default.toml").read_text(encoding="utf-8"))
    assert {key: least for key, least, _ in STANDARD} == {key: plan[key] for key, _, _ in STANDARD}
