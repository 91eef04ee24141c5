"""What tests share: a temporary project with the team's files, the real servers, the real data."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from slipway.local.stack import Stack
from slipway.project import Project
from slipway.settings import PostgresSettings, RedisSettings

REPOSITORY = Path(__file__).resolve().parents[1]
TEAM_FOLDERS = ("features", "models", "bentos", "loadtests")
_PREFIX = "slipway-test-"
# Whatever the developer's shell says, tests run on their own servers.
_CONNECTIONS = ("POSTGRES_", "REDIS_", "MLFLOW_")


@pytest.fixture(scope="session", autouse=True)
def _own_environment() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ:
            if name.startswith(_CONNECTIONS):
                patch.delenv(name)
        for name in ("MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK", "DVC_NO_ANALYTICS", "BENTOML_DO_NOT_TRACK"):
            patch.setenv(name, "true")
        yield


@pytest.fixture(scope="session")
def project() -> Iterator[Project]:
    """A project of its own: the team's folders as they are in the repository, and an empty home.

    Commands that tests run find it too, by ``SLIPWAY_PROJECT`` and ``SLIPWAY_HOME``.
    """
    _end_leftovers()
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    folder.chmod(0o711)  # so that PostgreSQL's account may enter, where root runs the tests
    (folder / "pid").write_text(str(os.getpid()))
    root = folder / "project"
    root.mkdir()
    for name in ("pyproject.toml", "requirements.lock"):
        shutil.copy(REPOSITORY / name, root)
    for name in TEAM_FOLDERS:
        if (REPOSITORY / name).is_dir():
            shutil.copytree(REPOSITORY / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLIPWAY_PROJECT", str(root))
        patch.setenv("SLIPWAY_HOME", str(folder / "home"))
        made = Project.find()
        yield made
        Stack.of(made).down()
    shutil.rmtree(folder)


def _end_leftovers() -> None:
    """End the stack of a test run that was killed, which outlives it as it should."""
    for note in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*/pid"):
        if not psutil.pid_exists(int(note.read_text() or "0")):
            folder = note.parent
            Stack.of(Project(root=folder / "project", home=folder / "home", name="leftover")).down()
            shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def stack(project: Project) -> Stack:
    """The whole stack, started once: PostgreSQL, Redis, MLflow."""
    stack = Stack.of(project)
    stack.up()
    return stack


@pytest.fixture(scope="session")
def postgres_settings(project: Project) -> PostgresSettings:
    """A running PostgreSQL, without the rest of the stack."""
    stack = Stack.of(project)
    stack.up(only=("postgres",))
    return stack.postgres_settings()


@pytest.fixture(scope="session")
def redis_settings(project: Project) -> RedisSettings:
    """A running Redis, without the rest of the stack."""
    stack = Stack.of(project)
    stack.up(only=("redis",))
    return stack.redis_settings()


@pytest.fixture(scope="session")
def mlflow_uri(stack: Stack) -> str:
    """The address of a running MLflow."""
    return stack.mlflow_settings().tracking_uri


@pytest.fixture(scope="session")
def telco_csv() -> Path:
    """The real Telco file, below ``SLIPWAY_SHARED`` (default: ``../shared`` beside the repository)."""
    shared = Path(os.environ.get("SLIPWAY_SHARED") or REPOSITORY.parent / "shared")
    path = shared / "data" / "telco_customer_churn.csv"
    if not path.is_file():
        missing = f"{path} is missing; set SLIPWAY_SHARED to the folder that holds data/telco_customer_churn.csv"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(missing)
    return path
