"""What the application needs of a model in memory."""

from typing import Protocol

import numpy as np
import numpy.typing as npt


class Scorer(Protocol):
    """A model: rows of a float32 matrix in, a score each out."""

    def score(self, matrix: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]: ...
