import threading
import time
from itertools import islice

import numpy as np
import pytest

from slipway.models import trials
from slipway.models.errors import TrainingFailed
from slipway.models.families import Family, gradient_boosting, logistic_regression, random_forest, xgboost

FAMILIES = (logistic_regression(), random_forest(), gradient_boosting(), xgboost())


class Slow:
    """An estimator that takes a given time and scores by the first column; it counts how many fit at once."""

    running = 0
    most = 0
    lock = threading.Lock()

    def __init__(self, seconds):
        self.seconds = seconds

    def fit(self, _matrix, _positive):
        with Slow.lock:
            Slow.running += 1
            Slow.most = max(Slow.most, Slow.running)
        time.sleep(self.seconds)
        with Slow.lock:
            Slow.running -= 1
        return self

    def predict_proba(self, matrix):
        return np.column_stack([1 - matrix[:, 0], matrix[:, 0]])


def slow(name, seconds):
    return Family(name=name, build=lambda _parameters, _seed: Slow(seconds), plain={})


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    matrix = rng.random((60, 2)).astype(np.float32)
    positive = rng.random(60) < matrix[:, 0]
    folds = [(np.arange(30), np.arange(30, 60)), (np.arange(30, 60), np.arange(30))]
    return matrix, positive, folds


def test_sequence_begins_with_plain_parameters_and_is_the_same_when_the_seed_is():
    once, again, other = (list(islice(trials.sequence(FAMILIES, seed=seed), 24)) for seed in (7, 7, 8))

    assert [trial.parameters for trial in once[:4]] == [family.plain for family in FAMILIES]
    assert [trial.family for trial in once] == [family.name for family in FAMILIES] * 6
    assert once == again
    assert once[4:] != other[4:]


def test_parameters_are_plain_numbers_that_a_person_can_read():
    for trial in islice(trials.sequence(FAMILIES, seed=7), 40):
        for value in trial.parameters.values():
            assert type(value) in {int, float}
            assert len(f"{value!r}") <= 8


def test_a_trial_of_each_family_is_finished_when_the_budget_is_shorter_than_one(data):
    done = trials.run((slow("a", 0.1), slow("b", 0.1), slow("c", 0.1)), *data, seed=1, budget_s=0.01)

    assert [trial.family for trial in done] == ["a", "b", "c"]
    assert all(len(trial.fold_roc_auc) == 2 for trial in done)


def test_no_trial_starts_that_would_outlast_the_budget(data):
    started = time.monotonic()

    done = trials.run((slow("a", 0.05), slow("b", 0.2)), *data, seed=1, budget_s=1.5, workers=2)

    assert time.monotonic() - started < 3  # without a budget it would not end
    assert len(done) >= 4
    assert [trial.number for trial in done] == list(range(len(done)))


def test_search_ends_without_a_gap_when_only_a_short_trial_would_still_fit(data):
    # b does not fit a second time, so a's third trial, number 4, must not run although it would.
    done = trials.run((slow("a", 0.01), slow("b", 0.4)), *data, seed=1, budget_s=1.2, workers=1)

    assert [trial.number for trial in done] == [0, 1, 2]


def test_trials_are_limited_by_number_when_one_is_given(data):
    done = trials.run((slow("a", 0.0), slow("b", 0.0)), *data, seed=1, budget_s=30, max_trials=5)

    assert len(done) == 5


def test_as_many_trials_run_at_once_as_there_are_workers(data):
    Slow.most = 0

    trials.run((slow("a", 0.05),), *data, seed=1, budget_s=30, max_trials=8, workers=3)

    assert Slow.most == 3


def test_scores_are_identical_when_the_search_is_repeated_with_other_workers(dataset):
    folds = dataset.folds(3, seed=1)
    arguments = (FAMILIES, dataset.matrix, dataset.positive, folds)

    one, two = (trials.run(*arguments, seed=3, budget_s=60, max_trials=8, workers=workers) for workers in (1, 2))

    assert [trial.fold_roc_auc for trial in one] == [trial.fold_roc_auc for trial in two]
    assert [trial.parameters for trial in one] == [trial.parameters for trial in two]


def test_on_trial_is_called_in_the_callers_thread_for_every_trial(data):
    seen = []

    done = trials.run(
        (slow("a", 0.01), slow("b", 0.02)),
        *data,
        seed=1,
        budget_s=30,
        max_trials=6,
        on_trial=lambda trial: seen.append((trial, threading.current_thread())),
    )

    assert {thread for _, thread in seen} == {threading.current_thread()}
    assert sorted((trial.number for trial, _ in seen)) == [trial.number for trial in done]


def test_error_names_trial_family_and_parameters_when_a_fit_fails(data):
    class Broken(Slow):
        def fit(self, _matrix, _positive):
            raise ValueError("column 3 is constant")

    broken = Family(name="broken", build=lambda _parameters, _seed: Broken(0), plain={"depth": 3})

    with pytest.raises(TrainingFailed, match=r"trial 0 failed: broken with \{'depth': 3\}: column 3 is constant"):
        trials.run((broken,), *data, seed=1, budget_s=5, workers=1)


def test_search_stops_soon_when_it_is_interrupted(data):
    started = time.monotonic()

    def interrupt(_trial):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trials.run((slow("a", 0.1),), *data, seed=1, budget_s=60, on_trial=interrupt)

    assert time.monotonic() - started < 20
