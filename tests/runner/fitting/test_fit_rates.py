"""Simulated fits, by the script that the documents cite: few draws of the worst places."""

import math

import pytest

from benchmarks.fit_rates import NOISES, judged_trials, simulated

DRAWS = 60
# At most 5 %, and 3 binomial standard errors of so many draws.
MOST = 0.05 + 3 * math.sqrt(0.05 * 0.95 / DRAWS)


@pytest.mark.parametrize("noise", ["one in ten 30 % slower", "real processes in their order"])
def test_fits_near_their_limits_are_rarely_false(noise):
    assert simulated(NOISES[noise], 3, 2, 0.02, DRAWS).false <= MOST


def test_what_is_far_from_its_limit_is_told_at_the_first_look():
    found = simulated(NOISES["normal 2 %"], 2, 2, 0.7, 20)
    assert (found.false, found.rounds) == (0.0, 3.0)


def test_real_trials_are_judged_by_the_long_measurement():
    process = {"kind": "process", "values": {"decode_tok_s": 100.0, "ttft_ms": 5.0}}
    trial = {
        "kind": "trial",
        "distance": 0.1,
        "limits": {"decode_tok_s": 110.0, "ttft_ms": 6.0},
        "outcomes": {"decode_tok_s": "MET", "ttft_ms": "MET"},
    }
    other = {"kind": "process", "values": {"decode_tok_s": 101.0, "ttft_ms": 5.1}}
    ((rate, time),) = judged_trials([process, other, trial])
    assert (rate.is_met, rate.is_false) == (False, True)
    assert (time.is_met, time.is_false) == (True, False)
