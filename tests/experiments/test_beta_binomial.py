"""The beta-binomial e-process: against numerical integration, at its edges, and its error rates in simulations."""

from math import exp, inf, isfinite, log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate

from slipway.experiments.beta_binomial import log_e_above, log_e_below

LIMIT = 0.005


def integrated(events: int, trials: int, limit: float, a: float, b: float, low: float, high: float) -> float:
    """The mixture's definition by quadrature: the mean likelihood over the truncated prior, over the limit's."""

    def prior(rate: float) -> float:
        return rate ** (a - 1) * (1 - rate) ** (b - 1)

    def ratio(rate: float) -> float:
        gain = events * log(rate / limit) + (trials - events) * (np.log1p(-rate) - np.log1p(-limit))
        return prior(rate) * exp(gain)

    options = {
        "epsabs": 0,
        "epsrel": 1e-11,
        "limit": 500,
        "points": [low + (high - low) * x for x in (1e-4, 0.01, 0.1)],
    }
    return log(integrate.quad(ratio, low, high, **options)[0] / integrate.quad(prior, low, high, **options)[0])


@pytest.mark.parametrize(("events", "trials"), [(0, 100), (0, 1240), (3, 2000), (12, 1157), (58, 1157)])
def test_below_is_the_integral_over_rates_below_the_limit(events, trials):
    expected = integrated(events, trials, LIMIT, 0.5, 0.5 / LIMIT, 0.0, LIMIT)
    assert log_e_below(events, trials, limit=LIMIT) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(("events", "trials"), [(0, 10), (5, 100), (12, 60), (30, 100)])
def test_above_is_the_integral_over_rates_above_the_limit(events, trials):
    expected = integrated(events, trials, 0.05, 0.5, 0.5, 0.05, 1.0)
    assert log_e_above(events, trials, limit=0.05) == pytest.approx(expected, abs=1e-4)


def test_design_figures_hold():
    """Half of the mean of two e-values reaches 1/0.01 after about 1,240 clean trials, and 58 of 1,157 never pass."""
    assert log_e_below(0, 1245, limit=LIMIT) >= log(199) > log_e_below(0, 1230, limit=LIMIT)
    assert log_e_below(58, 1157, limit=LIMIT) < 0


@given(st.integers(0, 5000), st.integers(0, 5000), st.sampled_from([0.001, 0.005, 0.05, 0.4]))
def test_values_are_finite_however_extreme_the_counts(events, more, limit):
    assert isfinite(log_e_below(events, events + more, limit=limit))
    assert isfinite(log_e_above(events, events + more, limit=limit))


@given(st.integers(0, 50), st.integers(0, 2000))
def test_one_more_event_never_speaks_for_a_rate_below(events, clean):
    trials = events + clean
    assert log_e_below(events + 1, trials + 1, limit=LIMIT) <= log_e_below(events, trials, limit=LIMIT) + 1e-9
    assert log_e_above(events + 1, trials + 1, limit=LIMIT) >= log_e_above(events, trials, limit=LIMIT) - 1e-9


@pytest.mark.parametrize("log_e", [log_e_below, log_e_above])
def test_a_rate_at_the_limit_crosses_no_more_often_than_alpha_when_looked_at_always(log_e):
    rng, limit, crossed, runs = np.random.default_rng(7), 0.02, 0, 400
    for _ in range(runs):
        events = np.cumsum(rng.random(2000) < limit)
        crossed += max(log_e(int(events[n - 1]), n, limit=limit) for n in range(20, 2001, 40)) >= log(20)
    assert crossed / runs <= 0.054


def test_far_tails_are_continuous_where_the_series_takes_over():
    values = [log_e_below(events, 2000, limit=LIMIT) for events in range(100, 700)]
    steps = np.diff(values)
    assert -inf < values[-1] < values[0]
    assert np.all(np.abs(np.diff(steps)) < 0.01)
