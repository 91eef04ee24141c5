"""The pure core: from a state and an observation to the next state, with the acts that follow and the reasons."""

from dataclasses import replace
from datetime import datetime
from typing import NamedTuple, assert_never

from slipway.rollouts.desired import acts
from slipway.rollouts.moves import Move, retreat
from slipway.rollouts.observation import Command, Observation, Order
from slipway.rollouts.placing import pending, preparing, rolling_back, swapping
from slipway.rollouts.state import Phase, RolloutState
from slipway.rollouts.watching import canary, hold, shadow, soaking

# A look that comes later than this was missed; what happened meanwhile is not counted as time under watch.
LONGEST_LOOK_S = 2.0


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
    looked = replace(state, looked_at=now, regimes=observation.regimes, hosts=observation.hosts)
    ordered, said = _obey(looked, observation.commands, now)
    if ordered.phase is Phase.ROLLING_BACK and state.phase is not Phase.ROLLING_BACK:
        after, reasons = ordered, said
    else:
        move = _advance(ordered, observation, seconds, now)
        after, reasons = move.state, said + move.reasons
    if after.is_finished:
        after = replace(after, finished_at=now)
    return Stepped(after, acts(state, after), reasons)


def _obey(state: RolloutState, commands: tuple[Command, ...], now: datetime) -> Move:
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
            case _ as never:
                assert_never(never)
    return Move(state, tuple(reasons))


def _advance(state: RolloutState, seen: Observation, seconds: float, now: datetime) -> Move:  # noqa: PLR0911  a way out for each phase
    match state.phase:
        case Phase.PENDING:
            return pending(state, seen, seconds, now)
        case Phase.PREPARING:
            return preparing(state, seen, seconds, now)
        case Phase.SHADOW:
            return shadow(state, seen, seconds, now)
        case Phase.CANARY:
            return canary(state, seen, seconds, now)
        case Phase.SOAKING:
            return soaking(state, seen, seconds, now)
        case Phase.SWAPPING:
            return swapping(state, seen, seconds, now)
        case Phase.HOLD:
            return hold(state, seen, seconds, now)
        case Phase.ROLLING_BACK:
            return rolling_back(state, seen, seconds, now)
        case Phase.PROMOTED | Phase.ROLLED_BACK | Phase.HELD | Phase.REJECTED | Phase.FAILED | Phase.SUPERSEDED:
            return Move(state)
        case _ as never:
            assert_never(never)
