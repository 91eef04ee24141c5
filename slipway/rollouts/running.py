"""A rollout that is being driven: its state, its last event, and what was counted for it so far."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from slipway.monitoring.journal import Entry
from slipway.rollouts.codec import from_json
from slipway.rollouts.counts import Arm
from slipway.rollouts.desired import desired, split
from slipway.rollouts.envoy import fallback_cluster
from slipway.rollouts.observation import NOTHING, Command, Observation
from slipway.rollouts.observer import Line, Tally
from slipway.rollouts.ports import Edge, Releases, Slots, SlotStatus, Split
from slipway.rollouts.regimes import Wanted, extend
from slipway.rollouts.state import Kind, Phase, RolloutState

# A database that is away for less than this may be restarting: the weights stay. Longer, and all traffic goes to stable
# until it is back.
JOURNAL_GRACE_S = 3.0
COUNTING = frozenset({Phase.SHADOW, Phase.CANARY, Phase.AWAITING_APPROVAL, Phase.SOAKING, Phase.SWAPPING, Phase.HOLD})


@dataclass(slots=True, kw_only=True)
class Running:
    """``head`` is the last event, ``seen`` what it saw; ``position`` is how far the access log was read."""

    state: RolloutState
    head: Entry
    tally: Tally
    position: int
    seen: Observation
    commands: list[Command] = field(default_factory=list)
    unjournalled_since: datetime | None = None

    @classmethod
    def begun(cls, state: RolloutState, head: Entry, seen: Observation | None = None) -> "Running":
        """Return a rollout with nothing folded yet: its log is read from its start."""
        tally = Tally(
            service=state.service,
            candidate_cluster=fallback_cluster(state.service),
            salt=state.salt,
            unit=state.plan.unit,
            hosts=state.hosts,
            score_edges=state.score_edges,
        )
        return cls(state=state, head=head, tally=tally, position=state.log_start, seen=seen or Observation())

    @classmethod
    def restored(cls, head: Entry) -> "Running":
        """Return the rollout as its last event left it; raise ``msgspec.ValidationError`` for an unknown shape."""
        state = from_json(head.data["state"], RolloutState)
        seen = from_json(head.data.get("observation", {}), Observation)
        return cls.begun(state, head, seen)

    def split(self, now: datetime) -> Split:
        """Return the weights in force: what the state wants, unless the journal has been away for too long."""
        since = self.unjournalled_since
        if since is not None and (now - since).total_seconds() > JOURNAL_GRACE_S:
            return Split()
        return split(self.state)


def observe(
    running: Running,
    lines: list[Line],
    now: datetime,
    *,
    edge: Edge,
    slots: Slots,
    releases: Releases,
    routed: bool,
    alone: bool,
) -> Observation:
    """Fold new lines into the rollout's tally and return everything that a step decides from."""
    state, tally, now_s = running.state, running.tally, now.timestamp()
    names = state.slots
    stable, candidate, following = (
        slots.look(state.service, slot) if slot else NOTHING
        for slot in (names.stable, names.candidate if state.kind is Kind.ROLLOUT else "", names.following)
    )
    exposures = edge.exposures(state.service)
    weight = split(state).weight
    wanted = Wanted(weight=weight, since_s=state.entered_at.timestamp(), thresholds=state.thresholds)
    regimes = extend(state.regimes, exposures, wanted=wanted if state.phase in COUNTING else None, now_s=now_s)
    hosts = _hosts(state.hosts, {Arm.STABLE: (stable, following), Arm.CANDIDATE: (candidate,)})
    tally.hosts = hosts
    tally.score_edges = {
        arm: slot.score_edges or state.score_edges.get(arm, ())
        for arm, slot in ((Arm.STABLE, stable), (Arm.CANDIDATE, candidate))
    }
    tally.fold(lines, regimes)
    stable_window, candidate_window, new_requests = tally.close_window()
    champion = desired(state).champion
    latest = exposures[-1] if exposures else None
    return Observation(
        commands=tuple(running.commands),
        stable=stable,
        candidate=candidate,
        following=following,
        counts=tally.counts(),
        stable_latency=tally.stable_latency(),
        regimes=regimes,
        hosts=hosts,
        score_edges=tally.score_edges,
        stable_window=stable_window,
        candidate_window=candidate_window,
        new_requests=new_requests,
        weight_confirmed=latest is not None and latest.weight == weight and latest.until_s >= now_s,
        routed=routed,
        alone=alone,
        champion_moved=champion is not None and releases.champion_is(champion),
        log_position=running.position,
    )


def _hosts(
    known: Mapping[Arm, tuple[str, ...]], slots: Mapping[Arm, tuple[SlotStatus, ...]]
) -> dict[Arm, tuple[str, ...]]:
    """Return the addresses of each arm's own processes, those of this look added."""
    return {
        arm: tuple(dict.fromkeys([*known.get(arm, ()), *(str(slot.address) for slot in slots[arm] if slot.address)]))
        for arm in Arm
    }
