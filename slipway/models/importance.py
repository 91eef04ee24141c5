"""What a model leans on: how much ROC-AUC it loses when one feature is shuffled among the held-out rows. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

REPEATS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Importance:
    """Mean and standard deviation of the loss of ROC-AUC over a few shuffles of one feature."""

    feature: str
    mean: float
    sd: float


def permutation_importance(
    score: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    matrix: NDArray[np.float32],
    positive: NDArray[np.bool_],
    *,
    features: Sequence[str],
    matrix_columns: Sequence[str],
    seed: int,
) -> tuple[Importance, ...]:
    """Return the features, those that matter most first (Breiman 2001, section 10).

    All columns of a feature (``Contract=One year``, ``Contract=Two year``, ...) are shuffled as one.
    """
    rng = np.random.default_rng(seed)
    whole = roc_auc_score(positive, score(matrix))
    found = []
    for feature in features:
        columns = [i for i, name in enumerate(matrix_columns) if name.split("=", 1)[0] == feature]
        losses = []
        for _ in range(REPEATS):
            shuffled = matrix.copy()
            shuffled[:, columns] = matrix[rng.permutation(len(matrix))][:, columns]
            losses.append(whole - roc_auc_score(positive, score(shuffled)))
        found.append(Importance(feature=feature, mean=float(np.mean(losses)), sd=float(np.std(losses, ddof=1))))
    return tuple(sorted(found, key=lambda importance: (-importance.mean, importance.feature)))
