"""Guardrails: what the counts prove, for and against the candidate. Pure arithmetic, each reading in words."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from slipway.experiments.beta_binomial import log_e_above, log_e_below
from slipway.experiments.evalues import log_line, log_mean
from slipway.experiments.rate_ratio import MODERATELY_WORSE, log_e_not_worse, log_e_worse
from slipway.rollouts.counts import Counts, Metric, Pair, Stratum, first_events, trial_events
from slipway.rollouts.plan import RolloutPlan, SlowGuardrail

ABSOLUTE = "errors_absolute"
# How many tests can take a candidate back: errors and slow requests against stable, errors against the limit.
ROLLBACK_TESTS = 3
# The deterministic tier: a candidate that fails half of its first requests needs no statistics.
FIRST_REQUESTS = 20
FIRST_FAILURES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """Above how many milliseconds a request is slow, by arm; fixed from stable's traffic before it is used."""

    stable_ms: float
    candidate_ms: float

    @classmethod
    def beside(cls, p95_ms: float, guardrail: SlowGuardrail) -> "Thresholds":
        """Return the thresholds for stable's 95th percentile.

        >>> Thresholds.beside(4.0, SlowGuardrail()).candidate_ms, Thresholds.beside(40.0, SlowGuardrail()).candidate_ms
        (9.0, 50.0)
        """
        return cls(stable_ms=p95_ms, candidate_ms=max(guardrail.ratio * p95_ms, p95_ms + guardrail.floor_ms))


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one guardrail knows: log e-values for harm (``None``: never promotes) and against it, each with its line."""

    guardrail: str
    harm_log_e: float
    harm_line: float
    safe_log_e: float | None
    safe_line: float
    words: str

    @property
    def is_harmful(self) -> bool:
        return self.harm_log_e >= self.harm_line

    @property
    def is_safe(self) -> bool:
        return self.safe_log_e is None or self.safe_log_e >= self.safe_line


def read(plan: RolloutPlan, counts: Counts, *, carried: Mapping[str, float]) -> tuple[Reading, ...]:
    """Read every guardrail.

    ``carried`` holds, by guardrail, the log e-values against harm that earlier attempts of the same pair ended with:
    trying again is looking again, so they multiply.
    """
    return (
        _errors(plan, counts.strata, carried.get(Metric.ERRORS, 0.0)),
        _slow(plan, counts.strata, carried.get(Metric.P95, 0.0)),
        _absolute(plan, counts.strata),
    )


def _errors(plan: RolloutPlan, strata: Sequence[Stratum], carried: float) -> Reading:
    guardrail, metric = plan.guardrails.errors, Metric.ERRORS
    events = _total(stratum.errors.trial_events for stratum in strata)
    trials = _total(stratum.trials for stratum in strata)
    # Harm is "more often than (1 + margin) times stable, and more often than delta". It lies inside the null of each of
    # the two, so their mean is an e-process against harm. Without the second, two arms without errors prove nothing.
    safe = carried + log_mean(
        [
            log_e_not_worse(trial_events(strata, metric), margin=guardrail.margin),
            log_e_below(events.candidate, trials.candidate, limit=guardrail.delta),
        ]
    )
    return _reading(
        plan,
        metric,
        harm=log_e_worse(first_events(strata, metric)),
        safe=safe,
        seen=f"{_share(events.candidate, trials.candidate)} candidate first requests failed, "
        f"{_share(events.stable, trials.stable)} stable ones",
    )


def _slow(plan: RolloutPlan, strata: Sequence[Stratum], carried: float) -> Reading:
    metric, margin = Metric.P95, plan.guardrails.p95.margin
    events = _total(stratum.p95.trial_events for stratum in strata)
    trials = _total(stratum.trials for stratum in strata)
    return _reading(
        plan,
        metric,
        harm=log_e_worse(first_events(strata, metric), margin=margin, factors=MODERATELY_WORSE),
        safe=carried + log_e_not_worse(trial_events(strata, metric), margin=margin),
        seen=f"{_share(events.candidate, trials.candidate)} candidate first requests were slow, "
        f"{_share(events.stable, trials.stable)} stable ones",
    )


def _absolute(plan: RolloutPlan, strata: Sequence[Stratum]) -> Reading:
    """The one test that still sees when there is no stable traffic left to compare with (soaking)."""
    events = _total(stratum.errors.trial_events for stratum in strata).candidate
    trials = _total(stratum.trials for stratum in strata).candidate
    limit = plan.guardrails.errors.limit
    return _reading(
        plan,
        ABSOLUTE,
        harm=log_e_above(events, trials, limit=limit),
        safe=None,
        seen=f"{_share(events, trials)} candidate first requests failed, at most {limit:.1%} are allowed",
    )


def _reading(plan: RolloutPlan, name: str, *, harm: float, safe: float | None, seen: str) -> Reading:
    harm_line, safe_line = log_line(plan.alpha, shared_by=ROLLBACK_TESTS), log_line(plan.alpha)
    proof = "" if safe is None else f", against harm {safe:.1f} of {safe_line:.1f}"
    words = f"{name}: {seen}; log e for harm {harm:.1f} of {harm_line:.1f}{proof}"
    return Reading(
        guardrail=str(name), harm_log_e=harm, harm_line=harm_line, safe_log_e=safe, safe_line=safe_line, words=words
    )


def _total(pairs: Iterable[Pair]) -> Pair:
    return sum(pairs, Pair())


def _share(events: int, trials: int) -> str:
    return f"{events:,} of {trials:,}"
