"""The budgeted randomised search: which trials there are, and as many of them as the budget allows."""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from threadpoolctl import threadpool_limits

from slipway.models.errors import TrainingFailed
from slipway.models.families import Family

Folds = Sequence[tuple[NDArray[np.intp], NDArray[np.intp]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A trial to be run."""

    number: int
    family: str
    parameters: Mapping[str, int | float | str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A trial that was run: ROC-AUC on each fold, and how long all folds took."""

    number: int
    family: str
    parameters: Mapping[str, int | float | str]
    fold_roc_auc: tuple[float, ...]
    seconds: float

    @property
    def roc_auc(self) -> float:
        return float(np.mean(self.fold_roc_auc))

    @property
    def roc_auc_sd(self) -> float:
        return float(np.std(self.fold_roc_auc, ddof=1))


def sequence(families: Sequence[Family], *, seed: int) -> Iterator[Planned]:
    """Yield trials without end: each family in turn, its plain parameters first, then drawn ones.

    A trial depends on its number and the seed alone, so the first ``n`` are the same on every machine.
    """
    number = 0
    while True:
        family = families[number % len(families)]
        drawn = number >= len(families)
        yield Planned(
            number=number,
            family=family.name,
            parameters=family.draw((seed, number)) if drawn else family.plain,
        )
        number += 1


def run(
    families: Sequence[Family],
    matrix: NDArray[np.float32],
    positive: NDArray[np.bool_],
    folds: Folds,
    *,
    seed: int,
    budget_s: float,
    max_trials: int | None = None,
    workers: int | None = None,
    on_trial: Callable[[Trial], None] = lambda _: None,
) -> tuple[Trial, ...]:
    """Run the sequence's trials until the budget is used up, and return them by number, without gaps.

    One trial of each family is always run to its end. After that a trial starts only if the longest one of its family
    so far would still fit. Trials run side by side in threads, each on one core: their work is compiled code that
    lets go of the interpreter, and processes were no faster here (8.9 s for both) but cost 3 s and 200 MB each.
    """
    by_name = {family.name: family for family in families}
    most = None if max_trials is None else max(max_trials, len(families))
    workers = workers or len(os.sched_getaffinity(0))
    planned = sequence(families, seed=seed)
    started = time.monotonic()
    done: list[Trial] = []
    running: set[Future[Trial]] = set()

    def starts(trial: Planned) -> bool:
        if trial.number < len(families):
            return True
        if most is not None and trial.number >= most:
            return False
        longest = max((t.seconds for t in done if t.family == trial.family), default=0.0)
        return time.monotonic() - started + longest <= budget_s

    # The limits hold for the thread that sets them: a library's own threads would fight over the same cores.
    with (
        threadpool_limits(1),
        ThreadPoolExecutor(workers, "trial", initializer=threadpool_limits, initargs=(1,)) as pool,
    ):
        try:
            trial = next(planned)
            while True:
                # The first that does not fit ends the search: a later, shorter one would leave a gap.
                while len(running) < workers and starts(trial):
                    running.add(pool.submit(score, by_name[trial.family], trial, matrix, positive, folds, seed=seed))
                    trial = next(planned)
                if not running:
                    return tuple(sorted(done, key=lambda t: t.number))
                finished, running = wait(running, return_when=FIRST_COMPLETED)
                for future in sorted(finished, key=lambda f: f.result().number):
                    done.append(future.result())
                    on_trial(future.result())
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def score(
    family: Family,
    trial: Planned,
    matrix: NDArray[np.float32],
    positive: NDArray[np.bool_],
    folds: Folds,
    *,
    seed: int,
) -> Trial:
    """Fit one set of parameters on each fold and score it on the fold's other rows."""
    started = time.monotonic()
    values = []
    for train, test in folds:
        try:
            estimator = family.build(trial.parameters, seed).fit(matrix[train], positive[train])
            values.append(float(roc_auc_score(positive[test], estimator.predict_proba(matrix[test])[:, 1])))
        except (ValueError, ArithmeticError) as error:
            msg = (
                f"trial {trial.number} failed: {family.name} with {dict(trial.parameters)}: {error}; "
                "correct the family in train.py or leave it out"
            )
            raise TrainingFailed(msg) from error
    return Trial(
        number=trial.number,
        family=trial.family,
        parameters=trial.parameters,
        fold_roc_auc=tuple(values),
        seconds=time.monotonic() - started,
    )
