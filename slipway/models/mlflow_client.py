"""The one door to MLflow: its client, quiet and impatient, and its errors in our words."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

# MLflow reads these while it is imported or at each call; whoever set them before knows better.
QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # standard output is for data
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # The defaults retry a server that is gone for four minutes. These bridge the seconds of a restart.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
}


def _quieten() -> None:
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)


_quieten()

# Only after telemetry is off; every other module takes MLflow from here.
import mlflow.entities  # noqa: E402  as above
import mlflow.onnx  # noqa: E402  as above
import mlflow.types  # noqa: E402  as above
from mlflow import MlflowClient  # noqa: E402  as above
from mlflow.exceptions import MlflowException  # noqa: E402  as above

from slipway.models.errors import RegistryUnavailable  # noqa: E402  as above

__all__ = ["MlflowClient", "MlflowException", "connect", "missing", "mlflow", "speaking_to"]

# How MLflow says that there is none: an alias that isn't there is an "invalid parameter".
NOT_FOUND = frozenset({"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"})


def connect(tracking_uri: str) -> MlflowClient:
    """Return a client; nothing is sent before its first call."""
    _quieten()
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    return MlflowClient(tracking_uri)


def missing(error: MlflowException) -> bool:
    """Say whether an error means that what was asked for does not exist."""
    return error.error_code in NOT_FOUND and "not found" in str(error).lower()


@contextmanager
def speaking_to(tracking_uri: str) -> Iterator[None]:
    """Turn what MLflow raises into an error that says which server, what happened, and what to do."""
    try:
        yield
    except MlflowException as error:
        first = str(error).splitlines()[0]
        msg = (
            f"MLflow at {tracking_uri} failed: {first}; see 'slipway status' and 'slipway logs mlflow', then run again"
        )
        raise RegistryUnavailable(msg) from error
