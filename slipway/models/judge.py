"""Puts a trained candidate before the gates, beside the champion on the same held-out rows."""

from dataclasses import dataclass
from pathlib import Path

from slipway.experiments.paired import PairedDifference, roc_auc_difference
from slipway.features.errors import FeatureValueError
from slipway.features.layout import FeatureSetLayout
from slipway.models import bundle, gates
from slipway.models.bundle import Bundle
from slipway.models.config import ModelConfig
from slipway.models.dataset import Dataset
from slipway.models.errors import TrainingRefused
from slipway.models.evaluate import Evaluation, evaluate
from slipway.models.gates import GateResult, Incomparable, Verdict
from slipway.models.report import TrainReport
from slipway.models.runtime import OnnxScorer


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """The gates' results on a candidate, and what a report shows beside them."""

    family: str
    verdict: Verdict
    results: tuple[GateResult, ...]
    candidate: Evaluation
    champion: Evaluation | None = None
    difference: PairedDifference | None = None

    @property
    def refused(self) -> str:
        """The sentences of the gates that did not pass, for a message."""
        return "; ".join(result.words for result in self.results if result.verdict is not Verdict.PASS)


def judge(
    training_set: Path, trained: Path, family: str, config: ModelConfig, *, champion: Bundle | None = None
) -> Judgement:
    """Judge the candidate of a family that a training left in ``trained``.

    The champion's ONNX scores the held-out rows through its own feature set; where the training set lacks a feature of
    it, nothing can be said about non-inferiority, and that gate says so.
    """
    report = TrainReport.load(trained)
    candidate = report.candidate(family)
    before: Evaluation | None = None
    compared: PairedDifference | Incomparable | None = None
    if champion is not None:
        try:
            _, seen_by_champion = Dataset.load(training_set, _layout(champion)).split(config)
        except (TrainingRefused, FeatureValueError) as error:
            compared = Incomparable(reason=str(error))
        else:
            own = bundle.load(trained / family)
            _, holdout = Dataset.load(training_set, _layout(own)).split(config)
            champion_scores = OnnxScorer(champion.onnx).score(seen_by_champion.matrix)
            compared = roc_auc_difference(
                holdout.positive,
                OnnxScorer(own.onnx).score(holdout.matrix),
                champion_scores,
                seed=config.split.seed,
            )
            before = evaluate(
                holdout.positive,
                champion_scores,
                champion.manifest.threshold,
                groups=holdout.groups(config.slices.columns),
            )
    results = gates.check(candidate.evaluation, candidate.converted, compared, config)
    return Judgement(
        family=family,
        verdict=gates.overall(results),
        results=results,
        candidate=candidate.evaluation,
        champion=before,
        difference=compared if isinstance(compared, PairedDifference) else None,
    )


def _layout(of: Bundle) -> FeatureSetLayout:
    return FeatureSetLayout.from_json(of.manifest.feature_set)
