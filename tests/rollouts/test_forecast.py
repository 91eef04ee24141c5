"""What a plan can see before it starts."""

import pytest

from slipway.rollouts.forecast import forecast
from slipway.rollouts.plan import RolloutPlan

PLAN = RolloutPlan()


def found(seen, share):
    return next(one.found for one in seen.detections if one.candidate_errors == share)


def test_default_plan_proves_an_equal_candidate_harmless_within_its_minute():
    seen = forecast(PLAN, rps=100)

    assert (seen.promotion.candidate_requests, seen.missing) == (1240, ())
    assert found(seen, 0.2).candidate_requests <= 150


def test_too_little_traffic_says_what_is_missing():
    seen = forecast(PLAN, rps=1)

    assert seen.promotion is None
    assert [words.split(":")[0] for words in seen.missing] == ["errors", "p95"]
    assert found(seen, 0.05) is None


def test_sticky_users_count_once():
    seen = forecast(PLAN, rps=100, requests_per_unit=10)

    assert (seen.promotion, seen.exposed_units) == (None, forecast(PLAN, rps=10).exposed_units)


def test_shares_that_stable_fails_with_itself_are_not_detections():
    assert [one.candidate_errors for one in forecast(PLAN, rps=100, stable_errors=0.02).detections] == [0.05, 0.2, 1.0]


@pytest.mark.parametrize("strategy", ["blue_green", "shadow"])
def test_a_plan_without_steps_compares_nothing(strategy):
    seen = forecast(RolloutPlan.parse({"strategy": strategy}), rps=100)

    assert (seen.promotion, seen.exposed_units) == (None, 0)
