"""Is one arm's event rate higher than the other's by more than a margin? An e-process on the events alone.

Given that an event happened while a share ``rho`` of the units was in arm B, it is B's with probability
``rho r / (1 - rho + rho r)``, where ``r`` is the ratio of the two rates. The base rate cancels, so it may drift, and
strata with different shares multiply. Source: Lindon & Malek, "Anytime-valid inference for multinomial count data",
2022, arXiv 2011.03567; here with a finite mixture of alternatives instead of a Dirichlet prior.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log, log1p

from slipway.experiments.evalues import log_mean

# True ratio over the tested one. Geometric, so that a doubling and a hundredfold rise are both met within a factor of
# two; seven members cost two nats, about one event of a failing candidate at a 5 % share.
WORSE = (1.3, 1.7, 2.5, 4.0, 8.0, 25.0, 100.0)
# For events that come in bursts by themselves (a pause makes every request of its 100 ms slow): no alternative lets
# three of them reach a line of 5 nats.
MODERATELY_WORSE = (1.3, 1.7, 2.5, 4.0)
BETTER = (0.8, 0.65, 0.5, 0.35, 0.2, 0.1, 0.03)


@dataclass(frozen=True, slots=True, kw_only=True)
class Events:
    """Events of both arms counted in one stratum: while a share ``rho`` of the units was assigned to B."""

    rho: float
    a: int
    b: int


def log_e_worse(strata: Sequence[Events], *, margin: float = 0.0, factors: Sequence[float] = WORSE) -> float:
    """Return the log e-value against "B's rate is at most ``1 + margin`` times A's".

    Grows while B's events are more frequent than the margin explains. No events, or only strata with nothing to compare
    (``rho`` 0 or 1), are no evidence: 0.

    >>> log_e_worse([])
    0.0
    >>> log_e_worse([Events(rho=0.5, a=2, b=30)]) > 4.6 > log_e_worse([Events(rho=0.5, a=30, b=30)])
    True
    """
    return log_mean([_log_likelihood_ratio(strata, 1.0 + margin, factor) for factor in factors])


def log_e_not_worse(strata: Sequence[Events], *, margin: float) -> float:
    """Return the log e-value against "B's rate is more than ``1 + margin`` times A's".

    >>> log_e_not_worse([Events(rho=0.5, a=60, b=60)], margin=1.0) > 4.6
    True
    """
    return log_mean([_log_likelihood_ratio(strata, 1.0 + margin, factor) for factor in BETTER])


def _log_likelihood_ratio(strata: Sequence[Events], bound: float, factor: float) -> float:
    """Likelihood of the events when B's rate is ``bound * factor`` times A's, over that when it is ``bound`` times."""
    gain = 0.0
    for stratum in strata:
        if 0.0 < stratum.rho < 1.0:
            # With q = odds / (1 + odds) the powers of q and 1-q become one of the factor and one of the denominators.
            odds = bound * stratum.rho / (1.0 - stratum.rho)
            gain += stratum.b * log(factor) + (stratum.a + stratum.b) * (log1p(odds) - log1p(odds * factor))
    return gain
