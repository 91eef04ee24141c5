"""One simulated rollout: the same core as in production, over traffic that is drawn instead of logged.

Each look draws the requests of one second, counts them as the observer does, and asks
:func:`slipway.rollouts.step.step`. Time is simulated; nothing sleeps and nothing is started.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from math import pi, sin

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr
from scipy.stats import beta

from slipway.bentos.release import Release
from slipway.rollouts.counts import Counts, Metric
from slipway.rollouts.desired import split
from slipway.rollouts.guardrails import FIRST_REQUESTS, Thresholds
from slipway.rollouts.latency import StableLatency
from slipway.rollouts.observation import Observation
from slipway.rollouts.observer import LATENCIES_KEPT, Cells
from slipway.rollouts.plan import RolloutPlan
from slipway.rollouts.ports import SlotPhase, SlotStatus
from slipway.rollouts.routes import WHOLE
from slipway.rollouts.state import Kind, Phase, RolloutState, SlotNames
from slipway.rollouts.step import step
from slipway.rollouts.truth import Course, HeavyTail, Latency, Lognormal, Pareto, Truth

START = datetime(2026, 1, 1, tzinfo=UTC)
READY = SlotStatus(phase=SlotPhase.READY, golden=True)
LOOK_S = 1.0

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Indices = NDArray[np.intp]


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulated:
    """How one rollout went; ``seconds`` from its first mirrored request to the decision that ended it."""

    phase: Phase
    decided_by: str
    seconds: float
    candidate_requests: int
    failed_requests_seen_by_users: int


def simulate(plan: RolloutPlan, truth: Truth, *, seed: tuple[int, int]) -> Simulated:
    """Run one rollout to its end; the same seed gives the same rollout on every machine."""
    world = _World(plan, truth, np.random.default_rng(seed))
    state, now = begin(plan), START
    while state.phase not in {Phase.ROLLING_BACK, Phase.SWAPPING} and not state.is_finished:
        now += timedelta(seconds=LOOK_S)
        seen = world.look(split(state).weight, state.thresholds, (now - START).total_seconds())
        after = step(state, seen, now).state
        if truth.pause_above_log_e is not None and after.label == state.label:
            doubt = next((r.harm_log_e for r in after.readings if r.guardrail == Metric.ERRORS), 0.0)
            if doubt > truth.pause_above_log_e:
                after = replace(after, elapsed_s=state.elapsed_s)
        state = after
    phase = state.ending or (Phase.PROMOTED if state.phase is Phase.SWAPPING else state.phase)
    return Simulated(
        phase=phase,
        decided_by=state.decided_by,
        seconds=(now - START).total_seconds(),
        candidate_requests=world.counts.candidate_requests,
        failed_requests_seen_by_users=world.counts.user_failures,
    )


def begin(plan: RolloutPlan) -> RolloutState:
    """Return a rollout whose candidate is ready and gets its first mirrored requests."""
    stable, candidate = (
        Release(
            service="simulated",
            model="simulated",
            model_version=version,
            digest=f"{version}",
            bento="",
            run_id="",
            feature_set="",
        )
        for version in (1, 2)
    )
    return RolloutState(
        id="simulated-1",
        content_id="simulated",
        attempt=1,
        kind=Kind.ROLLOUT,
        service="simulated",
        plan=plan,
        stable=stable,
        candidate=candidate,
        slots=SlotNames(stable="stable-a", candidate="candidate", following="stable-b"),
        actor="simulation",
        phase=Phase.SHADOW,
        started_at=START,
        entered_at=START,
        looked_at=START,
    )


class _World:
    """Users, what they met so far, and the counts of it."""

    def __init__(self, plan: RolloutPlan, truth: Truth, rng: np.random.Generator) -> None:
        self._plan, self._truth, self._rng = plan, truth, rng
        self._place = rng.random(truth.users) * WHOLE
        activity = rng.pareto(truth.activity.shape, truth.users) + 1 if isinstance(truth.activity, Pareto) else None
        self._activity = None if activity is None else np.cumsum(activity) / activity.sum()
        self._tendency = rng.random(truth.users) if truth.clustering else None
        self._seen = np.zeros(truth.users, dtype=bool)
        self._had = {metric: np.zeros(truth.users, dtype=bool) for metric in Metric}
        self._cells: dict[int, Cells] = {}
        self._base = 1.0
        self._latencies: list[Floats] = []
        self._latencies_at: tuple[int, Thresholds | None] | None = None
        self.counts = Counts()

    def look(self, weight: int, thresholds: Thresholds | None, second: float) -> Observation:
        """Draw the requests of one look at a weight and count them."""
        drawn = self._rng.poisson(self._truth.rps * LOOK_S)
        users = self._users(drawn)
        candidate = self._place[users] < weight
        lost = candidate & (self._rng.random(drawn) < self._truth.lost) if self._truth.lost else None
        failed, ms, seen_by_user = self._answers(users, candidate, second)
        self._total(candidate, failed, seen_by_user)
        if lost is not None:
            kept = ~lost
            users, candidate, failed, ms = users[kept], candidate[kept], failed[kept], ms[kept]
        latency = self._stable_latency(ms[~candidate], weight, thresholds)
        if weight:
            self._count(users, candidate, failed, ms, weight, thresholds)
        strata = tuple(self._cells[one].freeze(one) for one in sorted(self._cells))
        self.counts = replace(self.counts, strata=strata)
        return Observation(
            stable=READY,
            candidate=READY,
            following=READY,
            counts=self.counts,
            stable_latency=latency,
            new_requests=drawn,
            weight_confirmed=True,
            routed=True,
        )

    def _users(self, drawn: int) -> Indices:
        if self._activity is None:
            return self._rng.integers(0, self._truth.users, drawn)
        return np.searchsorted(self._activity, self._rng.random(drawn))

    def _answers(self, users: Indices, candidate: Bools, second: float) -> tuple[Bools, Floats, Bools]:
        """Return which requests failed in their own arm, how long they took, and which failures users saw."""
        truth, count = self._truth, len(users)
        base = self._moved(second)
        rates = np.where(candidate, truth.errors.candidate * base, truth.errors.stable * base)
        luck, shared = self._rng.random(count), self._rng.normal(size=count)
        if truth.correlation:  # a Gaussian copula: slow requests fail more often, the rates stay as they are
            own = self._rng.normal(size=count)
            luck = ndtr(-(truth.correlation * shared + (1 - truth.correlation**2) ** 0.5 * own))
        failed = luck < (rates if self._tendency is None else self._clustered(rates, self._tendency[users]))
        ms = np.where(candidate, self._ms(truth.latency.candidate, shared), self._ms(truth.latency.stable, shared))
        # The edge asks stable where the candidate failed.
        again = self._rng.random(count) < truth.errors.stable * base
        return failed, ms, failed & (~candidate | again)

    def _clustered(self, rates: Floats, tendency: Floats) -> Floats:
        """Return each user's own rate: beta with the arm's rate as mean and the intra-user correlation."""
        spread = 1 / self._truth.clustering - 1
        own = np.clip(rates, 1e-9, 1 - 1e-9)
        return np.asarray(beta.ppf(tendency, own * spread, (1 - own) * spread))

    def _moved(self, second: float) -> float:
        drift = self._truth.drift
        match drift.course:
            case Course.CONSTANT:
                return 1.0
            case Course.SINE:
                return 1.0 + drift.size * sin(2 * pi * second / drift.period_s)
            case Course.STEP:
                return 1.0 + drift.size * (second >= drift.period_s)
            case Course.RANDOM_WALK:
                step_size = drift.size / drift.period_s**0.5
                moved = self._base + step_size * self._rng.normal()
                self._base = float(np.clip(moved, 1.0 - drift.size, 1.0 + drift.size))
                return self._base

    def _ms(self, latency: Latency, shared: Floats) -> Floats:
        if isinstance(latency, HeavyTail):
            return np.asarray(latency.scale_ms * ndtr(-shared) ** (-1 / latency.shape))
        return self._lognormal(latency, shared)

    def _lognormal(self, latency: Lognormal, shared: Floats) -> Floats:
        ms = latency.median_ms * np.exp(latency.sigma * shared)
        if not latency.slow_share:
            return np.asarray(ms)
        return np.asarray(np.where(self._rng.random(len(ms)) < latency.slow_share, ms * latency.slow_factor, ms))

    def _stable_latency(self, ms: Floats, weight: int, thresholds: Thresholds | None) -> StableLatency:
        if self._latencies_at != (weight, thresholds):
            self._latencies_at, self._latencies = (weight, thresholds), []
        if sum(map(len, self._latencies)) < LATENCIES_KEPT:
            self._latencies.append(ms)
        known = np.concatenate(self._latencies)
        if not len(known):
            return StableLatency()
        p95, p99 = np.quantile(known, (0.95, 0.99), method="inverted_cdf")
        return StableLatency(
            requests=len(known), p95_ms=float(p95), p99_ms=float(p99), mean_log_ms=float(np.log(known).mean())
        )

    def _total(self, candidate: Bools, failed: Bools, seen_by_user: Bools) -> None:
        counts, of_candidate = self.counts, failed[candidate]
        first = of_candidate[: FIRST_REQUESTS - counts.first_candidate_requests]
        self.counts = replace(
            counts,
            requests=counts.requests + len(candidate),
            candidate_requests=counts.candidate_requests + len(of_candidate),
            candidate_failures=counts.candidate_failures + int(of_candidate.sum()),
            user_failures=counts.user_failures + int(seen_by_user.sum()),
            first_candidate_requests=counts.first_candidate_requests + len(first),
            first_candidate_failures=counts.first_candidate_failures + int(first.sum()),
        )

    def _count(
        self, users: Indices, candidate: Bools, failed: Bools, ms: Floats, weight: int, thresholds: Thresholds | None
    ) -> None:
        cells = self._cells.setdefault(weight, Cells())
        happened = _happened(candidate, failed, ms, weight, thresholds)
        fresh = _firsts(users, np.ones(len(users), dtype=bool), self._seen)
        _add(cells.trials, candidate[fresh])
        for metric, events in happened.items():
            _add(cells.among_trials[metric], candidate[fresh][events[fresh]])
            _add(cells.firsts[metric], candidate[_firsts(users, events, self._had[metric])])
        if thresholds is not None:
            answered = fresh[~failed[fresh]]
            centred = np.log(ms[answered]) - thresholds.centre_log_ms
            for side, chosen in enumerate((centred[~candidate[answered]], centred[candidate[answered]])):
                cells.add_latencies(side, len(chosen), float(chosen.sum()), float((chosen**2).sum()))


def _happened(
    candidate: Bools, failed: Bools, ms: Floats, weight: int, thresholds: Thresholds | None
) -> dict[Metric, Bools]:
    events = {Metric.ERRORS: failed}
    if thresholds is None:
        return events
    if weight < WHOLE:
        limits = zip((Metric.P95, Metric.P99), thresholds.of_stable, thresholds.of_candidate, strict=True)
        events |= {metric: ms > np.where(candidate, theirs, ours) for metric, ours, theirs in limits}
    if thresholds.slo_ms is not None:
        events[Metric.SLO] = ms > thresholds.slo_ms
    return events


def _firsts(users: Indices, events: Bools, had: Bools) -> Indices:
    """Return where a user's first event is among these requests, and remember it."""
    at = np.flatnonzero(events & ~had[users])
    _, first = np.unique(users[at], return_index=True)
    at = at[first]
    had[users[at]] = True
    return at


def _add(cell: list[int], candidate: Bools) -> None:
    on_candidate = int(candidate.sum())
    cell[0] += len(candidate) - on_candidate
    cell[1] += on_candidate
