"""Wilson's interval and McNemar's exact test: by hand, and beside scipy."""

import pytest
from scipy.stats import binomtest

from harness.core.errors import MeasurementError
from harness.stats.proportions import mcnemar_p, wilson_interval


@pytest.mark.parametrize(("count", "trials"), [(0, 1), (0, 20), (20, 20), (7, 10), (213, 312)])
def test_wilson_is_that_of_scipy(count, trials):
    expected = binomtest(count, trials).proportion_ci(0.95, "wilson")
    found = wilson_interval(count, trials)
    assert found.center == count / trials
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-9)
    assert 0 <= found.low <= found.center <= found.high <= 1


@pytest.mark.parametrize(("count", "trials"), [(-1, 3), (4, 3), (0, 0)])
def test_what_is_no_share_is_refused(count, trials):
    with pytest.raises(MeasurementError):
        wilson_interval(count, trials)


@pytest.mark.parametrize(("lost", "won"), [(5, 0), (3, 9), (9, 3), (40, 21), (400, 320)])
def test_mcnemar_is_the_sign_test_of_scipy(lost, won):
    assert mcnemar_p(lost, won) == pytest.approx(binomtest(lost, lost + won).pvalue, rel=1e-9)


def test_mcnemar_by_hand():
    """Five lost and none won: 2 · (1/2)⁵ = 1/16; no difference, or as many each way, is p = 1."""
    assert mcnemar_p(5, 0) == 1 / 16
    assert mcnemar_p(0, 0) == mcnemar_p(4, 4) == 1.0
    assert mcnemar_p(3000, 0) == 0.0
