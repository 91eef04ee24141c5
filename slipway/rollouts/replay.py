"""Replay: every decision of a rollout made again from its journal alone."""

from collections.abc import Sequence

from slipway.monitoring.journal import Entry, verify
from slipway.rollouts.codec import from_json, to_json
from slipway.rollouts.observation import Observation
from slipway.rollouts.state import RolloutState
from slipway.rollouts.step import step


def first_difference(entries: Sequence[Entry]) -> str | None:
    """Return which event this code would have decided differently, in words; ``None`` when all are identical.

    Raises:
        JournalBroken: an event was changed after it was written; the text names it.
    """
    verify(entries)
    state = from_json(entries[0].data["state"], RolloutState)
    for entry in entries[1:]:
        event = entry.data
        stepped = step(state, from_json(event["observation"], Observation), entry.at)
        decided = {**to_json(stepped.state), "actions": [*stepped.actions], "reasons": [*stepped.reasons]}
        written = {**event["state"], "actions": event["actions"], "reasons": event["reasons"]}
        for name in sorted(decided.keys() | written.keys()):
            now, then = decided.get(name), written.get(name)
            if now != then:
                return f"event {entry.seq} ({entry.at:%F %T}): {name} would be {now!r}, the journal has {then!r}"
        state = from_json(event["state"], RolloutState)
    return None
