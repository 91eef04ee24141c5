import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slipway.models.evaluate import evaluate, gap


def scored(rng, rows=800):
    scores = rng.random(rows)
    return rng.random(rows) < scores, scores


def test_metrics_are_those_counted_by_hand_when_rows_are_few():
    # 3 positives; at 0.5: TP 2, FP 1, FN 1, TN 2.
    seen = evaluate([1, 1, 1, 0, 0, 0], [0.9, 0.6, 0.2, 0.7, 0.3, 0.1], 0.5)

    assert seen.metrics["accuracy"] == pytest.approx(4 / 6)
    assert seen.metrics["precision"] == pytest.approx(2 / 3)
    assert seen.metrics["recall"] == pytest.approx(2 / 3)
    assert seen.metrics["f1"] == pytest.approx(2 / 3)
    assert seen.metrics["f1_weighted"] == pytest.approx(2 / 3)
    assert seen.metrics["roc_auc"] == pytest.approx(6 / 9)  # pairs in order: 3 + 2 + 1 of 9
    assert seen.metrics["brier"] == pytest.approx((0.01 + 0.16 + 0.64 + 0.49 + 0.09 + 0.01) / 6)
    assert (seen.rows, seen.positives) == (6, 3)


def test_calibration_error_is_small_when_scores_are_true_probabilities_and_large_when_not():
    truth, scores = scored(np.random.default_rng(0), rows=20_000)

    assert evaluate(truth, scores, 0.5).metrics["calibration_error"] < 0.015
    assert evaluate(truth, scores**3, 0.5).metrics["calibration_error"] > 0.1


def test_a_row_at_the_threshold_counts_as_positive():
    assert evaluate([1, 0], [0.5, 0.1], 0.5).metrics["recall"] == 1


def test_precision_is_zero_when_no_row_is_selected():
    seen = evaluate([1, 0], [0.4, 0.1], 0.5)

    assert (seen.metrics["precision"], seen.metrics["f1"]) == (0, 0)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_curves_stay_small_and_rise_from_corner_to_corner(seed):
    seen = evaluate(*scored(np.random.default_rng(seed)), 0.5)

    assert seen.roc[0] == (0, 0)
    assert seen.roc[-1] == (1, 1)
    assert list(seen.roc) == sorted(seen.roc)
    assert list(seen.precision_recall) == sorted(seen.precision_recall, key=lambda point: point[0])
    assert max(len(seen.roc), len(seen.precision_recall)) <= 200
    assert sum(b.rows for b in seen.calibration) == seen.rows


def test_slices_have_rates_of_their_group_and_none_where_a_rate_is_undefined():
    seen = evaluate([1, 1, 0, 0], [0.9, 0.2, 0.8, 0.1], 0.5, groups={"sex": ["f", "m", "f", "f"]})

    female, male = seen.slices
    assert (female.value, female.rows, female.positives) == ("f", 3, 1)
    assert (female.accuracy, female.recall, female.false_positive_rate) == (pytest.approx(2 / 3), 1, 0.5)
    assert (male.recall, male.false_positive_rate, male.roc_auc) == (0, None, None)


def test_gap_is_between_the_worst_and_the_best_group_that_are_large_enough():
    groups = {"plan": ["a"] * 4 + ["b"] * 4 + ["c"]}
    seen = evaluate([1, 1, 0, 0, 1, 1, 0, 0, 1], [0.9, 0.8, 0.1, 0.2, 0.9, 0.1, 0.9, 0.1, 0.1], 0.5, groups=groups)

    difference, worse, better = gap(seen.slices, "plan", "accuracy", min_rows=4)

    assert (difference, worse.value, better.value) == (0.5, "b", "a")
    assert gap(seen.slices, "plan", "accuracy", min_rows=1)[0] == 1.0
    assert gap(seen.slices, "plan", "accuracy", min_rows=5) is None
    assert gap(seen.slices, "other", "accuracy", min_rows=1) is None


@pytest.mark.parametrize(
    ("truth", "scores", "words"),
    [
        ([1, 1], [0.1, 0.2], "all 2 rows are positive"),
        ([0, 0], [0.1, 0.2], "all 2 rows are negative"),
        ([1, 0], [0.1, 1.2], "probabilities"),
        ([1, 0], [0.1, np.nan], "probabilities"),
        ([1, 0, 1], [0.1, 0.2], "one length"),
    ],
)
def test_evaluate_refuses_what_has_no_meaning(truth, scores, words):
    with pytest.raises(ValueError, match=words):
        evaluate(truth, scores, 0.5)
