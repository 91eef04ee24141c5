"""Arithmetic of e-values on the log scale: how to combine them and which line they must reach.

An e-value is a non-negative statistic whose mean under the null hypothesis is at most 1, so it reaches ``1 / alpha``
with probability at most ``alpha`` (Markov); for an e-process this holds at every time anyone looks (Ville).
"""

from collections.abc import Sequence
from math import exp, log


def log_mean(log_es: Sequence[float]) -> float:
    """Return the log of the mean of e-values; the mean of e-values against one null is again one.

    >>> round(exp(log_mean([log(3.0), log(5.0)])), 9)
    4.0
    """
    highest = max(log_es)
    return highest + log(sum(exp(log_e - highest) for log_e in log_es) / len(log_es))


def log_line(alpha: float, *, shared_by: int = 1) -> float:
    """Return the log e-value at which a null is rejected when ``alpha`` is split evenly over ``shared_by`` tests.

    >>> round(log_line(0.01), 4), round(log_line(0.01, shared_by=2), 4)
    (4.6052, 5.2983)
    """
    return log(shared_by / alpha)
