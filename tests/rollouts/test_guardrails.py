"""Guardrails: what counts prove, with the arithmetic in words."""

from math import log

import pytest

from slipway.rollouts.counts import Counts, Metric, MetricCounts, Pair, Stratum
from slipway.rollouts.guardrails import ABSOLUTE, Thresholds, read
from slipway.rollouts.latency import StableLatency
from slipway.rollouts.plan import Guardrails, RolloutPlan


def counts(trials: tuple[int, int], errors: tuple[int, int] = (0, 0), slow: tuple[int, int] = (0, 0)) -> Counts:
    pair = [Pair(stable=a, candidate=b) for a, b in (trials, errors, slow)]
    metrics = [MetricCounts(first_events=one, trial_events=one) for one in pair[1:]]
    return Counts(
        strata=(
            Stratum(weight=5000, trials=pair[0], events=dict(zip((Metric.ERRORS, Metric.P95), metrics, strict=False))),
        )
    )


def readings(seen: Counts, carried=None):
    return {reading.guardrail: reading for reading in read(RolloutPlan(), seen, carried=carried or {})}


def test_two_arms_without_errors_pass_after_about_1240_candidate_trials():
    assert not readings(counts((1230, 1230)))["errors"].is_safe
    assert readings(counts((1245, 1245)))["errors"].is_safe


def test_58_errors_in_1157_never_pass_below_half_a_percent():
    reading = readings(counts((1157, 1157), errors=(0, 58)))["errors"]
    assert not reading.is_safe
    assert reading.is_harmful


def test_equal_slow_shares_pass_by_the_ratio_alone():
    assert readings(counts((2000, 2000), slow=(100, 100)))["p95"].is_safe
    assert not readings(counts((2000, 2000)))["p95"].is_safe


def test_three_slow_requests_in_one_pause_take_nobody_back_but_a_slow_candidate_is_found():
    assert not readings(counts((285, 15), slow=(0, 3)))["p95"].is_harmful
    assert readings(counts((150, 150), slow=(8, 150)))["p95"].is_harmful


def test_absolute_limit_sees_a_failing_candidate_that_has_nothing_beside_it():
    soaking = Counts(
        strata=(
            Stratum(
                weight=10_000,
                trials=Pair(candidate=100),
                events={Metric.ERRORS: MetricCounts(trial_events=Pair(candidate=30), first_events=Pair(candidate=30))},
            ),
        )
    )
    assert readings(soaking)[ABSOLUTE].is_harmful
    assert readings(soaking)[ABSOLUTE].safe_log_e is None


def test_earlier_attempts_evidence_multiplies():
    fresh, tried = readings(counts((500, 500))), readings(counts((500, 500)), carried={"errors": -3.0, "p95": 1.0})
    assert tried["errors"].safe_log_e == pytest.approx(fresh["errors"].safe_log_e - 3.0)
    assert tried["p95"].safe_log_e == pytest.approx(fresh["p95"].safe_log_e + 1.0)


def test_lines_split_alpha_for_rollback_only():
    reading = readings(counts((10, 10)))["errors"]
    assert reading.harm_line == pytest.approx(log(7 / 0.01))
    assert reading.safe_line == pytest.approx(log(1 / 0.01))


def test_words_carry_the_arithmetic():
    words = readings(counts((2565, 1258), slow=(131, 1)))["errors"].words
    assert words == (
        "errors: 0 of 1,258 candidate first requests failed, 0 of 2,565 stable ones; "
        "log e for harm 0.0 of 6.6, against harm 4.7 of 4.6"
    )


@pytest.mark.parametrize(("p95_ms", "candidate_ms"), [(0.5, 5.5), (20.0, 25.0), (100.0, 125.0)])
def test_candidate_is_slow_above_the_practical_margin(p95_ms, candidate_ms):
    assert Thresholds.beside(StableLatency(p95_ms=p95_ms), Guardrails()).of_candidate[0] == candidate_ms
