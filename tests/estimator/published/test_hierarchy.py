"""Effects of levels: what was seen is learned, what was not widens the answer."""

from math import exp, log

import pytest

from harness.estimator.published.hierarchy import (
    Effect,
    Observation,
    Priors,
    Summand,
    backward,
    cholesky,
    fit,
    forward,
    predict,
)

MEAN = Effect("rate", "kind", "gpu")
WIDTHS = {("rate", "kind"): 2.0, ("rate", "device"): 0.3, ("layer", "kind"): 2.0}


def observed(device, value, amount=1.0):
    """A time of one part, faster with the rate."""
    effects = (MEAN, Effect("rate", "device", device))
    return Observation(value, (Summand(amount, -1, effects),))


def test_a_triangle_solves_what_it_was_made_of():
    """[[4, 2], [2, 5]] x = (8, 9) has the solution (11/8, 10/8)."""
    factor = cholesky([[4.0, 2.0], [2.0, 5.0]])
    found = backward(factor, forward(factor, [8.0, 9.0]))
    assert found == pytest.approx([11 / 8, 10 / 8])


def test_without_rows_the_priors_are_the_answer():
    """Variance 2² + 0.3² + 0.1² of the logarithm, about exp(-0.5)."""
    posterior = fit([], Priors(WIDTHS, {MEAN: 0.5}, 0.1))
    expected = predict(posterior, observed("new", 1.0))
    assert expected.log_value == pytest.approx(-0.5)
    assert expected.variance == pytest.approx(4.0 + 0.09 + 0.01)


def test_one_row_of_known_noise_gives_the_normal_answer():
    """One row at its own estimate has weight (ν + 1) / ν; the mean is known nearly exactly."""
    rows = [observed("a", exp(-1.0)) for _ in range(50)]
    posterior = fit(rows, Priors(WIDTHS, {}, 0.1))
    known = predict(posterior, observed("a", 1.0))
    assert known.log_value == pytest.approx(-1.0, abs=0.01)
    assert known.variance == pytest.approx(0.01 + 0.01 / 50 / 1.2, rel=0.05)


def test_a_device_that_no_row_has_is_as_wide_as_devices_are_apart():
    rows = [observed(name, exp(-1.0)) for name in "abcdefgh" for _ in range(5)]
    posterior = fit(rows, Priors(WIDTHS, {}, 0.1))
    known, new = (predict(posterior, observed(name, 1.0)) for name in ("a", "new"))
    assert known.log_value == pytest.approx(new.log_value, abs=0.02)
    assert new.variance > known.variance + 0.3**2 / 2


def test_a_row_far_off_pulls_little():
    rows = [observed("a", 1.0) for _ in range(20)]
    posterior = fit([*rows, observed("a", 100.0)], Priors(WIDTHS, {}, 0.1))
    assert predict(posterior, observed("a", 1.0)).log_value == pytest.approx(0.0, abs=0.02)


def test_two_parts_are_told_apart_by_rows_of_other_mixtures():
    """2 s of reading and 0.5 s of layers, in four mixtures."""
    layer = Effect("layer", "kind", "gpu")
    rows = [
        Observation(
            2.0 * read + 0.5 * layers, (Summand(read, -1, (MEAN,)), Summand(layers, 1, (layer,)))
        )
        for read, layers in ((1.0, 1.0), (1.0, 20.0), (5.0, 1.0), (0.1, 9.0))
    ]
    posterior = fit(rows, Priors(WIDTHS, {}, 0.01))
    assert posterior.mean((MEAN,)) == pytest.approx(-log(2.0), abs=0.01)
    assert posterior.mean((layer,)) == pytest.approx(log(0.5), abs=0.01)


def test_a_fit_that_starts_elsewhere_ends_at_the_same():
    rows = [observed(name, value) for name, value in (("a", 1.0), ("a", 1.2), ("b", 2.0))]
    priors = Priors(WIDTHS, {}, 0.1)
    first, second = fit(rows, priors), fit(rows, priors, fit(rows[:1], priors))
    assert list(first.means) == pytest.approx(list(second.means), abs=1e-3)
