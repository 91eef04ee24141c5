"""Does the converted model answer as the estimator it came from, where that is hardest as well?"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from slipway.models.convert import split_values
from slipway.models.gates import Converted
from slipway.models.runtime import OnnxScorer

Matrix = NDArray[np.float32]

# Split values beyond this number are sampled: 3 rows each, and a forest can have hundreds of thousands.
MAX_SPLITS = 10_000
MISSING_SHARE = 0.1


def measure(estimator: Any, onnx: bytes, matrix: Matrix, *, threshold: float, seed: int) -> Converted:
    """Score held-out rows, rows with missing values and rows at split values with both, and compare."""
    rows = probes(matrix, split_values(onnx), seed=seed)
    native = estimator.predict_proba(rows)[:, 1]
    converted = OnnxScorer(onnx).score(rows)
    differences = np.abs(native - converted)
    return Converted(
        # A score that is not a number differs from everything.
        max_difference=float(np.where(np.isnan(differences), np.inf, differences).max()),
        decision_flips=int(((native >= threshold) != (converted >= threshold)).sum()),
        rows=len(rows),
        size_bytes=len(onnx),
    )


def probes(matrix: Matrix, splits: tuple[tuple[int, float], ...], *, seed: int) -> Matrix:
    """Return the rows to compare on: all given ones, then made ones.

    Missing values: each column in turn, a tenth of all values at random, and a row with none. Split values: for each
    one a row that has it, and one on either side at the distance of one float32, since a threshold that was rounded
    to float32 the wrong way only shows there.

    >>> probes(np.zeros((2, 1), np.float32), ((0, 1.0),), seed=0).shape
    (9, 1)
    """
    rng = np.random.default_rng(seed)
    count, columns = matrix.shape
    each = matrix[np.arange(columns) % count].copy()
    np.fill_diagonal(each, np.nan)
    scattered = np.where(rng.random(matrix.shape) < MISSING_SHARE, np.float32(np.nan), matrix)
    parts = [matrix, each, scattered, np.full((1, columns), np.nan, np.float32)]
    if splits:
        chosen = np.sort(rng.permutation(len(splits))[:MAX_SPLITS])
        column = np.array([splits[i][0] for i in chosen]).repeat(3)
        value = np.array([splits[i][1] for i in chosen], np.float32)
        beside = np.column_stack(
            [np.nextafter(value, np.float32(-np.inf)), value, np.nextafter(value, np.float32(np.inf))]
        )
        at_split = matrix[np.arange(len(column)) % count].copy()
        at_split[np.arange(len(column)), column] = beside.ravel()
        parts.append(at_split)
    return np.ascontiguousarray(np.concatenate(parts), dtype=np.float32)
