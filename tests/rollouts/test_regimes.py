"""Regimes: when requests count, and when the weight that they were assigned by is not certain."""

from slipway.rollouts.guardrails import Thresholds
from slipway.rollouts.ports import Exposure
from slipway.rollouts.regimes import Regime, Wanted, extend


def span(weight: int, since_s: float, until_s: float) -> Exposure:
    return Exposure(weight=weight, since_s=since_s, until_s=until_s)


def wanted(weight: int, since_s: float = 0.0, thresholds: Thresholds | None = None) -> Wanted:
    return Wanted(weight=weight, since_s=since_s, thresholds=thresholds)


def spans_of(regimes: tuple[Regime, ...]) -> list[tuple[int, float, float]]:
    return [(regime.weight, regime.since_s, regime.until_s) for regime in regimes]


def test_regime_grows_from_look_to_look_and_never_past_the_look():
    first = extend([], [span(500, 10, 13)], wanted=wanted(500), now_s=11)
    second = extend(first, [span(500, 10, 14)], wanted=wanted(500), now_s=12)
    assert spans_of(first + second) == [(500, 10, 11), (500, 10, 12)]


def test_regime_begins_with_its_phase_when_the_weight_was_there_before():
    assert spans_of(extend([], [span(0, 5, 30)], wanted=wanted(0, since_s=20), now_s=25)) == [(0, 20, 25)]


def test_nothing_counts_until_the_edge_has_the_wanted_weight():
    assert extend([], [span(0, 5, 14)], wanted=wanted(500), now_s=12) == ()
    assert extend([], [], wanted=wanted(500), now_s=12) == ()


def test_old_regime_ends_where_the_new_weight_was_sent():
    before = extend([], [span(500, 10, 14)], wanted=wanted(500), now_s=12)
    after = extend(before, [span(500, 10, 12.1), span(2500, 12.2, 15)], wanted=wanted(2500, since_s=12), now_s=13)
    assert spans_of(after) == [(500, 10, 12.1), (2500, 12.2, 13)]


def test_gap_is_left_out_when_the_weights_had_expired_for_a_while():
    before = extend([], [span(500, 10, 13)], wanted=wanted(500), now_s=12)
    after = extend(before, [span(500, 10, 13), span(500, 20, 23)], wanted=wanted(500), now_s=21)
    assert spans_of(after) == [(500, 10, 13), (500, 20, 21)]


def test_another_controllers_gap_is_left_out_when_only_the_new_span_is_known():
    before = (Regime(weight=500, since_s=10, until_s=12),)
    assert spans_of(extend(before, [span(500, 20, 23)], wanted=wanted(500), now_s=21)) == [(500, 10, 12), (500, 20, 21)]


def test_new_thresholds_begin_a_new_regime_at_the_same_weight():
    slow = Thresholds(of_stable=(1, 1), of_candidate=(2, 2))
    before = extend([], [span(500, 10, 14)], wanted=wanted(500), now_s=12)
    after = extend(before, [span(500, 10, 15)], wanted=wanted(500, since_s=12, thresholds=slow), now_s=13)
    assert spans_of(after) == [(500, 10, 13), (500, 12, 13)]
    assert after[-1].thresholds == slow


def test_nothing_new_begins_when_nothing_is_wanted():
    before = (Regime(weight=500, since_s=10, until_s=12),)
    after = extend(before, [span(500, 10, 12.5), span(0, 12.6, 15)], wanted=None, now_s=13)
    assert spans_of(after) == [(500, 10, 12.5)]
