"""Is one arm's event rate above or below a fixed limit? A one-sample e-process on trials.

The likelihood of a mixture of rates on one side of the limit over the likelihood of the limit itself. The prior is a
Beta distribution *truncated* to that side: with any mass on the null's side the ratio would also grow under the null
(untruncated, 58 events in 1,157 trials would pass as "below 0.5 %"). The beta mixture is Robbins' (1970); as an
e-process: Howard, Ramdas, McAuliffe & Sekhon 2021, arXiv 1810.08240, section 3.
"""

from math import inf, log, log1p

from scipy.special import betainc, betaincc, betaln

# Below this the library's value is too close to underflow to take the logarithm of.
TINY = 1e-280


def log_e_below(events: int, trials: int, *, limit: float) -> float:
    """Return the log e-value against "the rate is ``limit`` or more"; prior Beta(1/2, 1/(2 limit)) on (0, limit).

    >>> log_e_below(0, 0, limit=0.005)
    0.0
    >>> log_e_below(0, 1300, limit=0.005) > 4.6 > log_e_below(58, 1157, limit=0.005)
    True
    """
    prior_a, prior_b = 0.5, 0.5 / limit
    mass = _log_below(prior_a + events, prior_b + trials - events, limit) - _log_below(prior_a, prior_b, limit)
    return mass - _log_likelihood(events, trials, limit)


def log_e_above(events: int, trials: int, *, limit: float) -> float:
    """Return the log e-value against "the rate is at most ``limit``"; prior Beta(1/2, 1/2) on (limit, 1).

    >>> log_e_above(30, 100, limit=0.05) > 4.6 > log_e_above(5, 100, limit=0.05)
    True
    """
    # The upper tail of a Beta is the lower tail of its mirror image.
    mass = _log_below(0.5 + trials - events, 0.5 + events, 1.0 - limit) - _log_below(0.5, 0.5, 1.0 - limit)
    return mass - _log_likelihood(events, trials, limit)


def _log_likelihood(events: int, trials: int, rate: float) -> float:
    return events * log(rate) + (trials - events) * log1p(-rate)


def _log_below(a: float, b: float, x: float) -> float:
    """Log of the *unnormalised* beta integral over (0, x): log of B(x; a, b), without underflow in the tail."""
    share = float(betainc(a, b, x))
    if share > TINY:
        # Near 1 the complement carries the digits.
        log_share = log(share) if share < 0.5 else log1p(-float(betaincc(a, b, x)))  # noqa: PLR2004  a half is a half
        return log_share + float(betaln(a, b))
    # Far below the mean the series converges quickly: B(x; a, b) = x^a (1-x)^b / a * sum_n prod (a+b+i)/(a+1+i) x^n
    # (Abramowitz & Stegun 26.5.4).
    total, term, n = 1.0, 1.0, 0
    while term > total * 1e-16:
        term *= x * (a + b + n) / (a + 1.0 + n)
        total += term
        n += 1
    return a * log(x) + b * log1p(-x) - log(a) + log(total) if total < inf else -inf
