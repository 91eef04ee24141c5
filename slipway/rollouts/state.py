"""The state of a rollout: one immutable value, written whole into every event, from which everything else follows."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from slipway.bentos.release import Release
from slipway.rollouts.counts import Arm
from slipway.rollouts.guardrails import Reading, Thresholds
from slipway.rollouts.plan import RolloutPlan
from slipway.rollouts.regimes import Regime

STREAMS = "rollout/"


class Kind(StrEnum):
    """What a rollout is for. Only ``ROLLOUT`` compares arms; the others put a release behind the stable slot."""

    ROLLOUT = "rollout"
    INSTALL = "install"
    ROLLBACK = "rollback"


class Phase(StrEnum):
    """Where a rollout is; those in :data:`TERMINAL` are never left."""

    PENDING = "PENDING"
    PREPARING = "PREPARING"
    SHADOW = "SHADOW"
    CANARY = "CANARY"
    SOAKING = "SOAKING"
    SWAPPING = "SWAPPING"
    AWAITING_APPROVAL = "AWAITING_APPROVAL"
    HOLD = "HOLD"
    ROLLING_BACK = "ROLLING_BACK"
    PROMOTED = "PROMOTED"
    ROLLED_BACK = "ROLLED_BACK"
    HELD = "HELD"
    OBSERVED = "OBSERVED"
    REJECTED = "REJECTED"
    FAILED = "FAILED"
    SUPERSEDED = "SUPERSEDED"


TERMINAL = frozenset(
    {
        Phase.PROMOTED,
        Phase.ROLLED_BACK,
        Phase.HELD,
        Phase.OBSERVED,
        Phase.REJECTED,
        Phase.FAILED,
        Phase.SUPERSEDED,
    },
)
# Phases in which the candidate's way leads back: adopted and acted on even when they can't be journalled at once.
RETREATING = TERMINAL - {Phase.PROMOTED} | {Phase.ROLLING_BACK, Phase.HOLD}


class Swap(StrEnum):
    """Where SWAPPING is: the new stable process starts, stands behind the stable slot, has the traffic back."""

    STARTING = "starting"
    POINTED = "pointed"
    DRAINING = "draining"


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotNames:
    """Which slots a rollout uses: stable's own, the candidate's, and the one that becomes stable's at the swap."""

    stable: str
    candidate: str
    following: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutState:
    """Everything that is remembered of a rollout.

    ``stable`` and ``previous`` are the service's releases when it began.

    ``elapsed_s`` is the time *with evidence* spent in this phase (and step): looks without requests, or with weights
    that the edge did not confirm, don't count. ``blind_s`` and ``unready_s`` are how long that, or an unready
    candidate, has lasted. ``ending`` is where ROLLING_BACK leads to. ``hosts`` are the addresses that answered for an
    arm; ``log_start`` is where in the access log the rollout began. While ``frozen_by`` (the service is frozen) or
    ``paused_by`` (this rollout is on hold) names somebody, weights stay, nothing advances, guardrails go on watching.
    """

    id: str
    content_id: str
    attempt: int
    kind: Kind
    service: str
    plan: RolloutPlan
    stable: Release | None
    candidate: Release
    previous: Release | None = None
    slots: SlotNames
    actor: str
    waits_for: tuple[str, ...] = ()
    passed: tuple[str, ...] = ()
    carried: Mapping[str, float] = field(default_factory=dict)
    phase: Phase = Phase.PENDING
    step_index: int = 0
    swap: Swap | None = None
    ending: Phase | None = None
    had_traffic: bool = False
    started_at: datetime
    entered_at: datetime
    looked_at: datetime
    finished_at: datetime | None = None
    elapsed_s: float = 0.0
    blind_s: float = 0.0
    unready_s: float = 0.0
    log_start: int = 0
    hosts: Mapping[Arm, tuple[str, ...]] = field(default_factory=dict)
    score_edges: Mapping[Arm, tuple[float, ...]] = field(default_factory=dict)
    frozen_by: str = ""
    paused_by: str = ""
    approved_by: str = ""
    thresholds: Thresholds | None = None
    regimes: tuple[Regime, ...] = ()
    readings: tuple[Reading, ...] = ()
    decided_by: str = ""
    reason: str = ""

    @property
    def is_finished(self) -> bool:
        return self.phase in TERMINAL

    @property
    def label(self) -> str:
        """Return the phase as people read it: ``CANARY[1]``."""
        label = f"{self.phase}[{self.step_index}]" if self.phase is Phase.CANARY else str(self.phase)
        if self.frozen_by and not self.is_finished:
            return f"FROZEN({label})"
        return f"HOLD({label})" if self.paused_by and not self.is_finished else label

    @property
    def is_urgent(self) -> bool:
        """Whether it must go on without the database: it leads back to a release that was good."""
        return self.phase in RETREATING or self.kind is Kind.ROLLBACK

    @property
    def stream(self) -> str:
        """Return the name of its stream in the journal."""
        return f"{STREAMS}{self.service}/{self.id}"

    @property
    def salt(self) -> str:
        """Return what is put in front of a unit before it is hashed: each rollout draws anew."""
        return self.id
