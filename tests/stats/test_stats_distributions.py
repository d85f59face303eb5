"""The t and chi-square distributions against their closed forms and against scipy."""

import math

import pytest

from harness.core.errors import MeasurementError
from harness.stats.distributions import (
    chi_square_quantile,
    incomplete_beta,
    incomplete_gamma,
    t_quantile,
    t_upper_tail,
)

LEVELS = (0.51, 0.6, 0.75, 0.9, 0.95, 0.975, 0.99, 0.995, 0.9995, 1 - 1e-6)


def test_one_degree_of_freedom_is_cauchy():
    """The t quantile with 1 degree of freedom is tan(pi (p - 1/2))."""
    for share in LEVELS:
        assert t_quantile(share, 1) == pytest.approx(math.tan(math.pi * (share - 0.5)), rel=1e-9)


def test_two_degrees_of_freedom_have_a_closed_form():
    """With 2 degrees of freedom it is (2p - 1) sqrt(2 / (4p (1 - p)))."""
    for share in LEVELS:
        expected = (2 * share - 1) * math.sqrt(2 / (4 * share * (1 - share)))
        assert t_quantile(share, 2) == pytest.approx(expected, rel=1e-9)


def test_tables_of_any_textbook():
    """95 % two-sided: 2.776 with 4 degrees of freedom, 2.262 with 9."""
    assert round(t_quantile(0.975, 4), 3) == 2.776
    assert round(t_quantile(0.975, 9), 3) == 2.262


def test_quantile_agrees_with_scipy():
    """1e-9 relative for every whole dof from 1 to 200 at every level, and for fractions."""
    stats = pytest.importorskip("scipy.stats")
    for dof in (0.5, 1.5, 3.7, 77.3, *range(1, 201)):
        expected = stats.t.ppf(LEVELS, dof)
        measured = [t_quantile(share, dof) for share in LEVELS]
        assert measured == pytest.approx(list(expected), rel=1e-9), dof


def test_incomplete_beta_agrees_with_scipy():
    special = pytest.importorskip("scipy.special")
    for a in (0.5, 1.0, 2.5, 40.0, 100.0):
        for b in (0.5, 1.0, 7.0):
            for x in (0.0, 1e-6, 0.1, 0.5, 0.93, 1.0):
                assert incomplete_beta(x, a, b) == pytest.approx(
                    special.betainc(a, b, x), rel=1e-10, abs=1e-300
                )


def test_quantile_is_odd_around_one_half():
    assert t_quantile(0.5, 7) == 0.0
    assert t_quantile(0.1, 7) == -t_quantile(0.9, 7)


def test_quantile_undoes_the_upper_tail():
    assert t_upper_tail(t_quantile(0.975, 12), 12) == pytest.approx(0.025, rel=1e-12)


@pytest.mark.parametrize(
    ("share", "dof"), [(0, 4), (1, 4), (0.9, 0), (math.nan, 4), (0.9, math.inf)]
)
def test_arguments_outside_their_range_are_refused(share, dof):
    with pytest.raises(MeasurementError):
        t_quantile(share, dof)


def test_chi_square_agrees_with_scipy():
    stats = pytest.importorskip("scipy.stats")
    for dof in (0.7, 1, 2, 3.3, 4, 8, 30, 120.5):
        for share in (0.001, 0.05, 0.5, 0.95, 0.999):
            expected = stats.chi2.ppf(share, dof)
            assert chi_square_quantile(share, dof) == pytest.approx(expected, rel=1e-9)


def test_chi_square_with_two_degrees_is_exponential():
    """Its quantile is -2 ln(1 - p)."""
    assert chi_square_quantile(0.05, 2) == pytest.approx(-2 * math.log(0.95), rel=1e-12)
    assert incomplete_gamma(1.0, 0.0) == 0.0


@pytest.mark.parametrize(("share", "dof"), [(0, 3), (1, 3), (0.5, 0), (0.5, math.inf)])
def test_chi_square_outside_its_range_is_refused(share, dof):
    with pytest.raises(MeasurementError):
        chi_square_quantile(share, dof)
