"""What the controller shows of services and rollouts: JSON that other tools rely on."""

from datetime import datetime
from typing import Any

from slipway.monitoring.journal import Entry
from slipway.rollouts.codec import to_json
from slipway.rollouts.guardrails import Reading
from slipway.rollouts.ports import SlotPhase
from slipway.rollouts.running import Running
from slipway.rollouts.services import Service
from slipway.rollouts.state import Phase

OUTCOMES = {
    Phase.PROMOTED: "promoted",
    Phase.ROLLED_BACK: "rolled_back",
    Phase.HELD: "held",
    Phase.OBSERVED: "observed",
    Phase.REJECTED: "rejected",
    Phase.FAILED: "failed",
    Phase.SUPERSEDED: "superseded",
}


def rollout(running: Running, *, edge_url: str, now: datetime) -> dict[str, Any]:
    """Return a rollout's status; ``weight`` in ten-thousandths, ``outcome`` is ``None`` until it has ended.

    ``guardrails`` lists all readings, ``evidence`` those that promotion needs: ``safe_log_e`` must reach ``line``.
    """
    state, seen = running.state, running.seen
    address = seen.candidate.address
    return {
        "id": state.id,
        "attempt": state.attempt,
        "kind": str(state.kind),
        "service": state.service,
        "state": state.label,
        "outcome": OUTCOMES.get(state.phase),
        "reason": state.reason or _waiting(running),
        "decided_by": state.decided_by or None,
        "step": state.step_index if state.phase is Phase.CANARY else None,
        "weight": running.split(now).weight,
        "ready": seen.candidate.phase is SlotPhase.READY and seen.candidate.golden is True,
        "waits_for": [gate for gate in state.waits_for if gate not in state.passed],
        "stable": state.stable.to_json() if state.stable else None,
        "candidate": state.candidate.to_json(),
        "candidate_url": f"http://{address}" if address else None,
        "edge_url": f"{edge_url}/{state.service}",
        "counts": {
            "requests": seen.counts.requests,
            "candidate_requests": seen.counts.candidate_requests,
            "candidate_failures": seen.counts.candidate_failures,
            "failed_requests_seen_by_users": seen.counts.user_failures,
        },
        "evidence": [_reading(reading) for reading in state.readings if reading.safe_log_e is not None],
        "guardrails": [_reading(reading) for reading in state.readings],
        "journalled": running.unjournalled_since is None,
        "started_at": state.started_at.isoformat(),
        "finished_at": state.finished_at.isoformat() if state.finished_at else None,
        "seconds": round(((state.finished_at or now) - state.started_at).total_seconds(), 3),
    }


def _reading(reading: Reading) -> dict[str, Any]:
    return {
        "guardrail": reading.guardrail,
        "harm_log_e": reading.harm_log_e,
        "harm_line": reading.harm_line,
        "safe_log_e": reading.safe_log_e,
        "line": reading.safe_line,
        "words": reading.words,
    }


def service(known: Service, running: Running | None, *, edge_url: str, now: datetime) -> dict[str, Any]:
    """Return a service with its releases and, where one is on its way, its rollout's id and weight."""
    return {
        "service": known.name,
        "stable": known.stable.to_json() if known.stable else None,
        "previous": known.previous.to_json() if known.previous else None,
        "candidate": running.state.candidate.to_json() if running else None,
        "rollout": running.state.id if running else None,
        "weight": running.split(now).weight if running else 0,
        "edge_url": f"{edge_url}/{known.name}",
        "champion_due": known.champion_due,
        "history": [to_json(release) for release in known.history],
    }


def event(entry: Entry) -> dict[str, Any]:
    """Return an event with everything that it was decided from."""
    return {
        "seq": entry.seq,
        "at": entry.at.isoformat(),
        "kind": entry.kind,
        "actor": entry.actor,
        "hash": entry.hash,
        **entry.data,
    }


def _waiting(running: Running) -> str:
    """Say why nothing has been decided yet: the last event's reasons."""
    return "; ".join(running.head.data.get("reasons", ()))
