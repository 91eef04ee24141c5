"""Bins: moved by more than the effect, or not."""

from math import exp, log

import numpy as np
import pytest

from slipway.experiments.beta_binomial import log_e_above, log_e_below
from slipway.experiments.bins import log_e_moved

TENTHS = [0.1] * 10


def test_value_is_the_mean_over_bins_and_directions():
    each = [log_e_above(n, 10, limit=0.75) for n in (7, 3)] + [log_e_below(n, 10, limit=0.25) for n in (7, 3)]

    value = log_e_moved([7, 3], expected=[0.5, 0.5], effect=0.25)

    assert value == pytest.approx(log(np.mean([exp(e) for e in each])), abs=1e-9)


def test_an_emptied_tenth_is_within_the_effect_and_a_doubled_one_is_not():
    assert log_e_moved([0, *[222] * 9], expected=TENTHS, effect=0.15) < 0
    assert log_e_moved([600, *[156] * 9], expected=TENTHS, effect=0.1) > log(1000)


def test_bins_without_an_expected_share_are_refused():
    with pytest.raises(ValueError, match="shorter"):
        log_e_moved([1, 2, 3], expected=[0.5, 0.5], effect=0.1)


def test_a_share_that_equals_the_effect_but_for_rounding_has_no_lower_limit():
    share = 0.1 + 1e-17
    ten = [share, *[0.1] * 9]

    assert log_e_moved([0, *[100] * 9], expected=ten, effect=0.1) < 0
