"""A world for the runner: in-memory adapters, a clock that tests turn, and traffic with a known truth."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from slipway.bentos.release import Release
from slipway.monitoring.journal import InMemoryJournal, Spool
from slipway.rollouts.memory import InMemoryEdge, InMemoryReleases, InMemorySlots
from slipway.rollouts.observation import Command, Order
from slipway.rollouts.plan import RolloutPlan
from slipway.rollouts.routes import takes_candidate
from slipway.rollouts.runner import Runner, Running
from slipway.rollouts.services import InMemoryServiceBook, Service
from slipway.rollouts.state import Phase

START = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
ROUTE = Service(name="churn")
# The whole ladder in a few seconds: one clean second at each step is proof enough for these tests.
QUICK = RolloutPlan.parse(
    {
        "shadow_s": 2,
        "soak_s": 2,
        "alpha": 0.2,
        "blind_s": 5,
        "steps": [{"weight": 10, "size_s": 2}, {"weight": 50, "size_s": 20}],
        "guardrails": {"errors": {"delta": 0.05}},
    }
)


def release(version: int, **changes: Any) -> Release:
    values: dict[str, Any] = {
        "service": "churn",
        "model": "churn",
        "model_version": version,
        "digest": f"sha256:{version:064x}",
        "bento": f"bentoml/bentos/churn/{version}",
        "run_id": f"run-{version}",
        "feature_set": "sha256:f",
    }
    return Release(**{**values, **changes})


@dataclass
class Truth:
    """What requests are like; ``ms`` and ``candidate_ms`` draw a latency for a request at a time in seconds."""

    rps: int = 100
    units: int = 50_000
    error_rate: float = 0.0
    candidate_error_rate: float = 0.0
    ms: Callable[[random.Random, float], float] = lambda rng, _at_s: rng.lognormvariate(1.1, 0.4)
    candidate_ms: Callable[[random.Random, float], float] = lambda rng, _at_s: rng.lognormvariate(1.1, 0.4)


@dataclass
class World:
    """Everything around a runner; ``restart`` is a controller killed and started again."""

    spool: Path
    truth: Truth = field(default_factory=Truth)
    seed: int = 1
    now: datetime = START

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.edge = InMemoryEdge(lambda: self.now.timestamp())  # noqa: PLW0108  the clock moves on
        self.slots, self.releases = InMemorySlots(), InMemoryReleases()
        self.journal, self.book = InMemoryJournal(), InMemoryServiceBook()
        self.restart()

    def restart(self) -> None:
        self.runner = Runner(
            edge=self.edge,
            slots=self.slots,
            releases=self.releases,
            journal=Spool(self.journal, self.spool),
            book=self.book,
            clock=lambda: self.now,
        )

    def install(self, version: int = 1) -> None:
        self.runner.install("churn", release(version), route=ROUTE, actor="test")
        self.until(lambda: not self.runner._running)

    def start(self, version: int = 2, *, waits_for: tuple[str, ...] = (), plan: RolloutPlan | None = None) -> Running:
        return self.runner.start(
            "churn", release(version), plan or RolloutPlan(), waits_for=waits_for, route=ROUTE, actor="test"
        )

    def command(self, running: Running, order: Order, **fields: str) -> None:
        self.runner.command(running.state.id, Command(order=order, actor="test", **fields))

    def second(self, *, look: bool = True, traffic: bool = True) -> None:
        """Let a second pass: its requests, spread evenly, then a look."""
        begun = self.now
        if traffic and "churn" in self.edge.routes:
            route, truth, rng = self.edge.routes["churn"], self.truth, self.rng
            for number in range(truth.rps):
                self.now = begun + timedelta(seconds=number / truth.rps)
                at_s, unit = self.now.timestamp(), f"visitor-{rng.randrange(truth.units)}"
                asked = takes_candidate(unit, salt=route.salt, weight=self.edge.weight("churn"))
                error_rate = truth.candidate_error_rate if asked else truth.error_rate
                self.edge.serve(
                    "churn",
                    unit,
                    ms=truth.ms(rng, at_s),
                    candidate_ms=truth.candidate_ms(rng, at_s),
                    failed=rng.random() < error_rate,
                )
        self.now = begun + timedelta(seconds=1)
        if look:
            self.runner.look()

    def until(self, done: Callable[[], bool], *, at_most_s: int = 200) -> int:
        """Let seconds pass until something holds; return how many."""
        for seconds in range(at_most_s):
            if done():
                return seconds
            self.second()
        msg = f"not within {at_most_s} s"
        raise AssertionError(msg)

    def until_phase(self, running: Running, phase: Phase, *, at_most_s: int = 200) -> int:
        return self.until(lambda: running.state.phase is phase, at_most_s=at_most_s)

    def until_ended(self, running: Running, *, at_most_s: int = 200) -> int:
        return self.until(lambda: running.state.is_finished, at_most_s=at_most_s)


def phases(world: World, running: Running) -> Iterator[str]:
    """Yield the phases that a rollout went through, each once, with the ramp's step."""
    before = ""
    for entry in world.runner.events(running.state.id):
        state = entry.data["state"]
        label = f"{state['phase']}[{state['step_index']}]" if state["phase"] == "CANARY" else state["phase"]
        if label != before:
            yield label
        before = label
