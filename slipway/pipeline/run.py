"""The record of one ``ship``: what each step did, decided and cost. Pure values; ``runs.py`` keeps them on disk."""

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Self


class Outcome(StrEnum):
    """How a run of ``ship`` ended."""

    PROMOTED = "promoted"
    ROLLED_BACK = "rolled_back"
    HELD = "held"
    REJECTED = "rejected"
    UNCHANGED = "unchanged"
    FAILED = "failed"

    @property
    def exit_code(self) -> int:
        """The exit code that belongs to an outcome.

        >>> [outcome.exit_code for outcome in Outcome]
        [0, 3, 4, 3, 0, 1]
        """
        return {"promoted": 0, "unchanged": 0, "failed": 1, "rejected": 3, "rolled_back": 3, "held": 4}[self.value]


class StepOutcome(StrEnum):
    """How a step of a run ended."""

    RUNNING = "running"
    DONE = "done"
    REFUSED = "refused"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


@dataclass(slots=True, kw_only=True)
class StepRecord:
    """What a step did: ``words`` are its decisions in the order in which they were made."""

    name: str
    outcome: StepOutcome = StepOutcome.RUNNING
    started_at: str = ""
    seconds: float = 0.0
    cached: bool = False
    retries: int = 0
    peak_mb: float = 0.0
    words: list[str] = field(default_factory=list)
    folder: str = ""


@dataclass(slots=True, kw_only=True)
class Run:
    """One run of ``ship``; ``outcome`` is empty while it goes on."""

    id: str
    model: str
    started_at: str
    pid: int = 0
    data: str = ""
    sabotage: str = ""
    rps: int = 0
    outcome: Outcome | None = None
    reason: str = ""
    version: int | None = None
    stable_before: int | None = None
    steps: list[StepRecord] = field(default_factory=list)
    metrics: dict[str, float] = field(default_factory=dict)
    rollout: dict[str, Any] | None = None
    seconds: float = 0.0
    peak_mb: float = 0.0
    report: str = ""

    def step(self, name: str) -> StepRecord | None:
        """Return a step's record, or nothing where the run did not come to it."""
        return next((step for step in self.steps if step.name == name), None)

    def to_json(self) -> dict[str, Any]:
        """Return everything, as ``run.json`` holds it."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Read what :meth:`to_json` wrote.

        >>> run = Run(id="r1", model="churn", started_at="2026-11-20T10:00:00+00:00", outcome=Outcome.HELD)
        >>> Run.from_json(run.to_json()) == run
        True
        """
        steps = [StepRecord(**{**step, "outcome": StepOutcome(step["outcome"])}) for step in data["steps"]]
        outcome = Outcome(data["outcome"]) if data["outcome"] else None
        return cls(**{**data, "steps": steps, "outcome": outcome})

    def summary(self) -> dict[str, Any]:
        """Return the one JSON object that ``slipway ship --json`` promises to other tools."""
        return {
            "outcome": self.outcome,
            "model": self.model,
            "version": self.version,
            "stable_before": self.stable_before,
            "steps": [
                {"name": step.name, "outcome": step.outcome, "seconds": round(step.seconds, 3), "cached": step.cached}
                for step in self.steps
            ],
            "metrics": self.metrics,
            "rollout": self.rollout,
            "seconds": round(self.seconds, 3),
            "reason": self.reason,
            "report": self.report,
        }
