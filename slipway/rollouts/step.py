"""The pure core: from a state and an observation to the next state, with the acts that follow and the reasons."""

from dataclasses import replace
from datetime import datetime
from typing import NamedTuple, assert_never

from slipway.rollouts.desired import acts
from slipway.rollouts.moves import Move, retreat
from slipway.rollouts.observation import Command, Observation, Order
from slipway.rollouts.placing import pending, preparing, rolling_back, swapping
from slipway.rollouts.state import Phase, RolloutState
from slipway.rollouts.watching import awaiting_approval, canary, hold, shadow, soaking

# A look that comes later than this was missed; what happened meanwhile is not counted as time under watch.
LONGEST_LOOK_S = 2.0


# SWAPPING goes on: both of its processes are the same release, and the traffic is on its way back to one of them.
PAUSABLE = frozenset(
    {Phase.PENDING, Phase.PREPARING, Phase.SHADOW, Phase.CANARY, Phase.AWAITING_APPROVAL, Phase.SOAKING, Phase.HOLD}
)


class Stepped(NamedTuple):
    """What a step gives."""

    state: RolloutState
    actions: tuple[str, ...]
    reasons: tuple[str, ...]


def step(state: RolloutState, observation: Observation, now: datetime) -> Stepped:
    """Decide what a look means. Rollback is legal from every state that is not terminal and needs no evidence.

    Missing evidence never advances: without requests, confirmed weights or a ready candidate no time passes, and past
    the plan's blind time the candidate goes back to weight 0.
    """
    if state.is_finished:
        return Stepped(state, (), ())
    seconds = min(max((now - state.looked_at).total_seconds(), 0.0), LONGEST_LOOK_S)
    looked = replace(
        state,
        looked_at=now,
        regimes=observation.regimes,
        hosts=observation.hosts,
        score_edges=observation.score_edges,
    )
    ordered, said = _obey(looked, observation.commands, now)
    if ordered.phase is Phase.ROLLING_BACK and state.phase is not Phase.ROLLING_BACK:
        after, reasons = ordered, said
    else:
        move = _advance(ordered, observation, seconds, now)
        if (by := ordered.frozen_by or ordered.paused_by) and ordered.phase in PAUSABLE:
            move = _stay(ordered, move, by)
        after, reasons = move.state, said + move.reasons
    if after.is_finished:
        after = replace(after, finished_at=now)
    return Stepped(after, acts(state, after), reasons)


def _obey(state: RolloutState, commands: tuple[Command, ...], now: datetime) -> Move:  # noqa: C901, PLR0912  a case for each order
    reasons: list[str] = []
    for command in commands:
        if state.phase is Phase.ROLLING_BACK:
            break
        match command.order:
            case Order.PASS:
                if command.gate in state.waits_for and command.gate not in state.passed:
                    state = replace(state, passed=(*state.passed, command.gate))
                    reasons.append(f"gate {command.gate} passed ({command.actor})")
            case Order.REFUSE:
                words = command.reason or f"gate {command.gate} was not passed"
                state, said = retreat(state, Phase.REJECTED, command.gate, words, now)
                reasons += said
            case Order.ABORT:
                words = f"aborted by {command.actor}: {command.reason or 'no reason given'}"
                state, said = retreat(state, Phase.ROLLED_BACK, "operator", words, now)
                reasons += said
            case Order.SUPERSEDE:
                words = f"superseded by another rollout of {command.actor}"
                state, said = retreat(state, Phase.SUPERSEDED, "superseded", words, now)
                reasons += said
            case Order.APPROVE:
                if state.plan.approval and not state.approved_by:
                    state = replace(state, approved_by=command.actor)
                    reasons.append(f"approved by {command.actor}{_because(command)}")
            case Order.HOLD:
                state = replace(state, paused_by=command.actor)
                reasons.append(f"put on hold by {command.actor}{_because(command)}")
            case Order.RESUME:
                state = replace(state, paused_by="")
                reasons.append(f"resumed by {command.actor}{_because(command)}")
            case Order.FREEZE:
                state = replace(state, frozen_by=command.actor)
                reasons.append(f"frozen by {command.actor}{_because(command)}")
            case Order.UNFREEZE:
                state = replace(state, frozen_by="")
                reasons.append(f"unfrozen by {command.actor}{_because(command)}")
            case _ as never:
                assert_never(never)
    return Move(state, tuple(reasons))


def _because(command: Command) -> str:
    return f": {command.reason}" if command.reason else ""


def _stay(before: RolloutState, move: Move, by: str) -> Move:
    """Let nothing advance and no time pass; what leads back goes on."""
    after = move.state
    if after.phase is Phase.ROLLING_BACK or (after.phase is Phase.HOLD and before.phase is not Phase.HOLD):
        return move
    kept = replace(before, readings=after.readings if after.phase is before.phase else before.readings)
    return Move(kept, (f"nothing advances while {by} has stopped it",))


def _advance(state: RolloutState, seen: Observation, seconds: float, now: datetime) -> Move:  # noqa: C901, PLR0911  one for each phase
    match state.phase:
        case Phase.PENDING:
            return pending(state, seen, seconds, now)
        case Phase.PREPARING:
            return preparing(state, seen, seconds, now)
        case Phase.SHADOW:
            return shadow(state, seen, seconds, now)
        case Phase.CANARY:
            return canary(state, seen, seconds, now)
        case Phase.AWAITING_APPROVAL:
            return awaiting_approval(state, seen, seconds, now)
        case Phase.SOAKING:
            return soaking(state, seen, seconds, now)
        case Phase.SWAPPING:
            return swapping(state, seen, seconds, now)
        case Phase.HOLD:
            return hold(state, seen, seconds, now)
        case Phase.ROLLING_BACK:
            return rolling_back(state, seen, seconds, now)
        case (
            Phase.PROMOTED
            | Phase.ROLLED_BACK
            | Phase.HELD
            | Phase.OBSERVED
            | Phase.REJECTED
            | Phase.FAILED
            | Phase.SUPERSEDED
        ):
            return Move(state)
        case _ as never:
            assert_never(never)
