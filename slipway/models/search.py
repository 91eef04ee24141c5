"""Training: search within a budget, refit the best of each family, convert, evaluate, and record all of it."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from slipway import digest
from slipway.features.layout import FeatureSetLayout
from slipway.models import bundle, convert, parity, plots, trials
from slipway.models.bundle import GoldenRow, Manifest, ReferenceScores
from slipway.models.config import ModelConfig
from slipway.models.dataset import Dataset
from slipway.models.errors import ConversionRefused
from slipway.models.evaluate import evaluate
from slipway.models.families import Family
from slipway.models.importance import permutation_importance
from slipway.models.report import Candidate, TrainReport
from slipway.models.runtime import OnnxScorer
from slipway.models.tracking import TrainingRun
from slipway.models.trials import Trial

GOLDEN_ROWS = 20
HOLDOUT_IDS = "holdout_ids.txt"
PLOTS = "plots"

# A bundle that the registry has not numbered yet.
UNREGISTERED = 0


def train(
    training_set: Path,
    layout: FeatureSetLayout,
    config: ModelConfig,
    families: Sequence[Family],
    out: Path,
    *,
    tracking_uri: str,
    tags: Mapping[str, str] | None = None,
    on_trial: Callable[[Trial], None] = lambda _: None,
) -> TrainReport:
    """Search ``families`` within the budget of ``model.toml`` and leave one converted candidate of each in ``out``.

    ``out`` gets ``candidates.json`` (the report), ``holdout_ids.txt``, ``plots/search.png``, and for each family
    a bundle ``<family>/`` with ``plots/`` in it, whose ``model_version`` is 0 until it is registered. ``on_trial`` is
    called in the caller's thread after each trial.
    """
    return _train("train", training_set, layout, config, families, out, tracking_uri, tags or {}, on_trial)


def baseline(
    training_set: Path,
    layout: FeatureSetLayout,
    config: ModelConfig,
    family: Family,
    out: Path,
    *,
    tracking_uri: str,
    tags: Mapping[str, str] | None = None,
) -> TrainReport:
    """Train one family with its plain parameters; ``out`` is filled as by :func:`train`, with a single candidate.

    A search whose best trial of that family has the plain parameters gives the very same ONNX bytes.
    """
    return _train("baseline", training_set, layout, config, (family,), out, tracking_uri, tags or {}, lambda _: None)


def _train(
    kind: str,
    training_set: Path,
    layout: FeatureSetLayout,
    config: ModelConfig,
    families: Sequence[Family],
    out: Path,
    tracking_uri: str,
    tags: Mapping[str, str],
    on_trial: Callable[[Trial], None],
) -> TrainReport:
    data = Dataset.load(training_set, layout)
    training, holdout = data.split(config)
    folds = training.folds(config.search.folds, seed=config.search.seed)
    out.mkdir(parents=True, exist_ok=True)
    (out / HOLDOUT_IDS).write_text("".join(f"{key}\n" for key in dict.fromkeys(holdout.entity_keys)))

    with TrainingRun(tracking_uri, model=config.name, kind=kind, tags=tags) as run:

        def finished(trial: Trial) -> None:
            run.trial(trial)
            on_trial(trial)

        started = time.monotonic()
        done = trials.run(
            families,
            training.matrix,
            training.positive,
            folds,
            seed=config.search.seed,
            budget_s=config.search.budget_s,
            max_trials=1 if kind == "baseline" else config.search.trials,
            on_trial=finished,
        )
        search_s = time.monotonic() - started
        run.settle()
        candidates, refused = [], {}
        for family in families:
            best = max((t for t in done if t.family == family.name), key=lambda t: (t.roc_auc, -t.number))
            try:
                candidates.append(_candidate(family, best, training, holdout, config, out, run))
            except ConversionRefused as error:
                refused[family.name] = str(error)
        if not candidates:
            msg = "no family could be converted: " + "; ".join(refused.values())
            raise ConversionRefused(msg)
        report = TrainReport(
            model=config.name,
            kind=kind,
            run_id=run.run_id,
            seed=config.search.seed,
            folds=config.search.folds,
            budget_s=config.search.budget_s,
            search_s=search_s,
            train_rows=len(training),
            holdout_rows=len(holdout),
            trials=done,
            candidates=tuple(sorted(candidates, key=lambda c: -c.trial.roc_auc)),
            refused=refused,
        )
        _record(report, run, out)
    report.save(out)
    return report


def _candidate(
    family: Family,
    trial: Trial,
    training: Dataset,
    holdout: Dataset,
    config: ModelConfig,
    out: Path,
    run: TrainingRun,
) -> Candidate:
    """Fit a family's best parameters on all training rows, convert, and measure what will be served."""
    seed, threshold, layout = config.search.seed, config.decision.threshold, training.layout
    started = time.monotonic()
    estimator = family.build(trial.parameters, seed).fit(training.matrix, training.positive)
    fit_s = time.monotonic() - started
    onnx = convert.to_onnx(estimator, columns=training.matrix.shape[1])
    scorer = OnnxScorer(onnx)
    scores = scorer.score(holdout.matrix)
    evaluation = evaluate(holdout.positive, scores, threshold, groups=holdout.groups(config.slices.columns))
    importance = permutation_importance(
        scorer.score,
        holdout.matrix,
        holdout.positive,
        features=layout.features,
        matrix_columns=layout.matrix_columns,
        seed=seed,
    )
    candidate = Candidate(
        family=family.name,
        trial=trial,
        run_id=run.run_of(trial),
        onnx_digest=digest.of_bytes(onnx),
        converted=parity.measure(estimator, onnx, holdout.matrix, threshold=threshold, seed=seed),
        evaluation=evaluation,
        importance=importance,
        fit_s=fit_s,
    )
    golden = np.sort(np.random.default_rng(seed).permutation(len(holdout))[:GOLDEN_ROWS])
    manifest = Manifest(
        model=config.name,
        model_version=UNREGISTERED,
        run_id=candidate.run_id,
        family=family.name,
        feature_set=layout.to_json(),
        threshold=threshold,
        positive=config.data.positive,
        negative=config.decision.negative,
        onnx_digest=candidate.onnx_digest,
        metrics=evaluation.metrics,
        golden=tuple(
            GoldenRow(features=values, score=float(score))
            for values, score in zip(holdout.values(golden), scores[golden], strict=True)
        ),
        reference_scores=ReferenceScores(
            quantiles=tuple(np.quantile(scores, np.linspace(0, 1, bundle.REFERENCE_QUANTILES)).tolist())
        ),
    )
    folder = bundle.write(out / family.name, manifest=manifest, onnx=onnx)
    plots.candidate(folder / PLOTS, evaluation, importance, title=f"{config.name}: {family.name}, {len(holdout)} rows")
    return candidate


def _record(report: TrainReport, run: TrainingRun, out: Path) -> None:
    """Write to MLflow what is known once the search is over."""
    for candidate in report.candidates:
        run.record(
            candidate.run_id,
            metrics={
                **candidate.evaluation.metrics,
                "parity_max_difference": candidate.converted.max_difference,
                "onnx_bytes": candidate.converted.size_bytes,
            },
            tags={"slipway.candidate": "true", "slipway.onnx_digest": candidate.onnx_digest},
            artifacts=out / candidate.family / PLOTS,
        )
    plots.search(out / PLOTS / "search.png", report.trials, title=f"{report.model}: {len(report.trials)} trials")
    run.record(
        run.run_id,
        metrics={"trials": len(report.trials), "search_s": report.search_s, "cv_roc_auc": report.best.trial.roc_auc},
        tags={"slipway.best": report.best.family, **{f"slipway.refused.{k}": v for k, v in report.refused.items()}},
        artifacts=out / PLOTS,
    )
