"""The sample ratio: quiet where the weights hold, loud where they don't."""

from math import log

import numpy as np
import pytest

from slipway.experiments.sample_ratio import ODDS, log_e_mismatch

LINE = log(1000)


def test_value_equals_the_binomial_likelihood_ratios():
    a, b, rho = 930, 70, 0.05
    ratios = []
    for odds in ODDS:
        share = rho * odds / (1 - rho + rho * odds)
        ratios.append((share / rho) ** b * ((1 - share) / (1 - rho)) ** a)

    assert log_e_mismatch([(rho, a, b)]) == pytest.approx(log(np.mean(ratios)), abs=1e-9)


def test_49_of_100_is_found_within_45_000_units_at_the_median():
    rng = np.random.default_rng(3)
    found = []
    for _ in range(200):
        b = np.cumsum(rng.binomial(500, 0.49, 200))
        looks = range(1, 201)
        found.append(
            next((500 * n for n in looks if log_e_mismatch([(0.5, 500 * n - b[n - 1], b[n - 1])]) > LINE), 1e9)
        )

    assert np.median(found) <= 45_000


def test_weights_that_hold_raise_no_alarm_over_100_looks():
    rng = np.random.default_rng(4)
    alarms = 0
    for _ in range(500):
        b = np.cumsum(rng.binomial(100, 0.05, 100))
        alarms += any(log_e_mismatch([(0.05, 100 * n - b[n - 1], b[n - 1])]) > LINE for n in range(5, 101, 5))

    assert alarms <= 3
