"""The real Telco file through the team's own features and model, with the plain parameters of each family."""

import pytest

from slipway.features.ingest import ingest
from slipway.features.layout import FeatureSetLayout
from slipway.features.load import load_definitions
from slipway.features.offline import training_set
from slipway.models import bundle, judge, search, train_script
from slipway.models import config as model_config
from slipway.models.gates import Verdict


@pytest.fixture(scope="module")
def telco(project, telco_csv, mlflow_uri, tmp_path_factory):
    """Training set, configuration, folder and report of a training of four trials."""
    out = tmp_path_factory.mktemp("telco")
    config = model_config.load(project, "churn")
    config = config.model_copy(update={"search": config.search.model_copy(update={"trials": 4})})
    definitions = load_definitions(project, "churn")
    source, features = definitions.source(config.data.source), definitions.feature_set(config.features.set)
    data = config.data
    ingest(telco_csv, source, label=data.label, max_bad_share=data.max_bad_share, out=out, dvc_dir=out / "dvc")
    table = training_set(
        out / "clean.parquet", source, features, label=data.label, positive=data.positive, out=out / "set"
    )
    families = train_script.load(project, "churn").search
    layout = FeatureSetLayout.of(features)
    report = search.train(table, layout, config, families, out / "trained", tracking_uri=mlflow_uri)
    return table, config, out / "trained", report


def test_cross_validated_roc_auc_reaches_the_bar(telco):
    *_, report = telco

    assert report.best.trial.roc_auc >= 0.845
    assert report.train_rows + report.holdout_rows == 7043


def test_every_family_passes_every_gate_also_against_the_plain_baseline(telco):
    table, config, trained, report = telco
    champion = bundle.load(trained / "logistic_regression")

    for candidate in report.candidates:
        seen = judge.judge(table, trained, candidate.family, config, champion=champion)
        assert seen.verdict is Verdict.PASS, seen.refused
        names = [result.name for result in seen.results]
        assert names == [
            "accuracy",
            "f1_weighted",
            "champion",
            "slices.gender",
            "slices.SeniorCitizen",
            "parity",
            "size",
        ]


def test_models_stay_small_enough_to_serve(telco):
    *_, report = telco

    assert max(candidate.converted.size_bytes for candidate in report.candidates) < 3_000_000
