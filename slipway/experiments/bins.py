"""Has a distribution over bins moved by more than a minimum effect? An e-process on counts."""

from collections.abc import Sequence

from slipway.experiments.beta_binomial import log_e_above, log_e_below
from slipway.experiments.evalues import log_mean

# An expected share that equals the effect, but for rounding, can't fall below anything.
TINY = 1e-9


def log_e_moved(counts: Sequence[int], *, expected: Sequence[float], effect: float) -> float:
    """Return the log e-value against "each bin's share is within ``effect`` of the expected one".

    The mean over all bins and both directions of one-sample e-processes: each one's null holds where this one does.

    >>> quiet, moved = [110, 90, 100, 100], [300, 40, 30, 30]
    >>> [log_e_moved(seen, expected=[0.25] * 4, effect=0.1) > 4.6 for seen in (quiet, moved)]
    [False, True]

    Raises:
        ValueError: there is not one expected share for each bin.
    """
    trials = sum(counts)
    log_es = []
    for count, share in zip(counts, expected, strict=True):
        if share + effect < 1.0:
            log_es.append(log_e_above(count, trials, limit=share + effect))
        if share - effect > TINY:
            log_es.append(log_e_below(count, trials, limit=share - effect))
    return log_mean(log_es) if log_es else 0.0
