"""The rollout for the report, from its journal and from what the traffic generator counted."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec

from slipway.pipeline.report import material
from slipway.pipeline.report.errors import MaterialUnreadable
from slipway.pipeline.report.values import (
    Absent,
    ArmTotal,
    ArmWindow,
    Climb,
    Guardrail,
    Look,
    Moment,
    Rollout,
    Stage,
    Tone,
    Traffic,
)
from slipway.pipeline.report.words import share
from slipway.rollouts.codec import from_json
from slipway.rollouts.desired import split
from slipway.rollouts.guardrails import ABSOLUTE, Reading
from slipway.rollouts.observation import Observation
from slipway.rollouts.plan import RolloutPlan
from slipway.rollouts.routes import WHOLE
from slipway.rollouts.state import TERMINAL, Phase, RolloutState, Swap

EVENTS = "events.json"
TRAFFIC = "traffic.json"

NAMES = {
    Phase.PENDING: "queue",
    Phase.PREPARING: "prepare",
    Phase.SHADOW: "shadow",
    Phase.SOAKING: "soak",
    Phase.HOLD: "hold",
    Phase.ROLLING_BACK: "roll back",
}
WATCHED = frozenset({Phase.SHADOW, Phase.CANARY, Phase.SOAKING, Phase.HOLD})
SWAPPED = frozenset({Swap.POINTED, Swap.DRAINING})
TONES = {
    Phase.PROMOTED: Tone.GOOD,
    Phase.ROLLING_BACK: Tone.BAD,
    Phase.ROLLED_BACK: Tone.BAD,
    Phase.REJECTED: Tone.BAD,
    Phase.FAILED: Tone.BAD,
    Phase.HOLD: Tone.HELD,
    Phase.HELD: Tone.HELD,
}


class FileTraffic(msgspec.Struct, frozen=True, kw_only=True):
    """``traffic.json``, as the traffic generator writes it."""

    requests: int
    failed: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None


class FileEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One event of the journal; the first one, ``started``, has seen nothing yet."""

    at: datetime
    kind: str
    state: dict[str, Any]
    observation: dict[str, Any] | None = None
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """An event with the controller's own types."""

    at: datetime
    state: RolloutState
    seen: Observation | None
    reasons: tuple[str, ...]

    @property
    def at_s(self) -> float:
        return (self.at - self.state.started_at).total_seconds()


@dataclass(frozen=True, slots=True, kw_only=True)
class Journal:
    """A rollout's events, the first first, and the users' side of it where that was counted."""

    events: tuple[Event, ...]
    traffic: Traffic | None

    @property
    def last(self) -> RolloutState:
        return self.events[-1].state


def read(folder: Path) -> Journal:
    """Read a rollout's events, and the counts of the traffic generator where there are any."""
    path = folder / EVENTS
    found = material.read(path, tuple[FileEvent, ...])
    if not found:
        raise MaterialUnreadable(f"{path} holds no event; {material.AGAIN}")
    try:
        events = tuple(_event(event) for event in found)
    except msgspec.ValidationError as error:
        raise MaterialUnreadable(f"{path} does not hold what it should: {error}; {material.AGAIN}") from None
    counted = material.read(folder / TRAFFIC, FileTraffic) if (folder / TRAFFIC).is_file() else None
    traffic = (
        None
        if counted is None
        else Traffic(
            requests=counted.requests,
            failed=counted.failed,
            p50_ms=counted.p50_ms,
            p95_ms=counted.p95_ms,
            p99_ms=counted.p99_ms,
        )
    )
    return Journal(events=events, traffic=traffic)


def _event(event: FileEvent) -> Event:
    seen = None if event.observation is None else from_json(event.observation, Observation)
    return Event(at=event.at, state=from_json(event.state, RolloutState), seen=seen, reasons=event.reasons)


def rollout(journal: Journal) -> Rollout | Absent:
    """Return the section on the rollout; one that ended before the candidate was watched is a sentence."""
    last = journal.last
    looks = tuple(_looks(journal.events))
    guardrails = tuple(_guardrails(journal.events, last.plan))
    if not guardrails:
        ended = f"was opened and ended as {last.phase.lower().replace('_', ' ')} before the candidate had any traffic"
        return Absent(why=f"There is no rollout to show: it {ended}: {last.reason}. No user met the candidate.")
    counts = next(event.seen.counts for event in reversed(journal.events) if event.seen is not None)
    before = last.stable
    return Rollout(
        id=last.id,
        state=last.phase,
        tone=TONES.get(last.phase, Tone.PLAIN),
        decided_by=last.decided_by,
        reason=last.reason,
        seconds=journal.events[-1].at_s,
        requests=counts.requests,
        candidate_requests=counts.candidate_requests,
        failed_requests_seen_by_users=max(counts.user_failures, journal.traffic.failed if journal.traffic else 0),
        failed_in_access_log=counts.user_failures,
        stable_name=f"{before.model} {before.model_version}" if before else "stable",
        candidate_name=f"{last.candidate.model} {last.candidate.model_version}",
        stable=_total([look.stable for look in looks]),
        candidate=_total([look.candidate for look in looks]),
        traffic=journal.traffic,
        looks=looks,
        stages=tuple(_stages(journal.events)),
        guardrails=guardrails,
    )


def moments(journal: Journal, start: datetime) -> tuple[Moment, ...]:
    """Return what was decided, once each: looks that only wait on in the same state say nothing new."""
    found = []
    before = ("", "")
    for event in journal.events:
        for reason in event.reasons:
            gist = (event.state.label, re.sub(r"[\d.,]+", "#", reason))
            if gist != before:
                found.append(
                    Moment(
                        at=event.at,
                        at_s=(event.at - start).total_seconds(),
                        step="rollout",
                        words=reason,
                        tone=TONES.get(event.state.phase, Tone.PLAIN),
                    )
                )
            before = gist
    return tuple(found)


def _share(state: RolloutState) -> float:
    """Return the share of users that the new release answers: behind the candidate's slot, or behind stable's own."""
    return 1.0 if _is_swapped(state) else split(state).weight / WHOLE


def _is_swapped(state: RolloutState) -> bool:
    return state.phase is Phase.PROMOTED or (state.phase is Phase.SWAPPING and state.swap in SWAPPED)


def _looks(events: Sequence[Event]) -> Iterator[Look]:
    for before, event in pairwise(events):
        if event.seen is None:
            continue
        stable, candidate = (_window(event.seen, arm) for arm in ("stable_window", "candidate_window"))
        if _is_swapped(before.state):
            # The new release stands behind the stable slot by now: what that answers is no longer the old one's.
            stable, candidate = ArmWindow(), _merged(stable, candidate)
        yield Look(
            at_s=event.at_s,
            seconds=max((event.at - before.at).total_seconds(), 0.001),
            stable=stable,
            candidate=candidate,
        )


def _window(seen: Observation, arm: str) -> ArmWindow:
    found = getattr(seen, arm)
    return ArmWindow(requests=found.requests, failures=found.failures, p50_ms=found.p50_ms, p95_ms=found.p95_ms)


def _merged(one: ArmWindow, other: ArmWindow) -> ArmWindow:
    larger = max(one, other, key=lambda window: window.requests)
    return ArmWindow(
        requests=one.requests + other.requests,
        failures=one.failures + other.failures,
        p50_ms=larger.p50_ms,
        p95_ms=larger.p95_ms,
    )


def _total(windows: Sequence[ArmWindow]) -> ArmTotal:
    return ArmTotal(
        requests=sum(window.requests for window in windows),
        failures=sum(window.failures for window in windows),
        p50_ms=_middle([(window.p50_ms, window.requests) for window in windows if window.p50_ms is not None]),
        p95_ms=_middle([(window.p95_ms, window.requests) for window in windows if window.p95_ms is not None]),
    )


def _middle(weighted: Sequence[tuple[float, int]]) -> float | None:
    """Return the median of values that count so many times.

    >>> _middle([(1.0, 5), (9.0, 1), (2.0, 5)])
    2.0
    """
    half, seen = sum(times for _, times in weighted) / 2, 0
    for value, times in sorted(weighted):
        seen += times
        if seen >= half:
            return value
    return None


def _stages(events: Sequence[Event]) -> Iterator[Stage]:
    """Yield stretches of one state and one share; a state ends where the next event that differs begins."""
    begun = events[0]
    for before, event in pairwise([*events, None]):
        assert before is not None  # noqa: S101  only the last one is nothing
        if event is not None and _key(event.state) == _key(begun.state):
            continue
        end_s = before.at_s if event is None else event.at_s
        if begun.state.phase not in TERMINAL and end_s > begun.at_s:
            yield Stage(
                state=begun.state.phase,
                name=_name(begun.state),
                start_s=begun.at_s,
                end_s=end_s,
                weight=_share(begun.state),
            )
        if event is not None:
            begun = event


def _key(state: RolloutState) -> tuple[str, float, str]:
    return state.label, _share(state), _name(state)


def _name(state: RolloutState) -> str:
    match state.phase:
        case Phase.CANARY:
            return f"canary {100 * _share(state):g} %"
        case Phase.SWAPPING:
            return "drain" if state.swap is Swap.DRAINING else "swap"
        case phase:
            return NAMES.get(phase, phase.lower().replace("_", " "))


def _guardrails(events: Sequence[Event], plan: RolloutPlan) -> Iterator[Guardrail]:
    """Yield every guardrail that was read, with its evidence look by look."""
    series: dict[str, list[tuple[float, Reading]]] = {}
    for before, event in pairwise(events):
        # The look that takes a candidate back has read its guardrails too.
        if event.state.phase in WATCHED or before.state.phase in WATCHED:
            for reading in event.state.readings:
                series.setdefault(reading.guardrail, []).append((event.at_s, reading))
    for name, read_at in series.items():
        latest = read_at[-1][1]
        title, about = _about(name, plan)
        yield Guardrail(
            name=name,
            title=title,
            about=about,
            words=latest.words.removeprefix(f"{name}: "),
            promote=None
            if latest.safe_log_e is None
            else Climb(
                at_s=tuple(at_s for at_s, _ in read_at),
                log_e=tuple(reading.safe_log_e or 0.0 for _, reading in read_at),
                line=latest.safe_line,
            ),
            roll_back=Climb(
                at_s=tuple(at_s for at_s, _ in read_at),
                log_e=tuple(reading.harm_log_e for _, reading in read_at),
                line=latest.harm_line,
            ),
        )


# What the guardrails that never promote are there for.
OTHERS = {
    "p99": ("Very slow requests against stable", "As for slow requests, by stable's p99."),
    "latency": (
        "Typical latency against stable",
        "Taken back on proof that the geometric mean latency is higher than the plan allows.",
    ),
    "slo": ("Slow requests against the objective", "Taken back where too many take longer than the plan's limit."),
    "fallback": (
        "Predictions from defaults against stable",
        "Taken back on proof that it predicts from defaults instead of features more often than stable.",
    ),
    "drift": (
        "Scores against its own hold-out rows",
        "Held where the candidate's scores have moved from those of its hold-out rows, and stable's have not.",
    ),
    "sample_ratio": ("Users against the weights", "Held where users are not split as the weights say."),
}


def _about(name: str, plan: RolloutPlan) -> tuple[str, str]:
    errors, slow = plan.guardrails.errors, plan.guardrails.p95
    if name == ABSOLUTE:
        return (
            "Errors against the limit",
            f"Taken back where the candidate fails more than {share(errors.limit)} of users.",
        )
    if name == "errors":
        return "Errors against stable", (
            f"Promoted on proof that it fails at most {1 + errors.margin:g} times as often as stable, or below "
            f"{share(errors.delta)}. Taken back on proof that it fails more often than stable."
        )
    if name == "p95":
        return "Slow requests against stable", (
            "Slow is above stable's p95 from before the step; for the candidate that is raised to "
            f"{slow.ratio:g} times it, at least {slow.floor_ms:g} ms. Promoted on proof of at most "
            f"{1 + slow.margin:g} times stable's share of slow requests."
        )
    title, words = OTHERS.get(name, (name.replace("_", " "), ""))
    return title, words
