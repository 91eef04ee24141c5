"""What a plan can see at a given traffic, before anything starts: pure arithmetic on expected counts.

Every second of the plan the guardrails read the counts that are expected by then. What they find then, a real rollout
finds at about half of the times by then: these are medians, not promises.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from slipway.rollouts.counts import Counts, Metric, MetricCounts, Pair, Stratum
from slipway.rollouts.guardrails import Reading, read
from slipway.rollouts.plan import RolloutPlan
from slipway.rollouts.routes import WHOLE

SLOW_SHARE = 0.05  # of stable's requests lie above its 95th percentile
CANDIDATE_ERRORS = (0.005, 0.01, 0.02, 0.05, 0.2, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """When something is decided: after how many seconds of the ramp, and of the candidate's requests."""

    seconds: int
    candidate_requests: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """A candidate that fails with this share, and when that is found (``None``: not within the plan)."""

    candidate_errors: float
    found: Found | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What a plan comes to.

    ``promotion``: when an equally good candidate is proven harmless. ``exposed_units``: how many users (or requests)
    the candidate has answered by the ramp's end. ``false_rollback``: an upper bound, however often anyone looks.
    """

    rps: float
    promotion: Found | None
    missing: tuple[str, ...]
    detections: tuple[Detection, ...]
    exposed_units: int
    false_rollback: float


def forecast(plan: RolloutPlan, *, rps: float, stable_errors: float = 0.0, requests_per_unit: float = 1.0) -> Forecast:
    """Return what the plan sees at ``rps`` requests a second.

    >>> plan = RolloutPlan()
    >>> forecast(plan, rps=100).promotion.seconds <= 60, forecast(plan, rps=1).promotion
    (True, None)
    """

    def expected(candidate_errors: float) -> list[tuple[int, Counts]]:
        return _expected(plan, rps / requests_per_unit, stable_errors, candidate_errors)

    def first(looks: Sequence[tuple[int, Counts]], holds: Callable[[tuple[Reading, ...]], bool]) -> Found | None:
        for second, counts in looks:
            if holds(read(plan, counts, carried={})):
                requests = sum(stratum.trials.candidate for stratum in counts.strata)
                return Found(seconds=second, candidate_requests=round(requests * requests_per_unit))
        return None

    equal = expected(stable_errors)
    climb_s = sum(step.size_s for step in plan.steps[:-1])
    last = equal[-1][1] if equal else Counts()
    return Forecast(
        rps=rps,
        promotion=first(
            [look for look in equal if look[0] > climb_s], lambda readings: all(reading.is_safe for reading in readings)
        ),
        missing=tuple(reading.words for reading in read(plan, last, carried={}) if not reading.is_safe),
        detections=tuple(
            Detection(
                candidate_errors=share,
                found=first(expected(share), lambda readings: any(reading.is_harmful for reading in readings)),
            )
            for share in CANDIDATE_ERRORS
            if share > stable_errors
        ),
        exposed_units=sum(stratum.trials.candidate for stratum in last.strata),
        false_rollback=plan.alpha,
    )


def _expected(
    plan: RolloutPlan, units_per_s: float, stable_errors: float, candidate_errors: float
) -> list[tuple[int, Counts]]:
    """Return the counts that are expected after each second of the ramp, for an equally fast candidate."""
    looks: list[tuple[int, Counts]] = []
    done: list[Stratum] = []
    second = 0
    for step in plan.steps:
        share = step.share / WHOLE
        stratum = Stratum(weight=step.share)
        for elapsed in range(1, round(step.size_s) + 1):
            units = units_per_s * elapsed
            stable, candidate = units * (1 - share), units * share
            errors = Pair(stable=round(stable * stable_errors), candidate=round(candidate * candidate_errors))
            slow = Pair(stable=round(stable * SLOW_SHARE), candidate=round(candidate * SLOW_SHARE))
            stratum = Stratum(
                weight=step.share,
                trials=Pair(stable=round(stable), candidate=round(candidate)),
                events={
                    Metric.ERRORS: MetricCounts(first_events=errors, trial_events=errors),
                    Metric.P95: MetricCounts(first_events=slow, trial_events=slow),
                },
            )
            second += 1
            looks.append((second, Counts(strata=(*done, stratum))))
        done.append(stratum)
    return looks
