"""The shipped trained model: our fp32 graph writes exactly the text that torch wrote."""

import json
from pathlib import Path

import numpy as np
import pytest

import harness

FIXTURE = Path(__file__).resolve().parents[1] / "fixtures" / "bytelm_greedy.json"
CASES = json.loads(FIXTURE.read_text(encoding="utf-8"))["cases"]


@pytest.fixture(scope="module")
def bytelm(shared_cache):
    return harness.load("bytelm", level="fp32", threads=1, cache=shared_cache)


def test_there_are_cases_whose_choice_is_clear():
    """Every step of every case has a gap between the two largest logits that noise cannot cross."""
    assert len(CASES) >= 3
    assert min(case["smallest_gap"] for case in CASES) > 1e-3


@pytest.mark.parametrize("case", CASES, ids=lambda case: repr(bytes(case["prompt_bytes"])))
def test_greedy_text_is_torchs_text(bytelm, case):
    logits = bytelm.prefill([case["prompt_bytes"]])
    written = []
    for _ in case["generated_bytes"]:
        written.append(int(np.argmax(logits[0, -1])))
        logits = bytelm.step([[written[-1]]])
    assert bytes(written) == bytes(case["generated_bytes"])
