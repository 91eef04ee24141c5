import os

import pytest

from slipway.models.errors import RegistryUnavailable
from slipway.models.mlflow_client import connect
from slipway.models.tracking import PROCESS_TAG, TrainingRun, close_abandoned
from slipway.models.trials import Trial

TRIAL = Trial(number=0, family="xgboost", parameters={"max_depth": 3}, fold_roc_auc=(0.8, 0.9), seconds=1.5)


def test_trial_run_lies_below_its_training_with_folds_and_duration(mlflow_uri):
    client = connect(mlflow_uri)
    with TrainingRun(mlflow_uri, model="tracked", kind="train", tags={"data_hash": "sha256:1"}) as run:
        run.trial(TRIAL)
        trial_run = client.get_run(run.run_of(TRIAL))

    assert trial_run.data.tags["mlflow.parentRunId"] == run.run_id
    assert trial_run.data.tags["data_hash"] == "sha256:1"
    assert trial_run.data.params == {"family": "xgboost", "max_depth": "3"}
    assert trial_run.data.metrics["cv_roc_auc"] == pytest.approx(0.85)
    assert [metric.value for metric in client.get_metric_history(trial_run.info.run_id, "fold_roc_auc")] == [0.8, 0.9]
    assert trial_run.info.end_time - trial_run.info.start_time >= 1500
    assert client.get_run(run.run_id).info.status == "FINISHED"


def test_training_goes_on_when_its_experiment_was_deleted_before(mlflow_uri):
    client = connect(mlflow_uri)
    client.delete_experiment(client.create_experiment("deleted"))

    with TrainingRun(mlflow_uri, model="deleted", kind="train", tags={}) as run:
        pass

    assert client.get_run(run.run_id).info.status == "FINISHED"


def test_run_of_another_machine_is_left_alone(mlflow_uri):
    client = connect(mlflow_uri)
    experiment = client.create_experiment("elsewhere")
    ours = f"{os.uname().nodename}:1:0.00"  # process 1 runs, but it did not start in 1970
    theirs, gone, unknown = (
        client.create_run(experiment, tags=tags).info.run_id
        for tags in ({PROCESS_TAG: "another-machine:1:0.00"}, {PROCESS_TAG: ours}, {})
    )

    assert close_abandoned(client, experiment) == 1

    assert [client.get_run(run).info.status for run in (theirs, gone, unknown)] == ["RUNNING", "KILLED", "RUNNING"]


def test_failure_to_write_a_trial_is_raised_and_the_training_ends_as_failed(mlflow_uri):
    client = connect(mlflow_uri)
    unwritable = Trial(number=0, family="x" * 70_000, parameters={}, fold_roc_auc=(0.8, 0.9), seconds=1)
    run = TrainingRun(mlflow_uri, model="unwritable", kind="train", tags={})

    def write():
        with run:
            run.trial(unwritable)
            run.settle()

    with pytest.raises(RegistryUnavailable, match="failed"):
        write()

    assert client.get_run(run.run_id).info.status == "FAILED"
