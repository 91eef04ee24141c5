"""The observer: folds lines of the edge's access log into counts by unit. Pure: no clock, no files.

A :class:`Tally` is a mutable accumulator, for speed; what leaves it are frozen counts. The same lines in the same order
with the same regimes give the same counts, however they were cut into looks: after a restart the log is folded again
from the rollout's start.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil, log

import msgspec

from slipway.experiments.log_latency import Moments
from slipway.rollouts.counts import Arm, ArmWindow, Counts, Metric, MetricCounts, Pair, Stratum
from slipway.rollouts.guardrails import FIRST_REQUESTS
from slipway.rollouts.latency import StableLatency
from slipway.rollouts.regimes import Regime
from slipway.rollouts.routes import WHOLE, Unit, takes_candidate

SERVER_ERROR = 500
# The client went away before it was answered: nobody's failure.
CLIENT_GONE = "DC"
# Enough for a 95th percentile; bounds memory and sorting at any traffic.
LATENCIES_KEPT = 20_000
# A latency of zero has no logarithm; the log's clock counts microseconds.
LEAST_MS = 0.001

# What a unit has done so far: that it was seen, then one bit for each metric that it had an event of.
METRICS = tuple(Metric)
SEEN = 1
BIT = {metric: 2 << index for index, metric in enumerate(METRICS)}
ERRORS, P95, P99, SLO = (BIT[metric] for metric in (Metric.ERRORS, Metric.P95, Metric.P99, Metric.SLO))
PREDICTIONS = {"fallback": BIT[Metric.FALLBACK]}


class Line(msgspec.Struct, frozen=True):
    """One line of the access log; see ``LOG_FORMAT`` in :mod:`slipway.rollouts.envoy`."""

    at: str
    us: int | None = None
    service: str | None = None
    unit: str | None = None
    id: str | None = None
    cluster: str | None = None
    host: str | None = None
    attempts: int = 0
    status: int = 0
    flags: str | None = None
    score: str | None = None
    prediction: str | None = None

    @property
    def started_s(self) -> float:
        return float(self.at)

    @property
    def ms(self) -> float | None:
        return None if self.us is None else self.us / 1000

    @property
    def user_saw_failure(self) -> bool:
        """Whether the answer was an error, or none at all to a client that was still there."""
        gone = self.status == 0 and CLIENT_GONE in (self.flags or "").split(",")
        return (self.status >= SERVER_ERROR or self.status == 0) and not gone


DECODER = msgspec.json.Decoder(Line)


def parse(lines: Iterable[bytes]) -> tuple[list[Line], int]:
    """Decode lines; return them and how many could not be read (a line cut off by a full disk, say)."""
    read, broken = [], 0
    for line in lines:
        try:
            read.append(DECODER.decode(line))
        except msgspec.MsgspecError:
            broken += 1
    return read, broken


@dataclass(slots=True)
class _Window:
    """One arm since the last look."""

    requests: int = 0
    failures: int = 0
    latencies_ms: list[float] = field(default_factory=list)

    def close(self) -> ArmWindow:
        ordered = sorted(self.latencies_ms)
        return ArmWindow(
            requests=self.requests,
            failures=self.failures,
            p50_ms=quantile(ordered, 0.5),
            p95_ms=quantile(ordered, 0.95),
        )


@dataclass(slots=True)
class Cells:
    """The counts of one stratum, by arm."""

    trials: list[int] = field(default_factory=lambda: [0, 0])
    firsts: dict[Metric, list[int]] = field(default_factory=lambda: {metric: [0, 0] for metric in METRICS})
    among_trials: dict[Metric, list[int]] = field(default_factory=lambda: {metric: [0, 0] for metric in METRICS})
    latency: list[list[float]] = field(default_factory=lambda: [[0, 0.0, 0.0], [0, 0.0, 0.0]])

    def add_latencies(self, side: int, count: int, total: float, squares: float) -> None:
        """Add log-latencies around their centre, by their sums."""
        sums = self.latency[side]
        sums[0] += count
        sums[1] += total
        sums[2] += squares

    def freeze(self, weight: int) -> Stratum:
        return Stratum(
            weight=weight,
            trials=_pair(self.trials),
            events={
                metric: MetricCounts(
                    first_events=_pair(self.firsts[metric]), trial_events=_pair(self.among_trials[metric])
                )
                for metric in METRICS
                if any(self.firsts[metric])
            },
            latency_stable=_moments(self.latency[0]),
            latency_candidate=_moments(self.latency[1]),
        )


@dataclass(slots=True, kw_only=True)
class Tally:
    """Counts of one rollout, grown line by line.

    ``hosts``: the addresses of each arm's own processes: an answer from any other host is a failure of the arm, even
    with status 200. ``score_edges``: the inner edges of bins over each arm's own hold-out scores.
    """

    service: str
    candidate_cluster: str
    salt: str
    unit: Unit
    hosts: Mapping[Arm, tuple[str, ...]]
    score_edges: Mapping[Arm, tuple[float, ...]] = field(default_factory=dict)
    requests: int = 0
    candidate_requests: int = 0
    candidate_failures: int = 0
    user_failures: int = 0
    first_candidate_requests: int = 0
    first_candidate_failures: int = 0
    misrouted: int = 0
    _units: dict[str, int] = field(default_factory=dict)
    _cells: dict[int, Cells] = field(default_factory=dict)
    _scores: dict[Arm, list[int]] = field(default_factory=dict)
    _windows: dict[Arm, _Window] = field(default_factory=lambda: {arm: _Window() for arm in Arm})
    _latencies_ms: list[float] = field(default_factory=list)
    _latencies_since_s: float = 0.0
    _new: int = 0

    def fold(self, lines: Iterable[Line], regimes: Sequence[Regime]) -> None:
        """Add lines; each counts in the regime that it started in, those outside of any only in the totals."""
        for line in lines:
            if line.service == self.service:
                self._add(line, regimes)

    def counts(self) -> Counts:
        """Return everything counted so far."""
        return Counts(
            requests=self.requests,
            candidate_requests=self.candidate_requests,
            candidate_failures=self.candidate_failures,
            user_failures=self.user_failures,
            first_candidate_requests=self.first_candidate_requests,
            first_candidate_failures=self.first_candidate_failures,
            misrouted=self.misrouted,
            strata=tuple(self._cells[weight].freeze(weight) for weight in sorted(self._cells)),
            scores={arm: tuple(bins) for arm, bins in self._scores.items()},
        )

    def stable_latency(self) -> StableLatency:
        """Return stable's latency over the present regime."""
        if not self._latencies_ms:
            return StableLatency()
        ordered = sorted(self._latencies_ms)
        return StableLatency(
            requests=len(ordered),
            p95_ms=quantile(ordered, 0.95) or 0.0,
            p99_ms=quantile(ordered, 0.99) or 0.0,
            mean_log_ms=sum(log(max(ms, LEAST_MS)) for ms in ordered) / len(ordered),
        )

    def close_window(self) -> tuple[ArmWindow, ArmWindow, int]:
        """Return stable's and the candidate's numbers since the last call, and how many requests there were."""
        closed = tuple(self._windows[arm].close() for arm in (Arm.STABLE, Arm.CANDIDATE))
        new, self._new = self._new, 0
        self._windows = {arm: _Window() for arm in Arm}
        return closed[0], closed[1], new

    def _add(self, line: Line, regimes: Sequence[Regime]) -> None:
        arm = Arm.CANDIDATE if line.cluster == self.candidate_cluster else Arm.STABLE
        failed = (
            line.attempts >= 2  # noqa: PLR2004  the first try failed
            or line.user_saw_failure
            or (line.host is not None and line.host not in self.hosts.get(arm, ()))
        )
        self._total(line, arm, failed=failed)
        started_s = line.started_s
        for regime in reversed(regimes):
            if regime.since_s <= started_s < regime.until_s:
                self._count(line, arm, regime, failed=failed)
                return

    def _total(self, line: Line, arm: Arm, *, failed: bool) -> None:
        self._new += 1
        self.requests += 1
        self.user_failures += line.user_saw_failure
        window = self._windows[arm]
        window.requests += 1
        window.failures += failed
        if line.ms is not None:
            window.latencies_ms.append(line.ms)
        if arm is Arm.CANDIDATE:
            self.candidate_requests += 1
            self.candidate_failures += failed
            if self.first_candidate_requests < FIRST_REQUESTS:
                self.first_candidate_requests += 1
                self.first_candidate_failures += failed

    def _count(self, line: Line, arm: Arm, regime: Regime, *, failed: bool) -> None:
        unit = (line.unit if self.unit is Unit.USER else line.id) or ""
        if takes_candidate(unit, salt=self.salt, weight=regime.weight) != (arm is Arm.CANDIDATE):
            self.misrouted += 1
            return
        if arm is Arm.STABLE and line.ms is not None:
            self._keep_latency(line.ms, regime)
        if regime.weight == 0:
            return  # nobody was exposed yet: a unit's first request in the rollout is still to come
        cells = self._cells.get(regime.weight) or self._cells.setdefault(regime.weight, Cells())
        happened = _events(line, arm, regime, failed=failed)
        side = int(arm is Arm.CANDIDATE)
        known = self._units.get(unit, 0)
        if not known & SEEN:
            cells.trials[side] += 1
            _tick(cells.among_trials, happened, side)
            if line.ms is not None and regime.thresholds is not None and not failed:
                centred = log(max(line.ms, LEAST_MS)) - regime.thresholds.centre_log_ms
                cells.add_latencies(side, 1, centred, centred * centred)
            self._keep_score(line, arm, failed=failed)
        _tick(cells.firsts, happened & ~known, side)
        self._units[unit] = known | SEEN | happened

    def _keep_score(self, line: Line, arm: Arm, *, failed: bool) -> None:
        edges = self.score_edges.get(arm, ())
        if not edges or failed or line.score is None:
            return
        try:
            score = float(line.score)
        except ValueError:  # several values in one header: no score
            return
        self._scores.setdefault(arm, [0] * (len(edges) + 1))[bisect_right(edges, score)] += 1

    def _keep_latency(self, ms: float, regime: Regime) -> None:
        if regime.since_s > self._latencies_since_s:
            self._latencies_since_s = regime.since_s
            self._latencies_ms.clear()
        if regime.since_s == self._latencies_since_s and len(self._latencies_ms) < LATENCIES_KEPT:
            self._latencies_ms.append(ms)


def quantile(ordered: Sequence[float], share: float) -> float | None:
    """Return the smallest value that at least ``share`` of the ordered values do not exceed.

    >>> quantile([1.0, 2.0, 3.0, 4.0], 0.5), quantile([], 0.5)
    (2.0, None)
    """
    return ordered[ceil(share * len(ordered)) - 1] if ordered else None


def _events(line: Line, arm: Arm, regime: Regime, *, failed: bool) -> int:
    """Return what happened in a request, as bits."""
    happened = ERRORS if failed else PREDICTIONS.get(line.prediction or "", 0)
    limits, ms = regime.thresholds, line.ms
    if limits is None:
        return happened
    p95_ms, p99_ms = limits.of_candidate if arm is Arm.CANDIDATE else limits.of_stable
    # With all of the traffic on the candidate there is nothing to compare with; the objective holds all the same.
    if regime.weight < WHOLE:
        happened |= P95 * (ms is None or ms > p95_ms) | P99 * (ms is None or ms > p99_ms)
    if limits.slo_ms is not None:
        happened |= SLO * (ms is None or ms > limits.slo_ms)
    return happened


def _tick(cells: Mapping[Metric, list[int]], happened: int, side: int) -> None:
    if happened:
        for metric, bit in BIT.items():
            if happened & bit:
                cells[metric][side] += 1


def _moments(sums: Sequence[float]) -> Moments:
    return Moments(n=int(sums[0]), total=sums[1], squares=sums[2])


def _pair(sides: Sequence[int]) -> Pair:
    return Pair(stable=sides[0], candidate=sides[1])
