"""The observer: lines of the access log into counts by unit."""

import json
import time
from dataclasses import replace
from itertools import pairwise
from math import log

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slipway.rollouts.counts import Arm, Metric, Pair, Stratum, first_events, trial_events
from slipway.rollouts.guardrails import Thresholds
from slipway.rollouts.observer import Line, Tally, parse
from slipway.rollouts.regimes import Regime
from slipway.rollouts.routes import Unit, takes_candidate

SALT, WEIGHT = "churn-1", 2500
SLOW = Thresholds(of_stable=(5.0, 5.0), of_candidate=(10.0, 10.0))
REGIME = Regime(weight=WEIGHT, since_s=100.0, until_s=200.0, thresholds=SLOW)
OWN = {Arm.STABLE: ("s:1",), Arm.CANDIDATE: ("c:1",)}
UNITS = [f"unit-{number}" for number in range(400)]
STABLE_UNITS = [unit for unit in UNITS if not takes_candidate(unit, salt=SALT, weight=WEIGHT)]
CANDIDATE_UNITS = [unit for unit in UNITS if takes_candidate(unit, salt=SALT, weight=WEIGHT)]


def new_tally(unit: Unit = Unit.USER) -> Tally:
    return Tally(service="churn", candidate_cluster="churn_candidate_or_stable", salt=SALT, unit=unit, hosts=OWN)


def line(unit: str, *, at_s: float = 150.0, ms: float = 1.0, **changes) -> Line:
    asked = takes_candidate(unit, salt=SALT, weight=WEIGHT)
    values = {
        "at": f"{at_s:.6f}",
        "us": round(ms * 1000),
        "service": "churn",
        "unit": unit,
        "id": f"id-{unit}-{at_s}",
        "cluster": "churn_candidate_or_stable" if asked else "churn_stable",
        "host": "c:1" if asked else "s:1",
        "attempts": 1,
        "status": 200,
        "flags": "-",
    }
    return Line(**{**values, **changes})


def folded(*lines: Line, regimes=(REGIME,)) -> Tally:
    tally = new_tally()
    tally.fold(lines, regimes)
    return tally


def test_counts_of_a_hand_made_log():
    a, b = STABLE_UNITS, CANDIDATE_UNITS
    counts = folded(
        line(a[0]),
        line(a[1], ms=7.0),
        line(b[0]),
        line(b[1], ms=11.0),
        line(b[2], attempts=2, host="s:1"),
        line(b[0], attempts=2, host="s:1"),
    ).counts()
    assert (counts.requests, counts.candidate_requests, counts.candidate_failures, counts.user_failures) == (6, 4, 2, 0)
    (stratum,) = counts.strata
    assert stratum.trials == Pair(stable=2, candidate=3)
    assert stratum.of(Metric.ERRORS).trial_events == Pair(candidate=1)
    assert stratum.of(Metric.ERRORS).first_events == Pair(candidate=2)
    assert stratum.of(Metric.P95).trial_events == Pair(stable=1, candidate=1)


def test_unit_is_one_trial_and_one_first_event_however_often_it_comes():
    unit = CANDIDATE_UNITS[0]
    (stratum,) = folded(*[line(unit, attempts=2, ms=50.0) for _ in range(9)]).counts().strata
    assert stratum.trials == Pair(candidate=1)
    assert stratum.of(Metric.ERRORS).first_events == stratum.of(Metric.ERRORS).trial_events == Pair(candidate=1)
    assert stratum.of(Metric.P95).first_events == Pair(candidate=1)


@pytest.mark.parametrize(
    "failure",
    [{"attempts": 2}, {"status": 503}, {"host": "s:1"}, {"status": 0, "flags": "UT"}],
)
def test_request_of_the_candidate_failed_when_anybody_else_had_to_answer_or_nobody_did(failure):
    assert folded(line(CANDIDATE_UNITS[0], **failure)).counts().candidate_failures == 1


@pytest.mark.parametrize(
    ("changes", "seen"),
    [({"status": 500}, 1), ({"status": 0, "flags": "UF"}, 1), ({"status": 0, "flags": "DC"}, 0), ({"status": 422}, 0)],
)
def test_user_saw_a_failure_when_there_was_an_error_or_no_answer(changes, seen):
    assert folded(line(STABLE_UNITS[0], **changes)).counts().user_failures == seen


def test_requests_outside_of_any_regime_count_in_the_totals_only():
    early, late = line(CANDIDATE_UNITS[0], at_s=99.9), line(CANDIDATE_UNITS[1], at_s=200.1)
    counts = folded(early, late).counts()
    assert (counts.requests, counts.strata) == (2, ())


def test_unit_seen_before_anybody_was_exposed_is_still_a_trial():
    shadow = Regime(weight=0, since_s=0.0, until_s=99.0)
    unit = STABLE_UNITS[0]
    (stratum,) = folded(line(unit, at_s=50.0), line(unit), regimes=(shadow, REGIME)).counts().strata
    assert stratum.trials == Pair(stable=1)


def test_request_in_the_wrong_arm_is_counted_as_misrouted_and_proves_nothing():
    wrong = line(STABLE_UNITS[0], cluster="churn_candidate_or_stable", host="c:1")
    counts = folded(wrong).counts()
    assert (counts.misrouted, counts.strata) == (1, ())


def test_other_services_lines_are_not_looked_at():
    assert folded(line(STABLE_UNITS[0], service="fraud"), line(STABLE_UNITS[0], service=None)).counts().requests == 0


def test_requests_are_units_of_their_own_when_the_plan_says_so():
    tally, seen = new_tally(Unit.REQUEST), 0
    for number in range(50):
        request = f"request-{number}"
        asked = takes_candidate(request, salt=SALT, weight=WEIGHT)
        cluster = "churn_candidate_or_stable" if asked else "churn_stable"
        host = "c:1" if asked else "s:1"
        tally.fold([line("one-user", cluster=cluster, host=host, id=request)], [REGIME])
        seen += asked
    assert tally.counts().strata[0].trials == Pair(stable=50 - seen, candidate=seen)


def test_stable_latency_is_that_of_the_present_regime():
    before = Regime(weight=0, since_s=0.0, until_s=99.0)
    lines = [line(unit, at_s=50.0, ms=100.0) for unit in STABLE_UNITS[:50]]
    lines += [line(unit, ms=float(number)) for number, unit in enumerate(STABLE_UNITS[:100], start=1)]
    latency = folded(*lines, regimes=(before, REGIME)).stable_latency()
    assert (latency.requests, latency.p95_ms) == (100, 95.0)


def test_window_holds_what_came_since_the_last_look():
    tally = folded(line(STABLE_UNITS[0], ms=2.0), line(CANDIDATE_UNITS[0], ms=4.0, attempts=2))
    stable, candidate, new = tally.close_window()
    assert (new, stable.requests, stable.p50_ms, candidate.failures, candidate.p95_ms) == (2, 1, 2.0, 1, 4.0)
    assert tally.close_window()[2] == 0


def test_broken_lines_are_counted_and_the_others_read():
    good = json.dumps({"at": "1.5", "unit": None, "us": None, "status": 0, "extra": 1}).encode()
    lines, broken = parse([good, b'{"at": "1.', b"", b'{"status": 200}'])
    assert ([one.started_s for one in lines], broken) == ([1.5], 3)


LINES = st.lists(
    st.builds(
        line,
        st.sampled_from(UNITS[:40]),
        at_s=st.sampled_from([50.0, 120.0, 180.0, 250.0]),
        ms=st.sampled_from([1.0, 7.0, 30.0]),
        attempts=st.sampled_from([1, 1, 2]),
        status=st.sampled_from([200, 200, 500]),
    ),
    max_size=60,
)


@settings(max_examples=200)
@given(LINES, st.lists(st.integers(0, 60), max_size=5))
def test_counts_do_not_depend_on_how_the_log_was_cut_into_looks(lines, cuts):
    tally = new_tally()
    for begin, end in pairwise([0, *sorted(cuts), 60]):
        tally.fold(lines[begin:end], [REGIME])
        tally.close_window()
    assert tally.counts() == folded(*lines).counts()


def pairs():
    return st.builds(Pair, stable=st.integers(0, 99), candidate=st.integers(0, 99))


STRATA = st.builds(Stratum, weight=st.just(500), trials=pairs())


@given(STRATA, STRATA, STRATA)
def test_adding_counts_is_associative_and_commutative(one, two, three):
    assert (one + two) + three == one + (two + three) == three + (two + one)


def test_strata_of_different_weights_are_not_added():
    with pytest.raises(ValueError, match="can't be added"):
        Stratum(weight=500) + Stratum(weight=2500)


def test_events_carry_the_share_at_exposure():
    strata = folded(line(CANDIDATE_UNITS[0], attempts=2)).counts().strata
    for events in (first_events(strata, Metric.ERRORS), trial_events(strata, Metric.ERRORS)):
        assert [(one.rho, one.a, one.b) for one in events] == [(0.25, 0, 1)]


def test_observer_reads_twenty_thousand_lines_a_second():
    raw = [json.dumps({**vars_of(line(unit)), "id": str(n)}).encode() for n, unit in enumerate(UNITS * 25)]
    tally, begun = new_tally(), time.process_time()
    lines, broken = parse(raw)
    tally.fold(lines, [REGIME])
    seconds = time.process_time() - begun
    assert broken == 0
    assert len(raw) / seconds >= 20_000


def vars_of(one: Line) -> dict[str, object]:
    return {name: getattr(one, name) for name in one.__struct_fields__}


def test_every_metric_is_counted_by_its_own_limit():
    limits = Thresholds(of_stable=(5.0, 50.0), of_candidate=(10.0, 60.0), slo_ms=8.0)
    b = CANDIDATE_UNITS

    counts = folded(
        line(b[0], ms=9.0),
        line(b[1], ms=11.0),
        line(b[2], ms=61.0),
        line(b[3], prediction="fallback"),
        line(b[3], prediction="fallback", at_s=151.0),
        regimes=(replace(REGIME, thresholds=limits),),
    ).counts()

    (stratum,) = counts.strata
    seen = {metric: stratum.of(metric).trial_events.candidate for metric in Metric}
    assert seen == {Metric.ERRORS: 0, Metric.P95: 2, Metric.P99: 1, Metric.SLO: 3, Metric.FALLBACK: 1}
    assert stratum.of(Metric.FALLBACK).first_events == Pair(candidate=1)


def test_log_latencies_of_first_requests_are_summed_around_the_centre():
    limits = replace(SLOW, centre_log_ms=log(2.0))
    b = CANDIDATE_UNITS

    counts = folded(
        line(b[0], ms=4.0),
        line(b[0], ms=400.0, at_s=151.0),
        line(b[1], ms=1.0),
        line(b[2], ms=8.0, host="s:1", attempts=2),
        regimes=(replace(REGIME, thresholds=limits),),
    ).counts()

    seen = counts.strata[0].latency_candidate
    assert (seen.n, seen.total, seen.squares) == (2, pytest.approx(0.0), pytest.approx(2 * log(2.0) ** 2))


def test_scores_are_binned_for_the_arm_that_answered():
    tally = new_tally()
    tally.score_edges = {Arm.STABLE: (0.5,), Arm.CANDIDATE: (0.2, 0.4)}
    a, b = STABLE_UNITS, CANDIDATE_UNITS

    tally.fold(
        [
            line(a[0], score="0.5"),
            line(b[0], score="0.1"),
            line(b[1], score="0.39"),
            line(b[2], score="0.9"),
            line(b[3], score="0.9", attempts=2, host="s:1"),
            line(b[4], score="0.1, 0.2"),
            line(b[5]),
        ],
        [REGIME],
    )

    assert tally.counts().scores == {Arm.STABLE: (0, 1), Arm.CANDIDATE: (1, 1, 1)}
