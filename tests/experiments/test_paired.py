import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from slipway.experiments.paired import NonInferiority, roc_auc_difference


def two_models(rng, *, rows=1400, noise_first=0.6, noise_second=0.6):
    truth = rng.normal(size=rows)
    positive = truth + rng.normal(size=rows) > 0.8
    return positive, truth + noise_first * rng.normal(size=rows), truth + noise_second * rng.normal(size=rows)


def delong(positive, first, second):
    """Variance of the difference of two correlated AUCs (DeLong et al. 1988, eq. 3-5), by the O(mn) definition."""
    components = []
    for score in (first, second):
        won, lost = score[positive][:, None], score[~positive][None, :]
        ordered = (won > lost) + 0.5 * (won == lost)
        components.append((ordered.mean(axis=1), ordered.mean(axis=0)))
    by_positive = np.cov([components[0][0], components[1][0]])
    by_negative = np.cov([components[0][1], components[1][1]])
    total = by_positive / positive.sum() + by_negative / (~positive).sum()
    return total[0, 0] + total[1, 1] - 2 * total[0, 1]


def test_estimates_are_those_of_scikit_learn_when_scores_have_ties():
    rng = np.random.default_rng(1)
    positive, first, second = two_models(rng)
    first, second = first.round(1), second.round(1)

    seen = roc_auc_difference(positive, first, second, seed=3, replications=10)

    assert seen.first == pytest.approx(roc_auc_score(positive, first), abs=1e-12)
    assert seen.second == pytest.approx(roc_auc_score(positive, second), abs=1e-12)
    assert seen.difference == pytest.approx(seen.first - seen.second, abs=1e-12)


def test_interval_agrees_with_delong_when_rows_are_many():
    positive, first, second = two_models(np.random.default_rng(2), rows=3000)

    seen = roc_auc_difference(positive, first, second, seed=3)

    half = 1.96 * np.sqrt(delong(positive, first, second))
    assert seen.low == pytest.approx(seen.difference - half, abs=0.08 * half)
    assert seen.high == pytest.approx(seen.difference + half, abs=0.08 * half)


def test_interval_covers_the_truth_in_about_its_share_of_samples():
    # Both models are equally good, so the true difference is 0; 150 samples have a standard error of 1.8 points.
    rng = np.random.default_rng(5)
    covered = 0
    for number in range(150):
        seen = roc_auc_difference(*two_models(rng, rows=400), seed=number, replications=300)
        covered += seen.low <= 0 <= seen.high

    assert 0.90 <= covered / 150 <= 0.99


def test_result_is_the_same_when_the_seed_is_and_blocks_are_many():
    positive, first, second = two_models(np.random.default_rng(3), rows=3000)

    once = roc_auc_difference(positive, first, second, seed=11)

    assert once == roc_auc_difference(positive, first, second, seed=11)
    assert once != roc_auc_difference(positive, first, second, seed=12)


def test_difference_is_exactly_zero_when_both_models_are_one():
    positive, first, _ = two_models(np.random.default_rng(4))

    seen = roc_auc_difference(positive, first, first, seed=0)

    assert (seen.difference, seen.low, seen.high) == (0, 0, 0)
    assert seen.non_inferiority(0.01) is NonInferiority.SHOWN


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_result_does_not_change_when_scores_are_rescaled_in_order(seed):
    positive, first, second = two_models(np.random.default_rng(seed), rows=60)
    if positive.any() and not positive.all():
        plain = roc_auc_difference(positive, first, second, seed=1, replications=50)
        assert plain == roc_auc_difference(positive, np.exp(first), 3 * second + 1, seed=1, replications=50)


def test_non_inferiority_is_refuted_when_the_first_model_is_far_worse():
    positive, first, second = two_models(np.random.default_rng(6), noise_first=3.0)

    assert roc_auc_difference(positive, first, second, seed=0).non_inferiority(0.01) is NonInferiority.REFUTED


def test_non_inferiority_is_open_when_rows_are_few():
    positive, first, second = two_models(np.random.default_rng(7), rows=40)

    assert roc_auc_difference(positive, first, second, seed=0).non_inferiority(0.001) is NonInferiority.OPEN


@pytest.mark.parametrize(
    ("positive", "first", "words"),
    [
        ([True, True], [0.1, 0.2], "all 2 rows are positive"),
        ([False, False], [0.1, 0.2], "all 2 rows are negative"),
        ([True, False, True], [0.1, 0.2], "one length"),
        ([True, False], [0.1, np.nan], "not finite"),
    ],
)
def test_difference_refuses_when_it_is_not_defined(positive, first, words):
    with pytest.raises(ValueError, match=words):
        roc_auc_difference(positive, first, [0.1, 0.2], seed=0)
