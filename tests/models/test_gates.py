from pathlib import Path

import numpy as np
import pytest

from slipway.experiments.paired import PairedDifference
from slipway.models import config as model_config
from slipway.models.evaluate import evaluate
from slipway.models.gates import Converted, Incomparable, Verdict, check, overall

GOOD = Converted(max_difference=3e-7, decision_flips=0, rows=4000, size_bytes=900_000)


@pytest.fixture
def churn():
    return model_config.parse(
        {
            "name": "churn",
            "owner": "team",
            "purpose": "says who leaves",
            "limits": "one snapshot",
            "data": {"source": "telco", "label": "Churn"},
            "features": {"set": "churn"},
            "slices": {"columns": ["senior"], "max_gap": 0.15, "min_rows": 50},
        },
        where=Path("model.toml"),
    )


def evaluation(*, right=0.9, right_of_seniors=0.9, seniors=200, rows=1000):
    """Decisions of which a given share is right, apart for seniors."""
    senior = np.arange(rows) < seniors
    truth = np.arange(rows) % 4 == 0
    rank = np.where(senior, np.arange(rows) / max(seniors, 1), (np.arange(rows) - seniors) / (rows - seniors))
    correct = rank < np.where(senior, right_of_seniors, right)
    scores = np.where(truth == correct, 0.8, 0.2)
    return evaluate(truth, scores, 0.5, groups={"senior": np.where(senior, "yes", "no").tolist()})


def difference(low, high):
    return PairedDifference(
        first=0.84, second=0.85, difference=-0.01, low=low, high=high, confidence=0.95, rows=1400, replications=2000
    )


def verdicts(results):
    return {result.name: result.verdict for result in results}


def test_all_gates_pass_when_a_good_model_has_no_champion(churn):
    results = check(evaluation(), GOOD, None, churn)

    assert overall(results) is Verdict.PASS
    assert set(verdicts(results)) == {"accuracy", "f1_weighted", "slices.senior", "parity", "size"}
    assert "accuracy: 0.9000 on 1000 held-out rows, at least 0.75 is asked" in results[0].words


def test_minimum_fails_when_accuracy_is_below_it(churn):
    results = check(evaluation(right=0.6, right_of_seniors=0.6), GOOD, None, churn)

    assert verdicts(results)["accuracy"] is Verdict.FAIL
    assert overall(results) is Verdict.FAIL


@pytest.mark.parametrize(
    ("low", "high", "verdict", "words"),
    [
        (-0.0099, 0.004, Verdict.PASS, "at most 0.01 worse is shown"),
        (-0.0101, 0.004, Verdict.NOT_ENOUGH_EVIDENCE, "can't be ruled out"),
        (-0.04, -0.011, Verdict.FAIL, "more than 0.01 worse is shown"),
    ],
)
def test_champion_gate_follows_the_interval(churn, low, high, verdict, words):
    results = check(evaluation(), GOOD, difference(low, high), churn)

    (result,) = [result for result in results if result.name == "champion"]
    assert (result.verdict, result.seen, result.allowed) == (verdict, low, -0.01)
    assert words in result.words
    assert overall(results) is verdict


def test_champion_gate_is_open_when_the_champion_cant_score_the_rows(churn):
    results = check(evaluation(), GOOD, Incomparable(reason="no column 'age'"), churn)

    assert verdicts(results)["champion"] is Verdict.NOT_ENOUGH_EVIDENCE
    assert overall(results) is Verdict.NOT_ENOUGH_EVIDENCE


def test_slice_gate_fails_and_names_the_group_when_its_decisions_are_worse(churn):
    results = check(evaluation(right_of_seniors=0.6), GOOD, None, churn)

    (result,) = [result for result in results if result.name == "slices.senior"]
    assert result.verdict is Verdict.FAIL
    assert result.seen == pytest.approx(0.3)
    assert "accuracy 0.600 for yes (200 rows), 0.900 for no (800 rows)" in result.words


def test_slice_gate_is_open_when_a_group_is_too_small(churn):
    results = check(evaluation(seniors=20), GOOD, None, churn)

    (result,) = [result for result in results if result.name == "slices.senior"]
    assert (result.verdict, result.seen) == (Verdict.NOT_ENOUGH_EVIDENCE, None)
    assert "'yes': 20" in result.words


@pytest.mark.parametrize(
    ("converted", "gate"),
    [
        (Converted(max_difference=2e-5, decision_flips=0, rows=10, size_bytes=1), "parity"),
        (Converted(max_difference=1e-8, decision_flips=1, rows=10, size_bytes=1), "parity"),
        (Converted(max_difference=float("inf"), decision_flips=0, rows=10, size_bytes=1), "parity"),
        (Converted(max_difference=0, decision_flips=0, rows=10, size_bytes=10_000_001), "size"),
    ],
)
def test_conversion_gates_fail_when_the_limit_is_passed(churn, converted, gate):
    results = verdicts(check(evaluation(), converted, None, churn))

    assert [name for name, verdict in results.items() if verdict is Verdict.FAIL] == [gate]


def test_overall_fails_when_one_gate_fails_beside_an_open_one(churn):
    results = check(evaluation(right_of_seniors=0.6), GOOD, difference(-0.02, 0.01), churn)

    assert overall(results) is Verdict.FAIL
