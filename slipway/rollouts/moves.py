"""Moves from one state to the next: what the phases have in common."""

from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from slipway.rollouts.state import Phase, RolloutState


class Move(NamedTuple):
    """The state that a look leads to, and why."""

    state: RolloutState
    reasons: tuple[str, ...] = ()


def enter(state: RolloutState, phase: Phase, now: datetime, reason: str) -> Move:
    """Enter a phase, or a part of one, with its clocks at zero."""
    entered = replace(state, phase=phase, entered_at=now, elapsed_s=0.0, blind_s=0.0, unready_s=0.0)
    return Move(entered, (reason,))


def retreat(state: RolloutState, ending: Phase, decided_by: str, words: str, now: datetime) -> Move:
    """Turn back for good: weight 0 now, ``ending`` when everything is drained."""
    decided = replace(state, ending=ending, decided_by=decided_by, reason=words)
    return enter(decided, Phase.ROLLING_BACK, now, words)


def wait(state: RolloutState, seconds: float, now: datetime, what: str) -> Move:
    """Stay, for as long as the plan lets gates be open."""
    waited = replace(state, elapsed_s=state.elapsed_s + seconds)
    if waited.elapsed_s > state.plan.gates_s:
        words = f"waited {state.plan.gates_s:g} s for {what}; start the rollout again"
        return retreat(state, Phase.FAILED, "timeout", words, now)
    return Move(waited, (f"waiting for {what}",))
