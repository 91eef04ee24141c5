"""The search for the report, from the file that training wrote."""

from pathlib import Path
from statistics import fmean, stdev

import msgspec

from slipway.pipeline.report import material
from slipway.pipeline.report.values import Importance, Search, Trial

FILE = "candidates.json"
MOST_FEATURES = 12


class FileTrial(msgspec.Struct, frozen=True, kw_only=True):
    """One trial, scored on each fold."""

    number: int
    family: str
    parameters: dict[str, int | float | str]
    fold_roc_auc: tuple[float, ...]
    seconds: float


class FileImportance(msgspec.Struct, frozen=True, kw_only=True):
    """How much ROC-AUC is lost when a feature is shuffled."""

    feature: str
    mean: float
    sd: float


class FileCandidate(msgspec.Struct, frozen=True, kw_only=True):
    """The best of a family, refitted on all training rows."""

    family: str
    run_id: str
    onnx_digest: str
    importance: tuple[FileImportance, ...]


class TrainFile(msgspec.Struct, frozen=True, kw_only=True):
    """``candidates.json``, as ``models.report.TrainReport`` writes it; scikit-learn is not imported for a picture."""

    run_id: str
    folds: int
    budget_s: float
    search_s: float
    train_rows: int
    trials: tuple[FileTrial, ...]
    candidates: tuple[FileCandidate, ...]
    refused: dict[str, str]


def read(folder: Path) -> TrainFile:
    """Read what training left."""
    return material.read(folder / FILE, TrainFile)


def search(found: TrainFile, *, chosen: str) -> Search:
    """Return the section on the search; ``chosen`` is the family that the gates judged, empty for the best one."""
    return Search(
        trials=tuple(
            Trial(
                family=trial.family,
                cv_roc_auc=fmean(trial.fold_roc_auc),
                spread=stdev(trial.fold_roc_auc) if len(trial.fold_roc_auc) > 1 else 0.0,
                seconds=trial.seconds,
                params=", ".join(f"{name} {value}" for name, value in trial.parameters.items()),
            )
            for trial in found.trials
        ),
        chosen=chosen or found.candidates[0].family,
        budget_s=found.budget_s,
        spent_s=found.search_s,
        folds=found.folds,
        rows=found.train_rows,
        refused=tuple(found.refused.items()),
    )


def importance(found: TrainFile, family: str) -> tuple[Importance, ...]:
    """Return what the candidate of a family leans on, most first."""
    candidate = next((candidate for candidate in found.candidates if candidate.family == family), None)
    if candidate is None:
        return ()
    ranked = sorted(candidate.importance, key=lambda feature: -feature.mean)
    return tuple(Importance(feature=f.feature, loss=f.mean, sd=f.sd) for f in ranked[:MOST_FEATURES])
