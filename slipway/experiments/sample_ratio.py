"""Are units assigned as the weights say? A two-sided e-process on the units' first exposures.

Under the null a unit is B's with probability ``rho``; each alternative multiplies the odds by one factor in every
stratum. Source: Lindon & Malek 2022, arXiv 2011.03567, section 3, with a finite mixture instead of a Dirichlet prior.
"""

from collections.abc import Sequence

from slipway.experiments.rate_ratio import Events, log_e_worse

# 49 against 51 of a hundred is odds of 1.04; the mixture costs log 6, a fifth of what alpha 0.001 asks for.
ODDS = (1 / 2, 1 / 1.2, 1 / 1.04, 1.04, 1.2, 2)


def log_e_mismatch(exposures: Sequence[tuple[float, int, int]]) -> float:
    """Return the log e-value against "every unit was B's with its stratum's share"; strata of (share, A's, B's units).

    >>> log_e_mismatch([(0.05, 9500, 500)]) < 0 < 6.9 < log_e_mismatch([(0.05, 9300, 700)])
    True
    """
    return log_e_worse([Events(rho=rho, a=a, b=b) for rho, a, b in exposures], factors=ODDS)
