"""Regimes: the spans of time in which requests count, because the weight they were assigned by is certain."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from slipway.rollouts.guardrails import Thresholds
from slipway.rollouts.ports import Exposure


@dataclass(frozen=True, slots=True, kw_only=True)
class Regime:
    """One weight, confirmed by the edge, and one pair of thresholds, over ``[since_s, until_s)``.

    ``until_s`` grows from look to look while nothing changes. A request belongs to the regime that it *started* in;
    what started between two regimes, while a new weight was on its way or a dead controller's ran out, is not counted.
    """

    weight: int
    since_s: float
    until_s: float
    thresholds: Thresholds | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the present phase wants to count: from when on, at which weight, and above what a request is slow."""

    weight: int
    since_s: float
    thresholds: Thresholds | None


def extend(
    regimes: Sequence[Regime], exposures: Sequence[Exposure], *, wanted: Wanted | None, now_s: float
) -> tuple[Regime, ...]:
    """Return the regimes as far as the edge has confirmed them by ``now_s``; ``wanted`` ``None`` begins no new one.

    No regime reaches past ``now_s``: a controller that dies after this look may already have sent another weight.

    >>> spans = [Exposure(weight=500, since_s=10.0, until_s=14.0)]
    >>> extend([], spans, wanted=Wanted(weight=500, since_s=0.0, thresholds=None), now_s=12.0)
    (Regime(weight=500, since_s=10.0, until_s=12.0, thresholds=None),)
    """
    grown = list(regimes)
    if grown:
        last = grown[-1]
        confirmed = [span.until_s for span in exposures if _covers(span, last)]
        grown[-1] = replace(last, until_s=max([last.until_s, *(min(until_s, now_s) for until_s in confirmed)]))
    if wanted is not None and exposures and exposures[-1].weight == wanted.weight:
        span = exposures[-1]
        since_s = max(span.since_s, wanted.since_s)
        is_new = not grown or not _covers(span, grown[-1]) or grown[-1].thresholds != wanted.thresholds
        until_s = min(span.until_s, now_s)
        if is_new and until_s > since_s:
            grown.append(Regime(weight=wanted.weight, since_s=since_s, until_s=until_s, thresholds=wanted.thresholds))
    return tuple(grown)


def _covers(span: Exposure, regime: Regime) -> bool:
    return span.weight == regime.weight and span.since_s <= regime.since_s <= span.until_s
