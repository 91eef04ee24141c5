"""What a state wants the world to be. The runner only converges to it, so a crash between any two acts is harmless."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import assert_never

from slipway.bentos.release import Release
from slipway.rollouts.ports import Split
from slipway.rollouts.routes import WHOLE
from slipway.rollouts.state import Kind, Phase, RolloutState, Swap

ALL_PERCENT = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Desired:
    """``slots`` are all processes that may run for the service; ``stable_slot`` takes everything not split off.

    ``wanted`` is the release that the service's release file names as its candidate; ``champion`` is the one whose
    model the registry's alias must name, ``None`` where it stays.
    """

    stable_slot: str
    candidate_slot: str
    stable: Release | None
    wanted: Release | None
    previous: Release | None
    champion: Release | None
    slots: Mapping[str, Release]


def desired(state: RolloutState) -> Desired:
    """Return what a state wants: pure, total, the same for ever."""
    swapped = state.phase is Phase.PROMOTED or (
        state.phase is Phase.SWAPPING and state.swap in {Swap.POINTED, Swap.DRAINING}
    )
    candidate_slot = state.slots.candidate if state.kind is Kind.ROLLOUT and _runs_candidate(state) else ""
    old = {state.slots.stable: state.stable} if state.stable and state.phase is not Phase.PROMOTED else {}
    arm = {candidate_slot: state.candidate} if candidate_slot else {}
    # On the way back the new stable process stays until the edge has left it.
    following = {state.slots.following: state.candidate} if _runs_following(state) else {}
    return Desired(
        stable_slot=state.slots.following if swapped else state.slots.stable,
        candidate_slot=candidate_slot,
        stable=state.candidate if swapped else state.stable,
        wanted=None if state.is_finished else state.candidate,
        previous=_previous(state) if swapped else state.previous,
        champion=state.candidate if swapped and state.swap is Swap.DRAINING else None,
        slots=old | arm | following,
    )


def split(state: RolloutState) -> Split:
    """Return the weights that a state wants."""
    if state.kind is not Kind.ROLLOUT:
        return Split()
    weight, shadow_percent = 0, 0
    match state.phase:
        case Phase.SHADOW:
            shadow_percent = ALL_PERCENT
        case Phase.CANARY | Phase.AWAITING_APPROVAL:
            weight = _step_share(state)
        case Phase.SOAKING:
            weight = WHOLE
        case Phase.SWAPPING:
            weight = 0 if state.swap is Swap.DRAINING else WHOLE
        case Phase.HOLD:
            weight = _step_share(state) if state.had_traffic and state.elapsed_s < state.plan.hold_s else 0
        case (
            Phase.PENDING
            | Phase.PREPARING
            | Phase.ROLLING_BACK
            | Phase.PROMOTED
            | Phase.ROLLED_BACK
            | Phase.HELD
            | Phase.OBSERVED
            | Phase.REJECTED
            | Phase.FAILED
            | Phase.SUPERSEDED
        ):
            pass
        case _ as never:
            assert_never(never)
    return Split(weight=weight, shadow_percent=shadow_percent)


def _step_share(state: RolloutState) -> int:
    # Without steps (blue_green) a hold has nothing to stay at.
    return state.plan.steps[state.step_index].share if state.plan.steps else 0


def acts(before: RolloutState, after: RolloutState) -> tuple[str, ...]:
    """Say in words what changes from one state's world to the next; for the event, the runner does not read it."""
    old, new = desired(before), desired(after)
    words = [f"start {release.name} in slot {slot}" for slot, release in new.slots.items() if slot not in old.slots]
    if new.stable_slot != old.stable_slot:
        words.append(f"point the stable slot to {new.stable_slot}")
    was, will = split(before), split(after)
    if will.shadow_percent != was.shadow_percent:
        words.append(f"mirror {will.shadow_percent} % of the requests to the candidate")
    if will.weight != was.weight:
        words.append(f"move the candidate's weight from {_percent(was)} to {_percent(will)}")
    words += [f"drain and stop slot {slot}" for slot in old.slots if slot not in new.slots]
    return tuple(words)


def _runs_candidate(state: RolloutState) -> bool:
    return not state.is_finished and state.phase is not Phase.PENDING


def _runs_following(state: RolloutState) -> bool:
    leaving = state.phase is Phase.ROLLING_BACK and state.swap is not None
    return state.phase in {Phase.SWAPPING, Phase.PROMOTED} or leaving


def _previous(state: RolloutState) -> Release | None:
    """What could be returned to: never the release that was just taken back."""
    return None if state.kind is Kind.ROLLBACK else state.stable


def _percent(wanted: Split) -> str:
    return f"{wanted.weight * ALL_PERCENT / WHOLE:g} %"
