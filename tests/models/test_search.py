import json
import os
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier

from slipway.models import bundle, search
from slipway.models.errors import ConversionRefused, RegistryUnavailable, TrainingFailed
from slipway.models.families import Family, logistic_regression
from slipway.models.mlflow_client import connect
from slipway.models.report import TrainReport
from slipway.models.runtime import OnnxScorer

# A training that never ends by itself; it says on standard output when its first trial is over.
ENDLESS = """
    import json, sys
    from pathlib import Path
    from slipway.features.layout import FeatureSetLayout
    from slipway.models import config, search
    from slipway.models.families import logistic_regression

    training_set, layout, model, out, uri = sys.argv[1:]
    search.train(
        Path(training_set),
        FeatureSetLayout.from_json(json.loads(layout)),
        config.parse(json.loads(model), where=Path("model.toml")),
        (logistic_regression(),),
        Path(out),
        tracking_uri=uri,
        on_trial=lambda trial: print(trial.number, flush=True),
    )
"""


def runs(uri, experiment, *, filter_string=""):
    client = connect(uri)
    return client.search_runs([client.get_experiment_by_name(experiment).experiment_id], filter_string=filter_string)


def named(config, name):
    return config.model_copy(update={"name": name})


@pytest.fixture
def endless(training_set, layout, config, mlflow_uri, tmp_path):
    """Starts a training without end under a model's name, in a process of its own, and returns it at work."""
    started = []

    def start(name):
        model = named(config, name).model_dump(mode="json")
        model["search"] |= {"budget_s": 600, "trials": None}
        command = [sys.executable, "-c", textwrap.dedent(ENDLESS)]
        arguments = [str(training_set), json.dumps(layout.to_json()), json.dumps(model), str(tmp_path), mlflow_uri]
        # Ctrl-C must reach it also where the tests themselves were told to ignore it.
        process = subprocess.Popen(
            ["env", "--default-signal=INT", *command, *arguments], stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        for _ in range(3):
            assert process.stdout.readline().strip()
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def test_every_family_leaves_a_bundle_that_answers_its_golden_rows(trained, layout):
    out, report = trained

    assert {c.family for c in report.candidates} == {
        "logistic_regression",
        "random_forest",
        "gradient_boosting",
        "xgboost",
    }
    assert not report.refused
    for candidate in report.candidates:
        loaded = bundle.load(out / candidate.family)
        manifest = loaded.manifest
        assert (manifest.model, manifest.family, manifest.run_id) == ("small", candidate.family, candidate.run_id)
        assert len(manifest.golden) == 20
        assert len(manifest.reference_scores.quantiles) == 65
        matrix = layout.matrix(layout.rows([row.features for row in manifest.golden]))
        scores = OnnxScorer(loaded.onnx).score(matrix)
        np.testing.assert_array_equal(scores, np.array([row.score for row in manifest.golden], np.float32))
        assert candidate.converted.max_difference < 1e-5
        assert candidate.converted.decision_flips == 0


def test_report_comes_back_from_its_file_and_ranks_by_cross_validation(trained):
    out, report = trained

    assert TrainReport.load(out) == report
    assert [trial.number for trial in report.trials] == [0, 1, 2, 3, 4, 5]
    values = [candidate.trial.roc_auc for candidate in report.candidates]
    assert values == sorted(values, reverse=True)
    assert values[0] == max(trial.roc_auc for trial in report.trials)
    assert values[0] > 0.74  # the truth itself reaches 0.78 on these rows
    assert {i.feature for i in report.best.importance} == {"plan", "senior", "months", "charges"}


def test_holdout_ids_are_the_rows_that_were_not_learned_from(trained, dataset, config):
    out, report = trained

    ids = (out / search.HOLDOUT_IDS).read_text().splitlines()

    assert len(ids) == report.holdout_rows
    assert set(ids) == set(dataset.split(config)[1].entity_keys)


def test_runs_are_nested_finished_and_have_parameters_metrics_and_plots(trained, mlflow_uri):
    _, report = trained
    client = connect(mlflow_uri)

    parent = client.get_run(report.run_id)
    trials = runs(mlflow_uri, "small", filter_string=f"tags.`mlflow.parentRunId` = '{report.run_id}'")

    assert parent.info.status == "FINISHED"
    assert parent.data.tags["git_commit"] == "0123abc"
    assert parent.data.metrics["trials"] == len(trials) == 6
    assert {run.info.status for run in trials} == {"FINISHED"}
    assert all("cv_roc_auc" in run.data.metrics and "family" in run.data.params for run in trials)
    best = client.get_run(report.best.run_id)
    assert best.data.metrics["roc_auc"] == report.best.evaluation.metrics["roc_auc"]
    plots = [file.path for file in client.list_artifacts(report.best.run_id, "plots")]
    assert plots == [f"plots/{name}.png" for name in ("calibration", "importance", "precision_recall", "roc")]
    assert [file.path for file in client.list_artifacts(report.run_id, "plots")] == ["plots/search.png"]


def test_search_gives_the_same_models_when_it_is_repeated(trained, training_set, layout, config, mlflow_uri, tmp_path):
    _, first = trained
    families = (logistic_regression(),)

    again = search.train(
        training_set, layout, named(config, "again"), families, tmp_path / "again", tracking_uri=mlflow_uri
    )

    assert len(again.trials) == 6
    # Trial 0 is the same plain parameters in both searches.
    (same,) = [trial for trial in first.trials if trial.number == 0]
    assert again.trials[0].fold_roc_auc == same.fold_roc_auc


def test_baseline_is_the_same_model_as_a_winner_with_the_plain_parameters(
    training_set, layout, config, mlflow_uri, tmp_path
):
    one_trial = config.model_copy(update={"search": config.search.model_copy(update={"trials": 1})})
    plain = search.baseline(
        training_set, layout, config, logistic_regression(), tmp_path / "a", tracking_uri=mlflow_uri
    )

    found = search.train(
        training_set, layout, one_trial, (logistic_regression(),), tmp_path / "b", tracking_uri=mlflow_uri
    )

    assert len(plain.trials) == 1
    assert plain.best.onnx_digest == found.best.onnx_digest
    identities = {bundle.load(tmp_path / name / "logistic_regression").manifest.identity for name in "ab"}
    assert len(identities) == 1


class Unknown(DummyClassifier):
    """An estimator that no converter knows."""


def unknown():
    return Family(name="unknown", build=lambda _parameters, _seed: Unknown(), plain={})


def test_family_that_cant_be_converted_is_refused_with_a_reason_and_the_others_go_on(
    training_set, layout, config, mlflow_uri, tmp_path
):
    two = config.model_copy(update={"search": config.search.model_copy(update={"trials": 2})})
    families = (unknown(), logistic_regression())

    report = search.train(training_set, layout, named(two, "mixed"), families, tmp_path, tracking_uri=mlflow_uri)

    assert [candidate.family for candidate in report.candidates] == ["logistic_regression"]
    assert "Unknown can't be converted to ONNX" in report.refused["unknown"]
    assert not (tmp_path / "unknown").exists()


def test_training_is_refused_when_no_family_can_be_converted(training_set, layout, config, mlflow_uri, tmp_path):
    with pytest.raises(ConversionRefused, match="no family could be converted: Unknown can't"):
        search.baseline(training_set, layout, named(config, "none"), unknown(), tmp_path, tracking_uri=mlflow_uri)

    assert [run.info.status for run in runs(mlflow_uri, "none", filter_string="tags.`slipway.kind` = 'baseline'")] == [
        "FAILED"
    ]


def test_run_ends_as_failed_when_a_family_raises(training_set, layout, config, mlflow_uri, tmp_path):
    def build(_parameters, _seed):
        raise ValueError("no such kernel")

    broken = Family(name="broken", build=build, plain={})

    with pytest.raises(TrainingFailed, match="no such kernel"):
        search.train(training_set, layout, named(config, "broken"), (broken,), tmp_path, tracking_uri=mlflow_uri)

    assert [run.info.status for run in runs(mlflow_uri, "broken")] == ["FAILED"]


def test_runs_are_closed_by_the_next_training_when_the_process_was_killed(
    endless, training_set, layout, config, mlflow_uri, tmp_path
):
    process = endless("killed")
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    abandoned = runs(mlflow_uri, "killed", filter_string="attributes.status = 'RUNNING'")
    assert abandoned

    search.baseline(
        training_set, layout, named(config, "killed"), logistic_regression(), tmp_path / "b", tracking_uri=mlflow_uri
    )

    client = connect(mlflow_uri)
    assert {client.get_run(run.info.run_id).info.status for run in abandoned} == {"KILLED"}
    assert not runs(mlflow_uri, "killed", filter_string="attributes.status = 'RUNNING'")


def test_a_training_at_work_is_left_alone_and_ends_as_killed_when_it_is_interrupted(
    endless, training_set, layout, config, mlflow_uri, tmp_path
):
    process = endless("busy")
    client = connect(mlflow_uri)

    search.baseline(
        training_set, layout, named(config, "busy"), logistic_regression(), tmp_path / "b", tracking_uri=mlflow_uri
    )

    (at_work,) = runs(mlflow_uri, "busy", filter_string="tags.`slipway.kind` = 'train'")
    assert at_work.info.status == "RUNNING"
    process.send_signal(signal.SIGINT)
    assert process.wait(20) != 0
    assert client.get_run(at_work.info.run_id).info.status == "KILLED"
    assert not runs(mlflow_uri, "busy", filter_string="attributes.status = 'RUNNING'")


def test_training_says_so_within_seconds_when_mlflow_is_not_there(training_set, layout, config, tmp_path):
    started = time.monotonic()

    with pytest.raises(RegistryUnavailable, match=r"MLflow at http://127\.0\.0\.1:9 failed.*slipway status"):
        search.baseline(
            training_set, layout, config, logistic_regression(), tmp_path, tracking_uri="http://127.0.0.1:9"
        )

    assert time.monotonic() - started < 20


def test_mlflow_sends_no_telemetry_when_nobody_has_asked_for_silence():
    code = (
        "import slipway.models.tracking, slipway.models.registry\n"
        "from mlflow.telemetry.client import get_telemetry_client\n"
        "assert get_telemetry_client() is None"
    )
    loud = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW") and k not in {"DO_NOT_TRACK", "CI"}}

    done = subprocess.run([sys.executable, "-c", code], env=loud, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
