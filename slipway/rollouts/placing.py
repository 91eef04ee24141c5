"""The phases in which processes come and go: PENDING, PREPARING, SWAPPING, ROLLING_BACK."""

from dataclasses import replace
from datetime import datetime
from typing import assert_never

from slipway.rollouts.moves import Move, enter, retreat, wait
from slipway.rollouts.observation import Observation
from slipway.rollouts.ports import SlotPhase, SlotStatus
from slipway.rollouts.state import Kind, Phase, RolloutState, Swap
from slipway.rollouts.watching import CRASHES, deterministic, unready_s

DRAIN_S = 2.0
# An edge that confirms nothing has dropped the weights by itself after its time to live (3 s).
UNCONFIRMED_DRAIN_S = 5.0
START_S = 120.0
CHAMPION_S = 5.0


def pending(state: RolloutState, seen: Observation, seconds: float, now: datetime) -> Move:
    if not seen.alone:
        return wait(state, seconds, now, "the service's other rollout to end")
    if state.kind is not Kind.ROLLOUT:
        return enter(replace(state, swap=Swap.STARTING), Phase.SWAPPING, now, f"start {state.candidate.name} as stable")
    if seen.stable.phase is not SlotPhase.READY:
        return wait(state, seconds, now, f"the stable release to be ready ({seen.stable.words or seen.stable.phase})")
    return enter(state, Phase.PREPARING, now, f"start {state.candidate.name} beside {_name(state)}")


def preparing(state: RolloutState, seen: Observation, seconds: float, now: datetime) -> Move:
    candidate = seen.candidate
    if (refused := _refuse(state, candidate, now)) is not None:
        return refused
    open_gates = [gate for gate in state.waits_for if gate not in state.passed]
    if candidate.phase is SlotPhase.READY and candidate.golden:
        if not open_gates:
            reason = f"candidate ready, {candidate.words or 'golden rows passed'}; mirror requests to it"
            return enter(state, Phase.SHADOW, now, reason)
        return wait(state, seconds, now, f"gate {', '.join(open_gates)}")
    move = wait(state, seconds, now, f"the candidate to be ready ({candidate.words or candidate.phase})")
    if move.state.phase is Phase.PREPARING and not candidate.golden and move.state.elapsed_s > START_S:
        words = f"the candidate was not ready within {START_S:g} s: {candidate.words or candidate.phase}"
        return retreat(state, Phase.FAILED, "start", words, now)
    return move


def _refuse(state: RolloutState, slot: SlotStatus, now: datetime) -> Move | None:
    """Stop a release that fails before any user met it."""
    if slot.golden is False:
        return retreat(state, Phase.REJECTED, "golden_rows", slot.words or "golden rows differ", now)
    if slot.phase is SlotPhase.FAILED:
        return retreat(state, Phase.FAILED, "start", f"{state.candidate.name} can't start: {slot.words}", now)
    if slot.restarts >= CRASHES:
        words = f"{state.candidate.name} died {slot.restarts} times before it had any traffic; {slot.words}"
        return retreat(state, Phase.REJECTED, "crash_loop", words, now)
    return None


def swapping(state: RolloutState, seen: Observation, seconds: float, now: datetime) -> Move:  # noqa: PLR0911  a way out for each part
    if state.kind is Kind.ROLLOUT and state.swap is not Swap.DRAINING:
        found = deterministic(state, seen.candidate, seen, seconds)
        if found is not None:
            return retreat(state, Phase.ROLLED_BACK, *found, now)
        state = replace(state, unready_s=unready_s(state, seen.candidate, seconds))
    state = replace(state, elapsed_s=state.elapsed_s + seconds)
    match state.swap:
        case Swap.STARTING | None:
            refused = _refuse(state, seen.following, now)
            if refused is not None:
                return refused
            if seen.following.phase is SlotPhase.READY and seen.following.golden:
                words = f"{state.candidate.name} is ready behind the stable slot, {seen.following.words}"
                return enter(replace(state, swap=Swap.POINTED), Phase.SWAPPING, now, words)
            if state.elapsed_s > START_S:
                words = f"{state.candidate.name} was not ready within {START_S:g} s: {seen.following.words}"
                return retreat(state, Phase.FAILED, "start", words, now)
            return Move(state)
        case Swap.POINTED:
            if seen.routed and state.elapsed_s >= 1:
                words = "the edge uses the new stable slot; weights return to it"
                return enter(replace(state, swap=Swap.DRAINING), Phase.SWAPPING, now, words)
            return Move(state)
        case Swap.DRAINING:
            return _draining(state, seen, now)
        case _ as never:
            assert_never(never)


def _draining(state: RolloutState, seen: Observation, now: datetime) -> Move:
    if state.elapsed_s < (DRAIN_S if seen.weight_confirmed else UNCONFIRMED_DRAIN_S):
        return Move(state)
    # A way back waits for nobody; for others the alias is part of being promoted, as long as the registry answers.
    if not seen.champion_moved and state.elapsed_s < CHAMPION_S and state.kind is not Kind.ROLLBACK:
        return Move(state, ("waiting for the registry to move the alias champion",))
    late = "" if seen.champion_moved else "; the registry does not answer, its alias champion will follow"
    words = state.reason or f"{state.candidate.name} is stable"
    decided_by = state.decided_by or str(state.kind)
    promoted = replace(state, phase=Phase.PROMOTED, entered_at=now, decided_by=decided_by, reason=words)
    return Move(promoted, (f"{state.candidate.name} has all of the traffic{late}",))


def rolling_back(state: RolloutState, seen: Observation, seconds: float, now: datetime) -> Move:
    state = replace(state, elapsed_s=state.elapsed_s + seconds)
    ending = state.ending or Phase.ROLLED_BACK
    drain_s = (DRAIN_S if seen.weight_confirmed else UNCONFIRMED_DRAIN_S) if state.had_traffic else 0.0
    if state.elapsed_s < drain_s or not (seen.routed or state.elapsed_s > UNCONFIRMED_DRAIN_S):
        return Move(state)
    ended = replace(state, phase=ending, entered_at=now)
    return Move(ended, (f"all of the traffic is on {_name(state)}; the candidate's process stops",))


def _name(state: RolloutState) -> str:
    return state.stable.name if state.stable else "nothing"
