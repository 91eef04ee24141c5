"""What was counted for a rollout: the sufficient statistics that every decision is made from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from slipway.experiments.log_latency import LatencyStratum, Moments
from slipway.experiments.rate_ratio import Events
from slipway.rollouts.routes import WHOLE


class Arm(StrEnum):
    """Which release the edge assigned a unit to (another one may have answered)."""

    STABLE = "stable"
    CANDIDATE = "candidate"


class Metric(StrEnum):
    """A kind of event that a guardrail counts."""

    ERRORS = "errors"
    P95 = "p95"
    P99 = "p99"
    SLO = "slo"
    FALLBACK = "fallback"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A count for each arm."""

    stable: int = 0
    candidate: int = 0

    def __add__(self, other: "Pair") -> "Pair":
        return Pair(stable=self.stable + other.stable, candidate=self.candidate + other.candidate)


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricCounts:
    """One metric in one stratum.

    ``first_events`` counts a unit's first event in the rollout, in the arm that served it (for rollback);
    ``trial_events`` counts events among the units' first requests (for promotion).
    """

    first_events: Pair = Pair()
    trial_events: Pair = Pair()

    def __add__(self, other: "MetricCounts") -> "MetricCounts":
        return MetricCounts(
            first_events=self.first_events + other.first_events, trial_events=self.trial_events + other.trial_events
        )


NO_EVENTS = MetricCounts()
NO_LATENCIES = Moments()


@dataclass(frozen=True, slots=True, kw_only=True)
class Stratum:
    """Everything counted while the edge used one weight. ``trials``: units whose first request fell here.

    ``latency_stable`` and ``latency_candidate`` sum up the log-milliseconds of first requests around a centre that was
    fixed before. Strata of equal weight add up: the likelihood depends on the weight alone.
    """

    weight: int
    trials: Pair = Pair()
    events: Mapping[Metric, MetricCounts] = field(default_factory=dict)
    latency_stable: Moments = NO_LATENCIES
    latency_candidate: Moments = NO_LATENCIES

    def of(self, metric: Metric) -> MetricCounts:
        return self.events.get(metric, NO_EVENTS)

    @property
    def rho(self) -> float:
        """Return the share of units that the edge assigned to the candidate."""
        return self.weight / WHOLE

    def __add__(self, other: "Stratum") -> "Stratum":
        if other.weight != self.weight:
            msg = f"strata of weight {self.weight} and {other.weight} can't be added; keep them apart"
            raise ValueError(msg)
        return Stratum(
            weight=self.weight,
            trials=self.trials + other.trials,
            events={
                metric: self.of(metric) + other.of(metric)
                for metric in Metric
                if metric in self.events or metric in other.events
            },
            latency_stable=self.latency_stable + other.latency_stable,
            latency_candidate=self.latency_candidate + other.latency_candidate,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmWindow:
    """What one arm did since the last look, for people and pictures; no decision is made from it."""

    requests: int = 0
    failures: int = 0
    p50_ms: float | None = None
    p95_ms: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """All counts of a rollout up to a look. ``user_failures``: requests that a *user* saw fail, of either arm.

    ``first_candidate``: of the candidate's first requests, how many failed (the deterministic tier looks at 20).
    ``misrouted``: requests whose arm contradicts the weight that the edge confirmed; anything but 0 voids the counts.
    ``scores``: first requests by bin of the arm's own hold-out scores.
    """

    requests: int = 0
    candidate_requests: int = 0
    candidate_failures: int = 0
    user_failures: int = 0
    first_candidate_requests: int = 0
    first_candidate_failures: int = 0
    misrouted: int = 0
    strata: tuple[Stratum, ...] = ()
    scores: Mapping[Arm, tuple[int, ...]] = field(default_factory=dict)


def trial_events(strata: Sequence[Stratum], metric: Metric) -> list[Events]:
    """Return a metric's events among first requests, stratum by stratum, with the share at exposure."""
    pairs = [(stratum.rho, stratum.of(metric).trial_events) for stratum in strata]
    return [Events(rho=rho, a=pair.stable, b=pair.candidate) for rho, pair in pairs]


def first_events(strata: Sequence[Stratum], metric: Metric) -> list[Events]:
    """Return the units' first events of a metric, stratum by stratum, with the share at exposure."""
    pairs = [(stratum.rho, stratum.of(metric).first_events) for stratum in strata]
    return [Events(rho=rho, a=pair.stable, b=pair.candidate) for rho, pair in pairs]


def latencies(strata: Sequence[Stratum]) -> list[LatencyStratum]:
    """Return the log-latencies of first requests, stratum by stratum."""
    return [LatencyStratum(rho=s.rho, a=s.latency_stable, b=s.latency_candidate) for s in strata]


def exposures(strata: Sequence[Stratum]) -> list[tuple[float, int, int]]:
    """Return how many units were first seen in each arm, with the share that should have gone to the candidate."""
    return [(stratum.rho, stratum.trials.stable, stratum.trials.candidate) for stratum in strata]
