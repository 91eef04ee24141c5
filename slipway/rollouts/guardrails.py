"""Guardrails: what the counts prove, for and against the candidate. Pure arithmetic, each reading in words."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import exp

from slipway.experiments.beta_binomial import log_e_above, log_e_below
from slipway.experiments.bins import log_e_moved
from slipway.experiments.evalues import log_line, log_mean
from slipway.experiments.log_latency import log_e_slower
from slipway.experiments.rate_ratio import MODERATELY_WORSE, log_e_not_worse, log_e_worse
from slipway.experiments.sample_ratio import log_e_mismatch
from slipway.rollouts.counts import (
    Arm,
    Counts,
    Metric,
    Pair,
    Stratum,
    exposures,
    first_events,
    latencies,
    trial_events,
)
from slipway.rollouts.latency import StableLatency
from slipway.rollouts.plan import FallbackGuardrail, Guardrails, LatencyGuardrail, RolloutPlan, SlowGuardrail

ABSOLUTE = "errors_absolute"
LATENCY, DRIFT, SAMPLE_RATIO = "latency", "drift", "sample_ratio"
# The deterministic tier: a candidate that fails half of its first requests needs no statistics.
FIRST_REQUESTS = 20
FIRST_FAILURES = 10


class OnHarm(StrEnum):
    """What a proof of harm does."""

    ROLL_BACK = "roll_back"
    HOLD = "hold"


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """Above how many milliseconds a request is slow, by arm (p95, p99); fixed from stable's traffic before it is used.

    ``centre_log_ms``: stable's mean log-latency, around which log-latencies are summed.
    """

    of_stable: tuple[float, float]
    of_candidate: tuple[float, float]
    centre_log_ms: float = 0.0
    slo_ms: float | None = None

    @classmethod
    def beside(cls, latency: StableLatency, guardrails: Guardrails) -> "Thresholds":
        """Return the thresholds for stable's latency.

        >>> Thresholds.beside(StableLatency(p95_ms=4.0, p99_ms=40.0), Guardrails()).of_candidate
        (9.0, 50.0)
        """
        seen = (latency.p95_ms, latency.p99_ms)
        return cls(
            of_stable=seen,
            of_candidate=(_allowed(seen[0], guardrails.p95), _allowed(seen[1], guardrails.p99)),
            centre_log_ms=latency.mean_log_ms,
            slo_ms=guardrails.slo.ms if guardrails.slo else None,
        )


def _allowed(ms: float, guardrail: SlowGuardrail | LatencyGuardrail) -> float:
    return max(guardrail.ratio * ms, ms + guardrail.floor_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one guardrail knows: log e-values for harm (``None``: never promotes) and against it, each with its line."""

    guardrail: str
    harm_log_e: float
    harm_line: float
    safe_log_e: float | None
    safe_line: float
    words: str
    on_harm: OnHarm = OnHarm.ROLL_BACK

    @property
    def is_harmful(self) -> bool:
        return self.harm_log_e >= self.harm_line

    @property
    def is_safe(self) -> bool:
        return self.safe_log_e is None or self.safe_log_e >= self.safe_line


def rollback_tests(plan: RolloutPlan) -> int:
    """Return how many tests share the plan's alpha: every one that can stop a healthy candidate, but the sample ratio.

    >>> rollback_tests(RolloutPlan())
    7
    """
    return 7 + (plan.guardrails.slo is not None)


def read(
    plan: RolloutPlan,
    counts: Counts,
    *,
    carried: Mapping[str, float],
    thresholds: Thresholds | None = None,
    score_shares: Mapping[Arm, Sequence[float]] | None = None,
) -> tuple[Reading, ...]:
    """Read every guardrail that has something to read.

    ``carried`` holds, by guardrail, the log e-values against harm that earlier attempts of the same pair ended with:
    trying again is looking again, so they multiply. ``score_shares``: the bins' shares among each arm's hold-out rows.
    """
    watched, strata = plan.guardrails, counts.strata
    readings = [
        _errors(plan, strata, carried.get(Metric.ERRORS, 0.0)),
        _slow(plan, strata, carried.get(Metric.P95, 0.0)),
        _absolute(plan, strata),
        _more_often(plan, strata, Metric.P99, watched.p99, "were slow"),
        _more_often(plan, strata, Metric.FALLBACK, watched.fallback, "were predicted from defaults"),
        _sample_ratio(plan, strata),
    ]
    if watched.slo is not None:
        readings.append(_slo(plan, strata, limit=watched.slo.share, ms=watched.slo.ms))
    if thresholds is not None:
        readings.append(_latency(plan, strata, thresholds))
    if score_shares and score_shares.get(Arm.CANDIDATE):
        readings.append(_drift(plan, counts, score_shares))
    return tuple(readings)


def _errors(plan: RolloutPlan, strata: Sequence[Stratum], carried: float) -> Reading:
    guardrail, metric = plan.guardrails.errors, Metric.ERRORS
    events, trials = _trials(strata, metric)
    # Harm is "more often than (1 + margin) times stable, and more often than delta". It lies inside the null of each of
    # the two, so their mean is an e-process against harm. Without the second, two arms without errors prove nothing.
    safe = carried + log_mean(
        [
            log_e_not_worse(trial_events(strata, metric), margin=guardrail.margin),
            log_e_below(events.candidate, trials.candidate, limit=guardrail.delta),
        ]
    )
    seen = _firsts(events, trials, "failed")
    return _reading(plan, metric, harm=log_e_worse(first_events(strata, metric)), safe=safe, seen=seen)


def _slow(plan: RolloutPlan, strata: Sequence[Stratum], carried: float) -> Reading:
    metric, margin = Metric.P95, plan.guardrails.p95.margin
    return _reading(
        plan,
        metric,
        harm=log_e_worse(first_events(strata, metric), margin=margin, factors=MODERATELY_WORSE),
        safe=carried + log_e_not_worse(trial_events(strata, metric), margin=margin),
        seen=_firsts(*_trials(strata, metric), "were slow"),
    )


def _more_often(
    plan: RolloutPlan,
    strata: Sequence[Stratum],
    metric: Metric,
    guardrail: SlowGuardrail | FallbackGuardrail,
    what: str,
) -> Reading:
    """Against stable, for rollback only."""
    harm = log_e_worse(first_events(strata, metric), margin=guardrail.margin, factors=MODERATELY_WORSE)
    return _reading(plan, metric, harm=harm, safe=None, seen=_firsts(*_trials(strata, metric), what))


def _absolute(plan: RolloutPlan, strata: Sequence[Stratum]) -> Reading:
    """The one test that still sees errors when there is no stable traffic left to compare with (soaking)."""
    events, trials = _trials(strata, Metric.ERRORS)
    limit = plan.guardrails.errors.limit
    return _reading(
        plan,
        ABSOLUTE,
        harm=log_e_above(events.candidate, trials.candidate, limit=limit),
        safe=None,
        seen=f"{_share(events.candidate, trials.candidate)} candidate first requests failed, "
        f"at most {limit:.1%} are allowed",
    )


def _slo(plan: RolloutPlan, strata: Sequence[Stratum], *, limit: float, ms: float) -> Reading:
    events, trials = _trials(strata, Metric.SLO)
    return _reading(
        plan,
        Metric.SLO,
        harm=log_e_above(events.candidate, trials.candidate, limit=limit),
        safe=None,
        seen=f"{_share(events.candidate, trials.candidate)} candidate first requests took more than {ms:g} ms, "
        f"at most {limit:.1%} are allowed",
    )


def _latency(plan: RolloutPlan, strata: Sequence[Stratum], thresholds: Thresholds) -> Reading:
    centre_ms = exp(thresholds.centre_log_ms)
    ratio = _allowed(centre_ms, plan.guardrails.latency) / centre_ms
    harm = log_e_slower(latencies(strata), ratio=ratio)
    seen = f"the candidate's typical latency may be {ratio:.2f} times stable's"
    return _reading(plan, LATENCY, harm=harm, safe=None, seen=seen)


def _sample_ratio(plan: RolloutPlan, strata: Sequence[Stratum]) -> Reading:
    trials = _total(stratum.trials for stratum in strata)
    line = log_line(plan.guardrails.sample_ratio.alpha)
    harm = log_e_mismatch(exposures(strata))
    words = (
        f"{SAMPLE_RATIO}: {trials.candidate:,} units on the candidate, {trials.stable:,} on stable; "
        f"log e for a mismatch with the weights {harm:.1f} of {line:.1f}"
    )
    return Reading(
        guardrail=SAMPLE_RATIO,
        harm_log_e=harm,
        harm_line=line,
        safe_log_e=None,
        safe_line=line,
        words=words,
        on_harm=OnHarm.HOLD,
    )


def _drift(plan: RolloutPlan, counts: Counts, shares: Mapping[Arm, Sequence[float]]) -> Reading:
    """The candidate's scores have moved from its own hold-out rows', and stable's have not from its own."""
    effect = plan.guardrails.drift.effect
    moved = {
        arm: log_e_moved(counts.scores[arm], expected=shares[arm], effect=effect)
        for arm in Arm
        if arm in counts.scores and shares.get(arm)
    }
    line = log_line(plan.alpha, shared_by=rollback_tests(plan))
    shared = moved.get(Arm.STABLE, 0.0) >= line
    harm = 0.0 if shared else moved.get(Arm.CANDIDATE, 0.0)
    seen = f"{sum(counts.scores.get(Arm.CANDIDATE, ())):,} candidate scores against its hold-out rows" + (
        "; stable's have moved too: the customers changed, not the model" if shared else ""
    )
    return _reading(plan, DRIFT, harm=harm, safe=None, seen=seen, on_harm=OnHarm.HOLD)


def _reading(
    plan: RolloutPlan, name: str, *, harm: float, safe: float | None, seen: str, on_harm: OnHarm = OnHarm.ROLL_BACK
) -> Reading:
    harm_line, safe_line = log_line(plan.alpha, shared_by=rollback_tests(plan)), log_line(plan.alpha)
    proof = "" if safe is None else f", against harm {safe:.1f} of {safe_line:.1f}"
    words = f"{name}: {seen}; log e for harm {harm:.1f} of {harm_line:.1f}{proof}"
    return Reading(
        guardrail=str(name),
        harm_log_e=harm,
        harm_line=harm_line,
        safe_log_e=safe,
        safe_line=safe_line,
        words=words,
        on_harm=on_harm,
    )


def _trials(strata: Sequence[Stratum], metric: Metric) -> tuple[Pair, Pair]:
    """Return a metric's events among first requests, and the first requests."""
    return _total(stratum.of(metric).trial_events for stratum in strata), _total(stratum.trials for stratum in strata)


def _firsts(events: Pair, trials: Pair, what: str) -> str:
    return (
        f"{_share(events.candidate, trials.candidate)} candidate first requests {what}, "
        f"{_share(events.stable, trials.stable)} stable ones"
    )


def _total(pairs: Iterable[Pair]) -> Pair:
    return sum(pairs, Pair())


def _share(events: int, trials: int) -> str:
    return f"{events:,} of {trials:,}"
