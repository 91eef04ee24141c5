"""The pure core: its states, and the laws that hold for whatever is observed."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from world import START, release

from slipway.rollouts.codec import from_json, to_json
from slipway.rollouts.counts import Arm, Counts, Metric, MetricCounts, Pair, Stratum
from slipway.rollouts.desired import desired, split
from slipway.rollouts.observation import Command, Observation, Order, StableLatency
from slipway.rollouts.plan import RolloutPlan
from slipway.rollouts.ports import SlotPhase, SlotStatus
from slipway.rollouts.state import RETREATING, TERMINAL, Kind, Phase, RolloutState, SlotNames, Swap
from slipway.rollouts.step import step

READY = SlotStatus(phase=SlotPhase.READY, golden=True, words="golden rows passed")
GOING = sorted(set(Phase) - TERMINAL)
ENOUGH = StableLatency(requests=500, p95_ms=5.0)


def state(phase: Phase = Phase.PENDING, **changes) -> RolloutState:
    made = RolloutState(
        id="churn-1",
        content_id="churn",
        attempt=1,
        kind=Kind.ROLLOUT,
        service="churn",
        plan=RolloutPlan(),
        stable=release(1),
        candidate=release(2),
        slots=SlotNames(stable="stable-a", candidate="candidate", following="stable-b"),
        actor="test",
        phase=phase,
        swap=Swap.STARTING if phase is Phase.SWAPPING else None,
        had_traffic=phase in {Phase.CANARY, Phase.SOAKING, Phase.SWAPPING},
        started_at=START,
        entered_at=START,
        looked_at=START,
    )
    return replace(made, **changes)


def seen(**changes) -> Observation:
    good = Observation(
        stable=READY,
        candidate=READY,
        following=READY,
        stable_latency=ENOUGH,
        new_requests=100,
        weight_confirmed=True,
        routed=True,
        champion_moved=True,
    )
    return replace(good, **changes)


def counts(weight: int, trials: tuple[int, int], errors=(0, 0), slow=(0, 0), **totals) -> Counts:
    pair = [Pair(stable=one[0], candidate=one[1]) for one in (trials, errors, slow)]
    stratum = Stratum(
        weight=weight,
        trials=pair[0],
        events={
            Metric.ERRORS: MetricCounts(first_events=pair[1], trial_events=pair[1]),
            Metric.P95: MetricCounts(first_events=pair[2], trial_events=pair[2]),
        },
    )
    return Counts(requests=sum(trials), candidate_requests=trials[1], strata=(stratum,), **totals)


def after(begin: RolloutState, observation: Observation, *, seconds: float = 1.0) -> RolloutState:
    return step(begin, observation, begin.looked_at + timedelta(seconds=seconds)).state


PROVEN = counts(5000, (2000, 2000), slow=(100, 20))


# --- one behaviour each


def test_candidate_waits_for_stable_when_stable_is_not_ready():
    assert after(state(), seen(stable=SlotStatus())).phase is Phase.PENDING
    assert after(state(), seen()).phase is Phase.PREPARING


def test_rollout_waits_for_the_other_one_of_its_service():
    assert after(state(), seen(alone=False)).phase is Phase.PENDING


def test_preparing_waits_for_its_gates_and_goes_on_when_they_are_passed():
    waiting = state(Phase.PREPARING, waits_for=("load_test",))
    assert after(waiting, seen()).phase is Phase.PREPARING
    passed = after(waiting, seen(commands=(Command(order=Order.PASS, gate="load_test", actor="ci"),)))
    assert (passed.phase, passed.passed) == (Phase.SHADOW, ("load_test",))


def test_gate_of_another_name_passes_nothing():
    waiting = state(Phase.PREPARING, waits_for=("load_test",))
    assert after(waiting, seen(commands=(Command(order=Order.PASS, gate="other", actor="ci"),))).passed == ()


def test_refused_gate_rejects_the_candidate_and_names_the_gate():
    refused = Command(order=Order.REFUSE, gate="load_test", actor="ci", reason="p99 was 900 ms")
    turned = after(state(Phase.PREPARING, waits_for=("load_test",)), seen(commands=(refused,)))
    ended = after(turned, seen())
    assert (ended.phase, ended.decided_by, ended.reason) == (Phase.REJECTED, "load_test", "p99 was 900 ms")


def test_gates_left_open_for_too_long_end_the_rollout():
    waiting = state(Phase.PREPARING, waits_for=("load_test",), elapsed_s=599.5)
    turned = after(waiting, seen())
    assert (turned.phase, turned.ending, turned.decided_by) == (Phase.ROLLING_BACK, Phase.FAILED, "timeout")


@pytest.mark.parametrize(
    ("slot", "ending", "decided_by"),
    [
        (SlotStatus(phase=SlotPhase.UNREADY, golden=False, words="row 3 differs"), Phase.REJECTED, "golden_rows"),
        (SlotStatus(phase=SlotPhase.FAILED, words="exit 1"), Phase.FAILED, "start"),
        (SlotStatus(phase=SlotPhase.STARTING, restarts=2), Phase.REJECTED, "crash_loop"),
    ],
)
def test_candidate_is_refused_before_any_traffic_when_it_does_not_start_well(slot, ending, decided_by):
    turned = after(state(Phase.PREPARING), seen(candidate=slot))
    assert (turned.phase, turned.ending, turned.decided_by) == (Phase.ROLLING_BACK, ending, decided_by)
    assert after(turned, seen()).phase is ending


def test_candidate_that_never_gets_ready_fails():
    starting = seen(candidate=SlotStatus(phase=SlotPhase.STARTING, words="it starts"))
    turned = after(state(Phase.PREPARING, elapsed_s=119.5), starting)
    assert (turned.ending, turned.decided_by) == (Phase.FAILED, "start")


def test_shadow_fixes_thresholds_from_stables_requests():
    climbed = after(state(Phase.SHADOW, elapsed_s=4.5), seen())
    assert (climbed.phase, climbed.step_index, split(climbed).weight) == (Phase.CANARY, 0, 500)
    assert climbed.thresholds is not None
    assert (climbed.thresholds.of_stable[0], climbed.thresholds.of_candidate[0]) == (5.0, 10.0)


def test_shadow_goes_on_when_stable_has_had_too_few_requests():
    assert after(state(Phase.SHADOW, elapsed_s=60.0), seen(stable_latency=StableLatency())).phase is Phase.SHADOW


def test_step_of_the_ramp_needs_exposed_units_however_long_it_lasts():
    waiting = after(state(Phase.CANARY, elapsed_s=1000.0), seen(counts=counts(500, (100, 0))))
    assert (waiting.phase, waiting.step_index) == (Phase.CANARY, 0)
    assert after(waiting, seen(counts=counts(500, (100, 1)))).step_index == 1


def test_thresholds_are_fixed_anew_before_each_step():
    climbed = after(state(Phase.CANARY, elapsed_s=8.0), seen(counts=counts(500, (700, 40))))
    assert climbed.step_index == 1
    assert climbed.thresholds is not None
    assert climbed.thresholds.of_stable[0] == ENOUGH.p95_ms


def test_last_step_soaks_as_soon_as_every_guardrail_is_proven():
    soaking = after(state(Phase.CANARY, step_index=2), seen(counts=PROVEN))
    assert (soaking.phase, soaking.decided_by) == (Phase.SOAKING, "evidence")
    assert "0 of 2,000 candidate first requests failed" in soaking.reason


def test_candidate_is_held_when_the_planned_size_brings_no_proof():
    thin = seen(counts=counts(5000, (500, 500), slow=(20, 10)))
    held = after(state(Phase.CANARY, step_index=2, elapsed_s=39.5), thin)
    assert (held.phase, split(held).weight) == (Phase.HOLD, 0)
    ended = after(after(after(after(held, seen()), seen()), seen()), seen())
    assert (ended.phase, ended.decided_by) == (Phase.HELD, "evidence")
    assert "not enough evidence within the planned size: errors" in ended.reason


def test_hold_keeps_its_weight_for_as_long_as_the_plan_says():
    plan = RolloutPlan(hold_s=3)
    held = state(Phase.HOLD, plan=plan, step_index=1, had_traffic=True, reason="r", decided_by="evidence")
    assert [split(held).weight, split(after(held, seen())).weight] == [2500, 2500]
    assert split(after(replace(held, elapsed_s=2.5), seen())).weight == 0


@pytest.mark.parametrize(
    ("bad", "guardrail"),
    [
        ({"counts": counts(500, (95, 5), errors=(0, 4))}, "errors"),
        ({"counts": counts(500, (95, 12), slow=(5, 12))}, "p95"),
        ({"counts": counts(10_000, (0, 200), errors=(0, 60))}, "errors_absolute"),
        ({"counts": Counts(first_candidate_requests=12, first_candidate_failures=10)}, "first_requests"),
        ({"candidate": replace(READY, restarts=2)}, "crash_loop"),
    ],
)
@pytest.mark.parametrize("phase", [Phase.CANARY, Phase.SOAKING, Phase.HOLD])
def test_candidate_is_taken_back_at_once_when_a_guardrail_finds_harm(phase, bad, guardrail):
    turned = after(state(phase, had_traffic=True), seen(**bad))
    assert (turned.phase, turned.ending, turned.decided_by) == (Phase.ROLLING_BACK, Phase.ROLLED_BACK, guardrail)
    assert split(turned).weight == 0


def test_candidate_is_taken_back_when_it_stays_unready():
    gone = seen(candidate=SlotStatus(phase=SlotPhase.UNREADY, golden=True, words="connection refused"))
    state_now = state(Phase.CANARY)
    for _ in range(3):
        state_now = after(state_now, gone)
        assert state_now.phase is Phase.CANARY
    assert after(state_now, gone).decided_by == "readiness"
    assert after(state_now, seen()).unready_s == 0


@pytest.mark.parametrize("blind", [{"new_requests": 0}, {"weight_confirmed": False}])
def test_no_time_passes_while_nothing_is_seen_and_the_blind_budget_ends_it(blind):
    blinded = after(state(Phase.CANARY, elapsed_s=7.5), seen(counts=counts(500, (700, 40)), **blind))
    assert (blinded.phase, blinded.elapsed_s, blinded.blind_s) == (Phase.CANARY, 7.5, 1.0)
    held = after(replace(blinded, blind_s=60.0), seen(**blind))
    assert (held.phase, held.decided_by) == (Phase.HOLD, "blind")


def test_counts_are_void_when_requests_went_to_the_wrong_arm():
    held = after(state(Phase.CANARY), seen(counts=counts(500, (700, 40), misrouted=20)))
    assert (held.phase, held.decided_by) == (Phase.HOLD, "assignment")


def test_a_missed_look_counts_as_two_seconds_at_most():
    assert after(state(Phase.CANARY), seen(), seconds=3600).elapsed_s == 2.0
    assert after(state(Phase.CANARY), seen(), seconds=-3600).elapsed_s == 0.0


def test_swap_starts_points_returns_weights_and_only_then_ends_the_old_ones():
    soaked = after(state(Phase.SOAKING, elapsed_s=4.5), seen())
    assert (soaked.phase, soaked.swap, split(soaked).weight) == (Phase.SWAPPING, Swap.STARTING, 10_000)
    pointed = after(soaked, seen())
    assert (pointed.swap, desired(pointed).stable_slot, split(pointed).weight) == (Swap.POINTED, "stable-b", 10_000)
    draining = after(pointed, seen())
    assert (draining.swap, split(draining).weight) == (Swap.DRAINING, 0)
    assert set(desired(draining).slots) == {"stable-a", "stable-b", "candidate"}
    promoted = after(after(draining, seen()), seen())
    assert (promoted.phase, set(desired(promoted).slots)) == (Phase.PROMOTED, {"stable-b"})
    assert desired(promoted).previous == release(1)


@pytest.mark.parametrize("lacking", ["routed", "following"])
def test_swap_waits_when_the_edge_or_the_new_process_is_not_there(lacking):
    begin = state(Phase.SWAPPING, swap=Swap.POINTED if lacking == "routed" else Swap.STARTING)
    late = seen(**{lacking: False if lacking == "routed" else SlotStatus(phase=SlotPhase.STARTING)})
    assert after(after(begin, late), late).swap is begin.swap


def test_swap_turns_back_to_the_old_stable_when_the_new_one_does_not_start():
    failed = seen(following=SlotStatus(phase=SlotPhase.FAILED, words="no memory"))
    turned = after(state(Phase.SWAPPING), failed)
    assert (turned.ending, desired(turned).stable_slot) == (Phase.FAILED, "stable-a")
    assert "stable-b" in desired(turned).slots
    late = after(state(Phase.SWAPPING, elapsed_s=119.5), seen(following=SlotStatus(phase=SlotPhase.STARTING)))
    assert late.decided_by == "start"


def test_promotion_waits_for_the_registry_but_not_for_ever():
    draining = state(Phase.SWAPPING, swap=Swap.DRAINING, elapsed_s=3.0)
    assert after(draining, seen(champion_moved=False)).phase is Phase.SWAPPING
    stepped = step(replace(draining, elapsed_s=5.0), seen(champion_moved=False), START + timedelta(seconds=1))
    assert stepped.state.phase is Phase.PROMOTED
    assert "will follow" in stepped.reasons[0]


def test_way_back_to_a_promoted_release_waits_for_no_registry():
    draining = state(Phase.SWAPPING, kind=Kind.ROLLBACK, swap=Swap.DRAINING, elapsed_s=2.0)
    assert after(draining, seen(champion_moved=False)).phase is Phase.PROMOTED


def test_candidate_that_dies_while_the_swap_starts_is_taken_back():
    turned = after(state(Phase.SWAPPING), seen(candidate=replace(READY, restarts=2)))
    assert (turned.ending, turned.decided_by) == (Phase.ROLLED_BACK, "crash_loop")


@pytest.mark.parametrize("kind", [Kind.INSTALL, Kind.ROLLBACK])
def test_replacement_without_arms_goes_straight_to_the_swap(kind):
    pending = state(kind=kind, stable=None if kind is Kind.INSTALL else release(3))
    starting = after(pending, seen(stable=SlotStatus(), candidate=SlotStatus()))
    assert (starting.phase, starting.swap) == (Phase.SWAPPING, Swap.STARTING)
    assert set(desired(starting).slots) == ({"stable-b"} if kind is Kind.INSTALL else {"stable-a", "stable-b"})
    assert split(starting).weight == 0


def test_rollback_ends_only_when_the_edge_has_the_weights_or_has_dropped_them_itself():
    turned = state(Phase.ROLLING_BACK, ending=Phase.ROLLED_BACK, had_traffic=True)
    deaf = seen(weight_confirmed=False)
    for _ in range(4):
        turned = after(turned, deaf)
        assert turned.phase is Phase.ROLLING_BACK
    assert after(turned, deaf).phase is Phase.ROLLED_BACK


def test_second_order_changes_nothing_when_the_first_has_turned_it_back():
    orders = tuple(Command(order=order, actor="a", gate="g") for order in (Order.SUPERSEDE, Order.ABORT, Order.REFUSE))
    turned = after(state(Phase.CANARY), seen(commands=orders))
    assert (turned.ending, turned.decided_by) == (Phase.SUPERSEDED, "superseded")


# --- laws

PAIRS = st.tuples(st.integers(0, 400), st.integers(0, 400))


def possible(
    weight: int, clean: tuple[int, int], errors: tuple[int, int], slow: tuple[int, int], misrouted: int
) -> Counts:
    """Counts in which no arm has more events than trials."""
    trials = tuple(c + max(e, s) for c, e, s in zip(clean, errors, slow, strict=True))
    return counts(weight, (trials[0], trials[1]), errors, slow, misrouted=misrouted)


SLOTS = st.sampled_from(
    [
        READY,
        SlotStatus(),
        SlotStatus(phase=SlotPhase.STARTING),
        SlotStatus(phase=SlotPhase.UNREADY, golden=True),
        SlotStatus(phase=SlotPhase.UNREADY, golden=False),
        SlotStatus(phase=SlotPhase.FAILED),
        replace(READY, restarts=3),
    ]
)
COMMANDS = st.builds(Command, order=st.sampled_from(Order), actor=st.just("law"), gate=st.just("g"))
OBSERVATIONS = st.builds(
    Observation,
    commands=st.lists(COMMANDS, max_size=2).map(tuple),
    stable=SLOTS,
    candidate=SLOTS,
    following=SLOTS,
    counts=st.builds(
        possible, st.sampled_from([500, 2500, 5000]), PAIRS, PAIRS, PAIRS, misrouted=st.sampled_from([0, 0, 99])
    ),
    stable_latency=st.sampled_from([ENOUGH, StableLatency()]),
    new_requests=st.sampled_from([0, 100]),
    weight_confirmed=st.booleans(),
    routed=st.booleans(),
    alone=st.booleans(),
    champion_moved=st.booleans(),
)
STATES = st.builds(
    state,
    st.sampled_from(GOING),
    kind=st.sampled_from(Kind),
    step_index=st.integers(0, 2),
    swap=st.sampled_from([None, *Swap]),
    ending=st.sampled_from([None, Phase.ROLLED_BACK, Phase.FAILED]),
    elapsed_s=st.sampled_from([0.0, 4.5, 7.5, 39.5, 119.5, 700.0]),
    blind_s=st.sampled_from([0.0, 59.5]),
    unready_s=st.sampled_from([0.0, 3.0]),
    had_traffic=st.booleans(),
    waits_for=st.sampled_from([(), ("g",)]),
)
RISES = {
    (Phase.SHADOW, Phase.CANARY),
    (Phase.CANARY, Phase.CANARY),
    (Phase.CANARY, Phase.SOAKING),
}


@settings(max_examples=400)
@given(STATES, OBSERVATIONS, st.floats(0, 5))
def test_weight_rises_only_by_a_promote_side_decision(begin, observation, seconds):
    moved = after(begin, observation, seconds=seconds)
    if split(moved).weight <= split(begin).weight:
        return
    # A swap that has not begun keeps the weight that soaking had; every other rise is a step of the ramp.
    assert (begin.phase, moved.phase) in RISES
    assert observation.new_requests > 0
    assert observation.weight_confirmed
    assert not any(reading.is_harmful for reading in moved.readings) or begin.phase is Phase.SHADOW
    if moved.phase is Phase.SOAKING:
        assert all(reading.is_safe for reading in moved.readings)


@settings(max_examples=300)
@given(STATES, OBSERVATIONS)
def test_rollback_is_reachable_from_every_state_whatever_is_seen(begin, observation):
    abort = replace(observation, commands=(Command(order=Order.ABORT, actor="on call"),))
    turned = after(begin, abort)
    assert turned.phase is Phase.ROLLING_BACK or turned.is_finished
    assert turned.is_urgent
    assert split(turned).weight == 0
    assert desired(turned).stable_slot == begin.slots.stable
    for _ in range(8):
        turned = after(turned, observation)
    assert turned.is_finished
    assert turned.phase is not Phase.PROMOTED


@settings(max_examples=300)
@given(STATES, OBSERVATIONS, st.floats(0, 5))
def test_a_look_twice_changes_nothing_but_who_was_told(begin, observation, seconds):
    once = after(begin, observation, seconds=seconds)
    if once.phase is not begin.phase or once.swap is not begin.swap or once.step_index != begin.step_index:
        return
    again = after(once, replace(observation, commands=()), seconds=0.0)
    if again.phase is once.phase and again.swap is once.swap:
        assert again == once


@settings(max_examples=300)
@given(STATES, OBSERVATIONS)
def test_state_and_observation_survive_json(begin, observation):
    stepped = step(begin, observation, START + timedelta(seconds=1))
    assert from_json(to_json(stepped.state), RolloutState) == stepped.state
    assert from_json(to_json(observation), Observation) == observation


@given(OBSERVATIONS, st.sampled_from(sorted(TERMINAL)))
def test_terminal_states_are_never_left(observation, phase):
    ended = state(phase)
    assert step(ended, observation, START + timedelta(days=1)) == (ended, (), ())


@given(STATES)
def test_every_state_names_one_desired_world_with_stable_in_it(begin):
    want = desired(begin)
    assert want.stable is not None
    assert want.slots[want.stable_slot] == want.stable
    assert 0 <= split(begin).weight <= 10_000
    assert split(begin).weight == 0 or begin.phase not in RETREATING or begin.phase is Phase.HOLD


# --- people: hold, resume, freeze, approve


def command(order: Order) -> tuple[Command, ...]:
    return (Command(order=order, actor="ann", reason="a look first"),)


@pytest.mark.parametrize(
    ("stop", "go", "label"),
    [(Order.HOLD, Order.RESUME, "HOLD(CANARY[0])"), (Order.FREEZE, Order.UNFREEZE, "FROZEN(CANARY[0])")],
)
def test_a_stopped_rollout_keeps_its_weight_and_goes_on_when_it_is_let_go(stop, go, label):
    canary = state(Phase.CANARY, elapsed_s=7.5)
    exposed = seen(counts=counts(500, (1000, 50)))

    stopped = after(canary, replace(exposed, commands=command(stop)))
    later = after(stopped, exposed, seconds=60.0)

    assert (later.label, split(later).weight, later.elapsed_s) == (label, 500, 7.5)
    assert after(later, replace(exposed, commands=command(go))).label == "CANARY[1]"


@pytest.mark.parametrize("phase", [phase for phase in GOING if phase is not Phase.ROLLING_BACK])
def test_a_stopped_rollout_still_goes_back(phase):
    stopped = state(phase, frozen_by="ann", paused_by="ann", had_traffic=True)

    assert after(stopped, seen(commands=command(Order.ABORT))).phase is Phase.ROLLING_BACK


def test_a_frozen_canary_is_still_watched():
    harmful = seen(counts=counts(500, (1000, 50), errors=(1, 30)))

    assert after(state(Phase.CANARY, frozen_by="ann"), harmful).ending is Phase.ROLLED_BACK


def test_proof_waits_for_an_approval_where_the_plan_asks_for_one():
    last = state(Phase.CANARY, step_index=2, plan=RolloutPlan(approval=True))

    waiting = after(last, seen(counts=PROVEN))
    assert (waiting.phase, split(waiting).weight) == (Phase.AWAITING_APPROVAL, 5000)
    assert after(waiting, seen(counts=PROVEN)).phase is Phase.AWAITING_APPROVAL
    approved = after(waiting, seen(counts=PROVEN, commands=command(Order.APPROVE)))
    assert (approved.phase, approved.approved_by) == (Phase.SOAKING, "ann")


def test_nobody_approving_means_hold():
    waiting = state(
        Phase.AWAITING_APPROVAL, step_index=2, plan=RolloutPlan(approval=True, approval_s=60), had_traffic=True
    )

    held = after(waiting, seen(counts=PROVEN), seconds=61.0)

    assert (held.phase, held.decided_by) == (Phase.HOLD, "approval")


# --- other strategies


def test_blue_green_gives_everything_at_once_and_soaks():
    moved = after(state(Phase.SHADOW, plan=RolloutPlan.parse({"strategy": "blue_green"}), elapsed_s=60.0), seen())

    assert (moved.phase, split(moved).weight, moved.had_traffic) == (Phase.SOAKING, 10_000, True)


def test_shadow_ends_observed_and_never_has_traffic():
    ending = after(state(Phase.SHADOW, plan=RolloutPlan.parse({"strategy": "shadow"}), elapsed_s=60.0), seen())
    ended = after(ending, seen())

    assert (ending.had_traffic, ended.phase, split(ending).weight) == (False, Phase.OBSERVED, 0)


def test_ab_keeps_its_share_for_its_time_and_promotes_nothing():
    plan = RolloutPlan.parse({"strategy": "ab", "steps": [{"weight": 50, "size_s": 100}]})
    running = state(Phase.CANARY, plan=plan)

    assert after(running, seen(counts=PROVEN)).phase is Phase.CANARY
    assert after(replace(running, elapsed_s=99.5), seen(counts=PROVEN)).ending is Phase.OBSERVED


# --- guardrails that hold instead of taking back


def test_units_that_go_elsewhere_than_the_weight_says_hold_the_rollout():
    held = after(state(Phase.CANARY), seen(counts=counts(500, (700, 300))))

    assert (held.phase, held.decided_by) == (Phase.HOLD, "sample_ratio")


def scored(candidate: tuple[int, int], stable: tuple[int, int]) -> Observation:
    slot = replace(READY, score_edges=(0.5,), score_shares=(0.5, 0.5))
    bins = {Arm.CANDIDATE: candidate, Arm.STABLE: stable}
    return seen(stable=slot, candidate=slot, counts=replace(counts(5000, (500, 500)), scores=bins))


def test_scores_that_moved_hold_the_rollout_unless_stables_moved_too():
    alone, both = scored((450, 50), (250, 250)), scored((450, 50), (450, 50))

    assert after(state(Phase.CANARY), alone).decided_by == "drift"
    assert after(state(Phase.CANARY), both).phase is Phase.CANARY
