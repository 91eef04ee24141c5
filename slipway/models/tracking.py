"""Runs in MLflow: one for a training, one below it for each trial, closed whatever happens.

A run is written when its trial is over, by a thread of its own, so the search doesn't wait for HTTP. A training that
was killed with its process can't close its runs; the next one finds them by the process that they name.
"""

import logging
import os
import platform
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from slipway.models.errors import RegistryUnavailable
from slipway.models.mlflow_client import MlflowClient, MlflowException, connect, mlflow, speaking_to
from slipway.models.trials import Trial

log = logging.getLogger(__name__)

PARENT_TAG = "mlflow.parentRunId"
PROCESS_TAG = "slipway.process"
KIND_TAG = "slipway.kind"


class TrainingRun:
    """The run of one training, a context: FINISHED at its end, KILLED when interrupted, FAILED on any other error."""

    def __init__(self, tracking_uri: str, *, model: str, kind: str, tags: Mapping[str, str]) -> None:
        self._uri = tracking_uri
        self._client: MlflowClient = connect(tracking_uri)
        self._model, self._kind = model, kind
        self._tags = dict(tags)
        self._process = _process_name(os.getpid())
        self._writer = ThreadPoolExecutor(1, "mlflow")
        self._trials: dict[int, Future[str]] = {}
        self._experiment = self.run_id = ""

    def __enter__(self) -> Self:
        with speaking_to(self._uri):
            self._experiment = _experiment(self._client, self._model)
            close_abandoned(self._client, self._experiment)
            self.run_id = self._create(f"{self._kind} {self._model}", self._kind)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.shutdown(wait=True, cancel_futures=error is not None)
        if error is None:
            self._finish("FINISHED")
            return
        try:
            self._finish("FAILED" if isinstance(error, Exception) else "KILLED")
        except RegistryUnavailable as second:
            # The first error is what the user must see; the next training closes this run.
            log.warning("models.run_left_open", extra={"run_id": self.run_id, "reason": str(second)})

    def trial(self, trial: Trial) -> None:
        """Write a finished trial as a run below this one, without waiting; an earlier failure to write is raised."""
        for earlier in self._trials.values():
            if earlier.done():
                earlier.result()
        self._trials[trial.number] = self._writer.submit(self._write_trial, trial)

    def settle(self) -> None:
        """Wait until every trial has been written; a failure to write one is raised."""
        for written in self._trials.values():
            written.result()

    def run_of(self, trial: Trial) -> str:
        """Return the id of a trial's run, waiting until it has been written."""
        return self._trials[trial.number].result()

    def record(
        self, run_id: str, *, metrics: Mapping[str, float], tags: Mapping[str, str], artifacts: Path | None = None
    ) -> None:
        """Add figures, tags and a folder of files to a run."""
        with speaking_to(self._uri):
            self._client.log_batch(
                run_id,
                metrics=[_metric(name, value) for name, value in metrics.items()],
                tags=[mlflow.entities.RunTag(name, value) for name, value in tags.items()],
            )
            if artifacts is not None:
                self._client.log_artifacts(run_id, str(artifacts), artifacts.name)

    def _write_trial(self, trial: Trial) -> str:
        with speaking_to(self._uri):
            run_id = self._create(f"{trial.family}-{trial.number:03d}", "trial", began_s_ago=trial.seconds)
            folds = [_metric("fold_roc_auc", value, step=fold) for fold, value in enumerate(trial.fold_roc_auc)]
            self._client.log_batch(
                run_id,
                metrics=[
                    _metric("cv_roc_auc", trial.roc_auc),
                    _metric("cv_roc_auc_sd", trial.roc_auc_sd),
                    _metric("seconds", trial.seconds),
                    *folds,
                ],
                params=[
                    mlflow.entities.Param("family", trial.family),
                    *(mlflow.entities.Param(k, str(v)) for k, v in trial.parameters.items()),
                ],
            )
            self._client.set_terminated(run_id, "FINISHED")
        return run_id

    def _create(self, name: str, kind: str, *, began_s_ago: float = 0) -> str:
        tags = {**self._tags, KIND_TAG: kind, PROCESS_TAG: self._process}
        if self.run_id:
            tags[PARENT_TAG] = self.run_id
        run = self._client.create_run(
            self._experiment, start_time=round((time.time() - began_s_ago) * 1000), tags=tags, run_name=name
        )
        return str(run.info.run_id)

    def _finish(self, status: str) -> None:
        with speaking_to(self._uri):
            self._client.set_terminated(self.run_id, status)


def close_abandoned(client: MlflowClient, experiment: str) -> int:
    """Mark runs as KILLED whose process, on this machine, is no more; returns how many there were."""
    running = client.search_runs([experiment], filter_string="attributes.status = 'RUNNING'")
    abandoned = [run for run in running if _is_gone(run.data.tags.get(PROCESS_TAG, ""))]
    for run in abandoned:
        client.set_terminated(run.info.run_id, "KILLED")
        log.info("models.run_closed", extra={"run_id": run.info.run_id, "reason": "its process is gone"})
    return len(abandoned)


def _experiment(client: MlflowClient, name: str) -> str:
    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return str(client.create_experiment(name))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            return _experiment(client, name)  # another process made it since
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    return str(found.experiment_id)


def _metric(name: str, value: float, *, step: int = 0) -> mlflow.entities.Metric:
    # MLflow wants a time for every value; the run has one.
    return mlflow.entities.Metric(name, value, 0, step)


def _process_name(pid: int) -> str:
    # A process id comes back after a while; with the time of its start it doesn't.
    return f"{platform.node()}:{pid}:{psutil.Process(pid).create_time():.2f}"


def _is_gone(process: str) -> bool:
    host, _, rest = process.partition(":")
    if host != platform.node():
        return False
    try:
        return _process_name(int(rest.partition(":")[0])) != process
    except psutil.NoSuchProcess:
        return True
