"""What a training leaves behind: every trial, and the best of each family as a candidate, ranked."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import msgspec

from slipway.models.errors import TrainingRefused
from slipway.models.evaluate import Evaluation
from slipway.models.gates import Converted
from slipway.models.importance import Importance
from slipway.models.trials import Trial

FILE = "candidates.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """The best trial of a family, fitted on all training rows and converted; its bundle is the folder ``<family>/``."""

    family: str
    trial: Trial
    run_id: str
    onnx_digest: str
    converted: Converted
    evaluation: Evaluation
    importance: tuple[Importance, ...]
    fit_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainReport:
    """A training as facts. ``candidates``: best cross-validated ROC-AUC first; ``refused``: family to reason."""

    model: str
    kind: str
    run_id: str
    seed: int
    folds: int
    budget_s: float
    search_s: float
    train_rows: int
    holdout_rows: int
    trials: tuple[Trial, ...]
    candidates: tuple[Candidate, ...]
    refused: dict[str, str]

    @property
    def best(self) -> Candidate:
        return self.candidates[0]

    def candidate(self, family: str) -> Candidate:
        for candidate in self.candidates:
            if candidate.family == family:
                return candidate
        msg = f"{self.model}: no candidate of family {family!r}; there are {[c.family for c in self.candidates]}"
        raise TrainingRefused(msg)

    def save(self, out: Path) -> None:
        (out / FILE).write_bytes(msgspec.json.format(msgspec.json.encode(self), indent=1))

    @classmethod
    def load(cls, out: Path) -> Self:
        """Read what a training wrote into its folder."""
        try:
            return msgspec.json.decode((out / FILE).read_bytes(), type=cls)
        except (OSError, msgspec.DecodeError) as error:
            msg = f"{out / FILE} can't be read: {error}; train again with 'slipway ship --force --from train'"
            raise TrainingRefused(msg) from None
