"""How good scores are on rows whose labels are known: figures, curves for pictures, and slices. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn import metrics as sk

CALIBRATION_BINS = 10

# A curve of this many points can't be told from the full one at the width of a page.
CURVE_POINTS = 200

Point = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationBin:
    """Rows of neighbouring scores: what was promised on average, and what share was positive."""

    mean_score: float
    share_positive: float
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """The decisions within one group of rows; a rate is None where the group has no row that it is a share of."""

    column: str
    value: str
    rows: int
    positives: int
    accuracy: float
    selection_rate: float
    recall: float | None
    false_positive_rate: float | None
    roc_auc: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Everything about scores on one set of rows. ``metrics`` by name; curves as points for a picture."""

    rows: int
    positives: int
    threshold: float
    metrics: dict[str, float]
    roc: tuple[Point, ...]
    precision_recall: tuple[Point, ...]
    calibration: tuple[CalibrationBin, ...]
    slices: tuple[Slice, ...] = ()


def evaluate(
    positive: ArrayLike, score: ArrayLike, threshold: float, *, groups: Mapping[str, Sequence[str]] | None = None
) -> Evaluation:
    """Judge scores against labels; ``groups`` names for each slicing column the group of every row.

    ``metrics`` has ``accuracy``, ``precision``, ``recall``, ``f1`` (of the positive class), ``f1_weighted``,
    ``roc_auc``, ``pr_auc`` (average precision), ``brier``, ``log_loss`` and ``calibration_error``, which is the mean
    over ten bins of equal size of |mean score - share positive| (ECE; Naeini et al. 2015 with equal-mass bins).
    Precision is 0 where no row is selected.

    Raises:
        ValueError: shapes differ, a score is outside [0, 1] or not finite, or there is only one class.

    >>> seen = evaluate([0, 0, 1, 1], [0.1, 0.6, 0.4, 0.9], 0.5)
    >>> seen.metrics["accuracy"], seen.metrics["roc_auc"]
    (0.5, 0.75)
    """
    truth, scores = _checked(positive, score)
    decided = scores >= threshold
    bins = _calibration(truth, scores)
    precision, recall, _ = sk.precision_recall_curve(truth, scores)
    false_rate, true_rate, _ = sk.roc_curve(truth, scores)
    values = {
        "accuracy": sk.accuracy_score(truth, decided),
        "precision": sk.precision_score(truth, decided, zero_division=0.0),
        "recall": sk.recall_score(truth, decided),
        "f1": sk.f1_score(truth, decided, zero_division=0.0),
        "f1_weighted": sk.f1_score(truth, decided, average="weighted", zero_division=0.0),
        "roc_auc": sk.roc_auc_score(truth, scores),
        "pr_auc": sk.average_precision_score(truth, scores),
        "brier": sk.brier_score_loss(truth, scores),
        "log_loss": sk.log_loss(truth, scores),
        "calibration_error": sum(b.rows * abs(b.mean_score - b.share_positive) for b in bins) / len(truth),
    }
    return Evaluation(
        rows=len(truth),
        positives=int(truth.sum()),
        threshold=threshold,
        metrics={name: float(value) for name, value in values.items()},
        roc=_curve(false_rate, true_rate),
        precision_recall=_curve(recall[::-1], precision[::-1]),
        calibration=bins,
        slices=tuple(
            _slice(column, value, truth[rows], scores[rows], decided[rows])
            for column, names in (groups or {}).items()
            for value in sorted(set(names))
            for rows in (np.asarray(names, dtype=object) == value,)
        ),
    )


def gap(slices: Sequence[Slice], column: str, metric: str, *, min_rows: int) -> tuple[float, Slice, Slice] | None:
    """Return the largest difference of a rate between two groups of a column, with the worse and the better group.

    Groups of fewer than ``min_rows`` rows, or without the rate, are left out; None where fewer than two remain.
    """
    known = [s for s in slices if s.column == column and s.rows >= min_rows and getattr(s, metric) is not None]
    if len(known) < 2:  # noqa: PLR2004  a difference needs two
        return None
    low, high = (pick(known, key=lambda s: getattr(s, metric)) for pick in (min, max))
    return float(getattr(high, metric) - getattr(low, metric)), low, high


def _checked(positive: ArrayLike, score: ArrayLike) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    truth, scores = np.asarray(positive).astype(bool), np.asarray(score, dtype=np.float64)
    if truth.shape != scores.shape or truth.ndim != 1:
        msg = f"labels and scores must be vectors of one length, got {truth.shape} and {scores.shape}"
        raise ValueError(msg)
    if truth.all() or not truth.any():
        msg = f"both classes are needed, all {len(truth)} rows are {'positive' if truth.all() else 'negative'}"
        raise ValueError(msg)
    if not (np.isfinite(scores).all() and scores.min() >= 0 and scores.max() <= 1):
        msg = f"scores must be probabilities in [0, 1], seen {scores.min()} to {scores.max()}"
        raise ValueError(msg)
    return truth, scores


def _calibration(truth: NDArray[np.bool_], scores: NDArray[np.float64]) -> tuple[CalibrationBin, ...]:
    parts = np.array_split(np.argsort(scores, kind="stable"), min(CALIBRATION_BINS, len(scores)))
    return tuple(
        CalibrationBin(mean_score=float(scores[p].mean()), share_positive=float(truth[p].mean()), rows=len(p))
        for p in parts
    )


def _curve(across: NDArray[np.float64], up: NDArray[np.float64]) -> tuple[Point, ...]:
    kept = np.unique(np.linspace(0, len(across) - 1, min(CURVE_POINTS, len(across))).round().astype(int))
    return tuple((round(float(across[i]), 5), round(float(up[i]), 5)) for i in kept)


def _slice(
    column: str, value: str, truth: NDArray[np.bool_], scores: NDArray[np.float64], decided: NDArray[np.bool_]
) -> Slice:
    positives, rows = int(truth.sum()), len(truth)
    return Slice(
        column=column,
        value=value,
        rows=rows,
        positives=positives,
        accuracy=float((decided == truth).mean()),
        selection_rate=float(decided.mean()),
        recall=float(decided[truth].mean()) if positives else None,
        false_positive_rate=float(decided[~truth].mean()) if positives < rows else None,
        roc_auc=float(sk.roc_auc_score(truth, scores)) if 0 < positives < rows else None,
    )
