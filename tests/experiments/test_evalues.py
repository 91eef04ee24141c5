"""Arithmetic of e-values."""

from math import exp, inf, log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.experiments.evalues import log_line, log_mean

LOGS = st.lists(st.floats(-600, 600), min_size=1, max_size=8)


@given(LOGS)
def test_mean_lies_between_the_least_and_the_greatest(logs):
    assert min(logs) - 1e-9 <= log_mean(logs) <= max(logs) + 1e-9


def test_mean_does_not_overflow_when_the_evidence_is_overwhelming():
    assert log_mean([5000.0, -5000.0]) == pytest.approx(5000 - log(2))
    assert log_mean([0.0, -inf]) == pytest.approx(log(0.5))


def test_line_rises_with_the_number_of_tests_that_share_alpha():
    assert exp(log_line(0.01, shared_by=5)) == pytest.approx(500)
