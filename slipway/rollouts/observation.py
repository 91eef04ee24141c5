"""What a look sees: everything that :func:`slipway.rollouts.step.step` may decide from, and nothing else."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from slipway.rollouts.counts import Arm, ArmWindow, Counts
from slipway.rollouts.latency import StableLatency
from slipway.rollouts.ports import SlotStatus
from slipway.rollouts.regimes import Regime

NOTHING = SlotStatus()


class Order(StrEnum):
    """What somebody may tell a rollout to do."""

    PASS = "pass"  # noqa: S105  a gate was passed
    REFUSE = "refuse"
    ABORT = "abort"
    SUPERSEDE = "supersede"
    APPROVE = "approve"
    HOLD = "hold"
    RESUME = "resume"
    FREEZE = "freeze"
    UNFREEZE = "unfreeze"


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """An order, with who gave it; ``gate`` for PASS and REFUSE."""

    order: Order
    actor: str
    gate: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """One look at the world.

    ``new_requests``: of this service since the last look. ``weight_confirmed``: the edge has the wanted weight.
    ``routed``: the edge uses the wanted slots. ``alone``: no other rollout of the service is on its way.
    ``champion_moved``: the registry's alias names the new stable version. ``log_position``: how far the access log was
    read; committed with the event, so that no line is lost or counted twice.
    """

    commands: tuple[Command, ...] = ()
    stable: SlotStatus = NOTHING
    candidate: SlotStatus = NOTHING
    following: SlotStatus = NOTHING
    counts: Counts = field(default_factory=Counts)
    stable_latency: StableLatency = field(default_factory=StableLatency)
    regimes: tuple[Regime, ...] = ()
    hosts: Mapping[Arm, tuple[str, ...]] = field(default_factory=dict)
    score_edges: Mapping[Arm, tuple[float, ...]] = field(default_factory=dict)
    stable_window: ArmWindow = field(default_factory=ArmWindow)
    candidate_window: ArmWindow = field(default_factory=ArmWindow)
    new_requests: int = 0
    weight_confirmed: bool = False
    routed: bool = False
    alone: bool = True
    champion_moved: bool = False
    log_position: int = 0
