"""The phases in which requests are watched: SHADOW, CANARY, SOAKING, HOLD."""

from dataclasses import replace
from datetime import datetime
from typing import assert_never

from slipway.rollouts import guardrails
from slipway.rollouts.counts import Arm
from slipway.rollouts.guardrails import FIRST_FAILURES, FIRST_REQUESTS, OnHarm, Thresholds
from slipway.rollouts.moves import Move, enter, retreat
from slipway.rollouts.observation import Observation
from slipway.rollouts.plan import Strategy
from slipway.rollouts.ports import SlotPhase, SlotStatus
from slipway.rollouts.state import Phase, RolloutState, Swap

# A quantile of 5 % tails needs some tails: five slow requests of a hundred.
ENOUGH_FOR_P95 = 100
UNREADY_S = 3.0
CRASHES = 2
MISROUTED_SHARE = 0.001
MISROUTED = 5


def shadow(state: RolloutState, seen: Observation, seconds: float, now: datetime) -> Move:
    if (move := _watched(state, seen, seconds, now)).state.phase is not Phase.SHADOW or _is_blind(seen):
        return move
    state, latency = move.state, seen.stable_latency
    if state.elapsed_s < state.plan.shadow_s or state.unready_s > 0:
        return move
    if latency.requests < ENOUGH_FOR_P95:
        words = f"{latency.requests} of {ENOUGH_FOR_P95} stable requests to fix what slow means"
        return Move(state, (f"waiting for {words}",))
    match state.plan.strategy:
        case Strategy.CANARY | Strategy.AB:
            return _climb(state, 0, seen, now)
        case Strategy.BLUE_GREEN:
            words = f"{state.plan.shadow_s:g} s of mirrored requests without a finding"
            ready = replace(state, decided_by="plan", reason=words, thresholds=_thresholds(state, seen))
            return _to_everyone(ready, words, now)
        case Strategy.SHADOW:
            words = f"{state.plan.shadow_s:g} s of mirrored requests, as planned; nobody was answered by the candidate"
            return retreat(state, Phase.OBSERVED, "plan", words, now)
        case _ as never:
            assert_never(never)


def canary(state: RolloutState, seen: Observation, seconds: float, now: datetime) -> Move:  # noqa: PLR0911  a way out for each case
    if (move := _watched(state, seen, seconds, now)).state.phase is not Phase.CANARY or _is_blind(seen):
        return move
    state, plan = move.state, move.state.plan
    step_now, last = plan.steps[state.step_index], state.step_index == len(plan.steps) - 1
    missing = [reading for reading in state.readings if not reading.is_safe]
    if last and not missing and plan.strategy is not Strategy.AB:
        reason = "no harm is proven: " + _proofs(state)
        return _to_everyone(replace(state, decided_by="evidence", reason=reason), reason, now)
    if state.elapsed_s < step_now.size_s:
        return move
    if plan.strategy is Strategy.AB:
        words = f"{step_now.size_s:g} s at {step_now.weight:g} %, as planned: " + _proofs(state)
        return retreat(state, Phase.OBSERVED, "plan", words, now)
    if last:
        words = "not enough evidence within the planned size: " + "; ".join(reading.words for reading in missing)
        return _hold_now(state, "evidence", words, now)
    if not _was_exposed(seen, step_now.share):
        return Move(state, (f"waiting for first requests at weight {step_now.weight:g} %",))
    return _climb(state, state.step_index + 1, seen, now)


def awaiting_approval(state: RolloutState, seen: Observation, seconds: float, now: datetime) -> Move:
    if (move := _watched(state, seen, seconds, now)).state.phase is not Phase.AWAITING_APPROVAL:
        return move
    state = move.state
    if state.approved_by:
        return _to_everyone(state, f"approved by {state.approved_by}", now)
    # People take their time whether or not requests come in.
    if (now - state.entered_at).total_seconds() > state.plan.approval_s:
        return _hold_now(state, "approval", f"nobody approved within {state.plan.approval_s:g} s", now)
    return Move(state, ("waiting for an approval", *move.reasons))


def soaking(state: RolloutState, seen: Observation, seconds: float, now: datetime) -> Move:
    if (move := _watched(state, seen, seconds, now)).state.phase is not Phase.SOAKING or _is_blind(seen):
        return move
    if move.state.elapsed_s < state.plan.soak_s or move.state.unready_s > 0:
        return move
    words = f"{state.plan.soak_s:g} s at 100 % without a finding; start the same release behind the stable slot"
    return enter(replace(move.state, swap=Swap.STARTING), Phase.SWAPPING, now, words)


def hold(state: RolloutState, seen: Observation, seconds: float, now: datetime) -> Move:
    move = _watched(state, seen, seconds, now)
    if move.state.phase is not Phase.HOLD:
        return move
    # Time passes here with or without evidence: a hold ends.
    state = replace(move.state, elapsed_s=state.elapsed_s + seconds)
    if state.elapsed_s < state.plan.hold_s:
        return Move(state, move.reasons)
    return retreat(state, Phase.HELD, state.decided_by, state.reason, now)


def _watched(state: RolloutState, seen: Observation, seconds: float, now: datetime) -> Move:
    """Read the guardrails and account for time; go back at once where anything speaks against the candidate."""
    shares = {Arm.STABLE: seen.stable.score_shares, Arm.CANDIDATE: seen.candidate.score_shares}
    readings = guardrails.read(
        state.plan, seen.counts, carried=state.carried, thresholds=state.thresholds, score_shares=shares
    )
    state = replace(state, readings=readings)
    found = deterministic(state, seen.candidate, seen, seconds)
    if found is None and state.had_traffic:
        harmful = next((r for r in readings if r.is_harmful and r.on_harm is OnHarm.ROLL_BACK), None)
        found = (harmful.guardrail, harmful.words) if harmful else None
    if found is not None:
        return retreat(state, Phase.ROLLED_BACK, *found, now)
    doubtful = next((r for r in readings if r.is_harmful and r.on_harm is OnHarm.HOLD), None)
    if doubtful is not None and state.had_traffic:
        return _hold_now(state, doubtful.guardrail, doubtful.words, now)
    state = replace(state, unready_s=unready_s(state, seen.candidate, seconds))
    if seen.counts.misrouted > max(MISROUTED, MISROUTED_SHARE * seen.counts.requests):
        words = f"{seen.counts.misrouted} requests went to another arm than the confirmed weight says: counts are void"
        return _hold_now(state, "assignment", words, now)
    if not _is_blind(seen):
        return Move(replace(state, elapsed_s=state.elapsed_s + seconds, blind_s=0.0))
    state = replace(state, blind_s=state.blind_s + seconds)
    why = "the edge has not confirmed the weights" if not seen.weight_confirmed else "no requests"
    if state.blind_s > state.plan.blind_s:
        return _hold_now(state, "blind", f"nothing was seen for {state.plan.blind_s:g} s: {why}", now)
    return Move(state, (f"nothing seen: {why}",))


def deterministic(state: RolloutState, slot: SlotStatus, seen: Observation, seconds: float) -> tuple[str, str] | None:
    """Return what needs no statistics: a guardrail's name and words."""
    if slot.restarts >= CRASHES:
        return "crash_loop", f"the candidate's process died {slot.restarts} times; {slot.words}"
    if unready_s(state, slot, seconds) > UNREADY_S:
        return "readiness", f"the candidate is not ready for {UNREADY_S:g} s: {slot.words or slot.phase}"
    counts = seen.counts
    if counts.first_candidate_failures >= FIRST_FAILURES:
        words = f"{counts.first_candidate_failures} of the candidate's first {counts.first_candidate_requests} requests"
        return "first_requests", f"{words} failed ({FIRST_FAILURES} of {FIRST_REQUESTS} are enough)"
    return None


def unready_s(state: RolloutState, slot: SlotStatus, seconds: float) -> float:
    return 0.0 if slot.phase is SlotPhase.READY else state.unready_s + seconds


def _is_blind(seen: Observation) -> bool:
    """Say whether a look saw nothing that could count: then nothing advances, and no time passes."""
    return seen.new_requests == 0 or not seen.weight_confirmed


def _was_exposed(seen: Observation, weight: int) -> bool:
    """Say whether anything was counted at a weight: time alone never raises it."""
    return any(stratum.weight == weight and stratum.trials.candidate > 0 for stratum in seen.counts.strata)


def _climb(state: RolloutState, index: int, seen: Observation, now: datetime) -> Move:
    """Enter a step of the ramp; what slow means in it is fixed by stable's requests before it."""
    thresholds = _thresholds(state, seen)
    slow = f"slow is above {thresholds.of_stable[0]:.1f} ms ({thresholds.of_candidate[0]:.1f} ms)" if thresholds else ""
    words = f"weight {state.plan.steps[index].weight:g} %: nothing speaks against it; {slow}"
    return enter(replace(state, step_index=index, thresholds=thresholds, had_traffic=True), Phase.CANARY, now, words)


def _thresholds(state: RolloutState, seen: Observation) -> Thresholds | None:
    if seen.stable_latency.requests < ENOUGH_FOR_P95:
        return state.thresholds
    return Thresholds.beside(seen.stable_latency, state.plan.guardrails)


def _to_everyone(state: RolloutState, words: str, now: datetime) -> Move:
    """Give the candidate all of the traffic, once somebody has approved where the plan asks for it."""
    if state.plan.approval and not state.approved_by:
        return enter(state, Phase.AWAITING_APPROVAL, now, f"{words}; waiting for an approval")
    return enter(replace(state, had_traffic=True), Phase.SOAKING, now, words)


def _hold_now(state: RolloutState, decided_by: str, words: str, now: datetime) -> Move:
    if state.phase is Phase.HOLD:
        return Move(state)
    return enter(replace(state, decided_by=decided_by, reason=words), Phase.HOLD, now, words)


def _proofs(state: RolloutState) -> str:
    return "; ".join(reading.words for reading in state.readings if reading.safe_log_e is not None)
