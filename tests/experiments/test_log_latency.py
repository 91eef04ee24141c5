"""The e-process for latency: against numerical integration, and what it finds."""

from math import exp, log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import halfnorm

from slipway.experiments.log_latency import MIXTURE, LatencyStratum, Moments, log_e_slower, log_mixture

RHO = 0.05


def moments(log_ms) -> Moments:
    return Moments(n=len(log_ms), total=float(log_ms.sum()), squares=float((log_ms**2).sum()))


def stratum(rng, units: int, *, factor: float = 1.0, slow_share: float = 0.0) -> LatencyStratum:
    in_b = rng.random(units) < RHO
    noise = rng.normal(0.0, 0.4, units)
    slow = log(5.0) * (rng.random(units) < slow_share)
    return LatencyStratum(rho=RHO, a=moments(noise[~in_b]), b=moments((noise + log(factor) + slow)[in_b]))


@pytest.mark.parametrize(("excess", "n"), [(0.0, 100), (80.0, 1000), (-50.0, 2000), (300.0, 10_000)])
def test_mixture_equals_its_integral(excess, n):
    scale = MIXTURE**0.5
    peak = max(excess / n, 0.0)

    def integrand(k):
        return exp(k * excess - k * k * n / 2) * halfnorm.pdf(k, scale=scale)

    value, _ = quad(integrand, 0, 1, points=[peak], limit=500, epsabs=0, epsrel=1e-10)

    assert log_mixture(excess, n) == pytest.approx(log(value), abs=1e-4)


def test_doubled_latency_is_found_and_an_equal_one_is_not():
    rng = np.random.default_rng(1)

    assert log_e_slower([stratum(rng, 4000, factor=2.0)], ratio=1.25) > log(100)
    assert log_e_slower([stratum(rng, 4000)], ratio=1.0) < log(20)


def test_false_alarms_at_margin_zero_stay_below_alpha_over_100_looks():
    rng = np.random.default_rng(2)
    alarms = 0
    for _ in range(300):
        total = LatencyStratum(rho=RHO, a=Moments(), b=Moments())
        for _ in range(100):
            new = stratum(rng, 200)
            total = LatencyStratum(rho=RHO, a=total.a + new.a, b=total.b + new.b)
            if log_e_slower([total], ratio=1.0) >= log(20):
                alarms += 1
                break

    assert alarms / 300 <= 0.054 + 2 * (0.05 * 0.95 / 300) ** 0.5


@pytest.mark.parametrize("arm", [Moments(), Moments(n=10, total=20.0, squares=41.0)])
def test_few_requests_are_no_evidence(arm):
    assert log_e_slower([LatencyStratum(rho=RHO, a=Moments(n=900, squares=90.0), b=arm)], ratio=1.0) == 0.0


def test_all_of_the_traffic_in_one_arm_is_no_evidence():
    alone = LatencyStratum(rho=1.0, a=Moments(n=900, squares=90.0), b=Moments(n=900, total=900.0, squares=990.0))

    assert log_e_slower([alone], ratio=1.0) == 0.0


@given(st.lists(st.floats(-3, 3), min_size=3, max_size=60), st.integers(1, 58))
def test_moments_do_not_depend_on_batches(values, cut):
    whole, first, rest = (moments(np.array(part)) for part in (values, values[:cut], values[cut:]))

    assert first + rest == rest + first
    assert (first + rest).n == whole.n
    assert (first + rest).squares == pytest.approx(whole.squares)
