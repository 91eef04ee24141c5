"""The rate-ratio e-process: against an independent computation, its laws, and its error rates in simulations."""

from fractions import Fraction
from math import log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.experiments.rate_ratio import BETTER, WORSE, Events, log_e_not_worse, log_e_worse

COUNTS = st.integers(0, 300)
STRATA = st.lists(st.builds(Events, rho=st.sampled_from([0.01, 0.05, 0.25, 0.5, 0.9]), a=COUNTS, b=COUNTS), max_size=5)


def exact(strata: list[tuple[Fraction, int, int]], bound: Fraction, factors: tuple[float, ...]) -> Fraction:
    """The formula of Lindon & Malek 2022 (arXiv 2011.03567, section 3) for two arms, in exact arithmetic."""
    total = Fraction(0)
    for factor in factors:
        product = Fraction(1)
        for rho, a, b in strata:
            odds = rho / (1 - rho)
            null = bound * odds / (1 + bound * odds)
            other = bound * Fraction(factor) * odds / (1 + bound * Fraction(factor) * odds)
            product *= (other / null) ** b * ((1 - other) / (1 - null)) ** a
        total += product
    return total / len(factors)


@pytest.mark.parametrize(
    "strata",
    [
        [(Fraction(1, 20), 40, 9)],
        [(Fraction(1, 2), 62, 62)],
        [(Fraction(1, 20), 12, 0), (Fraction(1, 4), 9, 4), (Fraction(1, 2), 30, 61)],
    ],
)
def test_log_e_is_the_papers_formula(strata):
    events = [Events(rho=float(rho), a=a, b=b) for rho, a, b in strata]
    assert log_e_worse(events) == pytest.approx(log(exact(strata, Fraction(1), WORSE)), abs=1e-9)
    assert log_e_not_worse(events, margin=1.0) == pytest.approx(log(exact(strata, Fraction(2), BETTER)), abs=1e-9)


@given(STRATA)
def test_log_e_does_not_depend_on_how_events_are_batched(strata):
    split = [
        Events(rho=s.rho, a=part_a, b=part_b)
        for s in strata
        for part_a, part_b in ((s.a // 3, s.b // 2), (s.a - s.a // 3, s.b - s.b // 2))
    ]
    assert log_e_worse(split) == pytest.approx(log_e_worse(strata), abs=1e-7)
    assert log_e_not_worse(split[::-1], margin=1.0) == pytest.approx(log_e_not_worse(strata, margin=1.0), abs=1e-7)


@given(STRATA, st.integers(1, 50))
def test_evidence_for_harm_grows_with_every_event_of_the_candidate_and_falls_with_stables(strata, more):
    worse, better = Events(rho=0.25, a=0, b=more), Events(rho=0.25, a=more, b=0)
    assert log_e_worse([*strata, worse]) >= log_e_worse(strata) - 1e-9
    assert log_e_worse([*strata, better]) <= log_e_worse(strata) + 1e-9
    assert log_e_not_worse([*strata, better], margin=1.0) >= log_e_not_worse(strata, margin=1.0) - 1e-9


@given(COUNTS, COUNTS)
def test_strata_with_nothing_to_compare_are_no_evidence(a, b):
    assert log_e_worse([Events(rho=0.0, a=a, b=b), Events(rho=1.0, a=a, b=b)]) == 0.0


def looks(rng: np.random.Generator, ratio: float, *, base: float = 1.0, number: int = 60) -> list[list[Events]]:
    """Cumulated strata at each look of a ramp 5/25/50 % whose base rate drifts."""
    seen: dict[float, list[int]] = {}
    found = []
    for look in range(number):
        rho = (0.05, 0.25, 0.5)[3 * look // number]
        rate = base * (1 + 0.8 * np.sin(look / 7))
        counts = seen.setdefault(rho, [0, 0])
        counts[0] += rng.poisson(rate * (1 - rho))
        counts[1] += rng.poisson(rate * rho * ratio)
        found.append([Events(rho=share, a=a, b=b) for share, (a, b) in seen.items()])
    return found


def share_that_ever_crosses(log_e, ratio: float, *, alpha: float, runs: int, base: float = 1.0) -> float:
    rng = np.random.default_rng(20261121)
    line = -log(alpha)
    return sum(any(log_e(strata) >= line for strata in looks(rng, ratio, base=base)) for _ in range(runs)) / runs


def test_equal_arms_are_called_harmful_no_more_often_than_alpha_when_looked_at_always():
    assert share_that_ever_crosses(log_e_worse, 1.0, alpha=0.05, runs=400) <= 0.054


def test_an_arm_at_the_margin_passes_no_more_often_than_alpha_when_looked_at_always():
    crossed = share_that_ever_crosses(lambda s: log_e_not_worse(s, margin=1.0), 2.0, alpha=0.05, runs=400, base=5.0)
    assert crossed <= 0.054


def test_a_fivefold_rate_is_found_and_an_equal_one_passes():
    assert share_that_ever_crosses(log_e_worse, 5.0, alpha=0.01, runs=60, base=4.0) == 1.0
    passed = share_that_ever_crosses(lambda s: log_e_not_worse(s, margin=1.0), 1.0, alpha=0.01, runs=60, base=10.0)
    assert passed == 1.0
