"""Is one arm slower than the other? An asymptotic e-process on the difference of mean log-latencies.

With a share ``rho`` assigned to arm B, ``phi = (y - c) (1{B} / rho - 1{A} / (1 - rho))`` has the difference of the two
means as its own mean, whatever the constant ``c`` and however the share changes from stratum to stratum. Its running
sum is close to a Brownian motion, whose one-sided normal mixture is the e-process. Source: Waudby-Smith, Arbour, Sinha,
Kennedy & Ramdas, "Time-uniform central limit theory and asymptotic confidence sequences", arXiv 2103.06476, eq. (9),
one-sided as in its appendix; the mixture is Robbins' (1970).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log, log1p, sqrt

from scipy.special import log_ndtr

# The mixture is sharpest near this many requests of both arms: rho^2 = (2 log(1/alpha) + log(1 + 2 log(1/alpha))) / n
# for alpha 0.01 (eq. 11 of the source).
MIXTURE = 11.5 / 4000
# The central limit needs some requests of each arm before it says anything.
ENOUGH = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Moments:
    """Sums over log-milliseconds minus a centre that was fixed before: their number, total and total of squares."""

    n: int = 0
    total: float = 0.0
    squares: float = 0.0

    def __add__(self, other: "Moments") -> "Moments":
        return Moments(n=self.n + other.n, total=self.total + other.total, squares=self.squares + other.squares)


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyStratum:
    """Latencies of both arms while a share ``rho`` of the units was assigned to B."""

    rho: float
    a: Moments
    b: Moments


def log_e_slower(strata: Sequence[LatencyStratum], *, ratio: float) -> float:
    """Return the log e-value against "B's geometric mean latency is at most ``ratio`` times A's".

    Strata with nothing to compare (``rho`` 0 or 1) and fewer than 50 requests of an arm are no evidence: 0.

    >>> same, double = Moments(n=500, squares=80.0), Moments(n=500, total=346.5, squares=320.0)
    >>> log_e_slower([LatencyStratum(rho=0.5, a=same, b=double)], ratio=1.25) > 4.6
    True
    >>> log_e_slower([LatencyStratum(rho=0.5, a=same, b=same)], ratio=1.25) < 0
    True
    """
    compared = [stratum for stratum in strata if 0.0 < stratum.rho < 1.0]
    if min(sum(stratum.a.n for stratum in compared), sum(stratum.b.n for stratum in compared)) < ENOUGH:
        return 0.0
    n = sum(stratum.a.n + stratum.b.n for stratum in compared)
    total = sum(s.b.total / s.rho - s.a.total / (1.0 - s.rho) for s in compared)
    squares = sum(s.b.squares / s.rho**2 + s.a.squares / (1.0 - s.rho) ** 2 for s in compared)
    variance = squares / n - (total / n) ** 2
    if variance <= 0.0:
        return 0.0
    excess = (total - n * log(ratio)) / sqrt(variance)
    return log_mixture(excess, n)


def log_mixture(excess: float, n: float, *, mixture: float = MIXTURE) -> float:
    """Return the log of the mean of ``exp(k excess - k^2 n / 2)`` over a half-normal ``k`` of variance ``mixture``.

    >>> round(log_mixture(0.0, 0), 9)
    0.0
    """
    spread = 1.0 + n * mixture
    tail = float(log_ndtr(excess * sqrt(mixture / spread)))
    return log(2.0) - 0.5 * log1p(n * mixture) + mixture * excess**2 / (2.0 * spread) + tail
