"""MLflow's server as a program of the stack."""

import sys
from pathlib import Path

from slipway.local.program import Program, Ready
from slipway.settings import PostgresSettings

DATABASE = "mlflow"

# Everything that would call home or start helpers that nobody asked for.
_QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "PYTHONWARNINGS": "ignore",
    "MALLOC_ARENA_MAX": "2",  # one arena per thread would keep tens of MB that are free
}


def mlflow_program(*, artifacts: Path, port: int, postgres: PostgresSettings) -> Program:
    """Return the program: runs and registry in PostgreSQL, artifacts in a folder and served over HTTP."""
    artifacts.mkdir(mode=0o700, parents=True, exist_ok=True)
    address = f"http://127.0.0.1:{port}"
    return Program(
        name="mlflow",
        command=(sys.executable, "-m", "slipway.local.mlflow_launch"),
        env={
            **_QUIET,
            # Ours alone, since MLflow and its libraries read their own names from the environment.
            "SLIPWAY_MLFLOW_STORE": postgres.url(driver="psycopg", database=DATABASE),
            "SLIPWAY_MLFLOW_ARTIFACTS": artifacts.as_uri(),
            "SLIPWAY_MLFLOW_PORT": str(port),
        },
        cwd=artifacts.parent,
        ready=Ready(http=f"{address}/health"),
        start_timeout_s=90,
        url=address,
    )
