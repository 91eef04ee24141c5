"""A small model with every type of feature, and a bundle of it as packaging leaves it for a service."""

import math
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnx
import psutil
import pytest
import redis
from onnx import TensorProto, helper
from pydantic import SecretStr

from slipway import digest
from slipway.bentos import serve
from slipway.bentos.baked import FILE, Baked
from slipway.bentos.build import build
from slipway.bentos.policy import Policy
from slipway.bentos.release import Release
from slipway.features.definitions import Column, DType, Entity, FeatureSet, RowView, Source, features_of
from slipway.features.layout import FeatureSetLayout
from slipway.local import servers
from slipway.models import bundle
from slipway.models.bundle import GoldenRow, Manifest, ReferenceScores
from slipway.project import Project
from slipway.settings import RedisSettings

REPOSITORY = Path(__file__).parents[2]

PHRASE = "not a secret"

ROWS: tuple[dict[str, Any], ...] = (
    {"plan": "basic", "home city": "Oslo", "senior": False, "tenure": 3, "charges": 20.5, "income": 1000.0},
    {"plan": "gold", "home city": "Rome", "senior": True, "tenure": 0, "charges": 0.0, "income": None},
    {"plan": "silver", "home city": "Oslo", "senior": True, "tenure": 600, "charges": 99.99, "income": -3.5},
)


def make_layout(*, ttl: timedelta | None = None, defaults: Mapping[str, Any] | None = None) -> FeatureSetLayout:
    source = Source(
        name="accounts",
        key="id",
        snapshot_time=datetime(2026, 1, 1, tzinfo=UTC),
        columns=(
            Column(name="plan", dtype=DType.CATEGORY, vocabulary=("basic", "silver", "gold")),
            Column(name="home city", dtype=DType.CATEGORY, vocabulary=("Oslo", "Rome")),
            Column(name="senior", dtype=DType.BOOL),
            Column(name="tenure", dtype=DType.INT64, at_least=0, at_most=600),
            Column(name="charges", dtype=DType.FLOAT64, at_least=0),
            Column(name="income", dtype=DType.FLOAT64, nullable=True),
        ),
    )
    names = [column.name for column in source.columns]
    view = RowView(
        name="account",
        entity=Entity(name="account"),
        source=source,
        features=features_of(source, names, defaults=defaults),
        ttl=ttl,
    )
    return FeatureSetLayout.of(FeatureSet(name="accounts", view=view, features=tuple(names)), project="test")


def make_onnx(width: int, *, nan_becomes: float | None = 0.0) -> bytes:
    """Return a logistic regression with known weights; NaN counts as ``nan_becomes``, or spreads where that is None."""
    weights = np.linspace(-0.002, 0.003, width, dtype=np.float32).reshape(width, 1)
    nodes = []
    source = "features"
    if nan_becomes is not None:
        nodes += [
            helper.make_node("IsNaN", [source], ["isnan"]),
            helper.make_node("Where", ["isnan", "zero", source], ["filled"]),
        ]
        source = "filled"
    nodes += [
        helper.make_node("MatMul", [source, "weights"], ["logits"]),
        helper.make_node("Sigmoid", ["logits"], ["probabilities"]),
        helper.make_node("Reshape", ["probabilities", "shape"], ["score"]),
    ]
    graph = helper.make_graph(
        nodes,
        "logistic",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, width])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, [None])],
        [
            helper.make_tensor("weights", TensorProto.FLOAT, weights.shape, weights.flatten()),
            helper.make_tensor("zero", TensorProto.FLOAT, [], [nan_becomes or 0.0]),
            helper.make_tensor("shape", TensorProto.INT64, [1], [-1]),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def true_score(layout: FeatureSetLayout, row: Mapping[str, Any]) -> float:
    """Score a row by the formula of :func:`make_onnx`, without ONNX Runtime."""
    (values,) = np.nan_to_num(layout.matrix(layout.rows([row])).astype(np.float64))
    return 1 / (1 + math.exp(-float(values @ np.linspace(-0.002, 0.003, len(values)))))


def write_bundle(
    folder: Path,
    *,
    layout: FeatureSetLayout | None = None,
    policy: Policy | None = None,
    sabotage: str = "",
    nan_becomes: float | None = 0.0,
    golden: tuple[GoldenRow, ...] | None = None,
) -> Path:
    layout = layout or make_layout()
    content = make_onnx(len(layout.matrix_columns), nan_becomes=nan_becomes)
    manifest = Manifest(
        model="accounts",
        model_version=7,
        run_id="run",
        family="logistic",
        feature_set=layout.to_json(),
        threshold=0.5,
        positive="Yes",
        negative="No",
        onnx_digest=digest.of_bytes(content),
        metrics={},
        golden=tuple(GoldenRow(features=row, score=true_score(layout, row)) for row in ROWS)
        if golden is None
        else golden,
        reference_scores=ReferenceScores(quantiles=(0.0, 1.0)),
    )
    bundle.write(folder, manifest=manifest, onnx=content)
    (folder / FILE).write_bytes(Baked(service="accounts", policy=policy or Policy(), sabotage=sabotage).to_json())
    return folder


@pytest.fixture
def layout() -> FeatureSetLayout:
    return make_layout()


@pytest.fixture
def rows() -> tuple[dict[str, Any], ...]:
    return ROWS


@pytest.fixture
def score_of(layout: FeatureSetLayout) -> Callable[[Mapping[str, Any]], float]:
    return lambda row: true_score(layout, row)


@pytest.fixture
def packaged(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a packaged bundle and gives its folder."""
    return lambda **given: write_bundle(tmp_path / "bundle", **given)


@pytest.fixture
def layout_with() -> Callable[..., FeatureSetLayout]:
    return make_layout


class RedisProcess:
    """A Redis of one test's own, to be stopped and started under it."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            self.port = int(listener.getsockname()[1])
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def settings(self) -> RedisSettings:
        return RedisSettings(host="127.0.0.1", port=self.port, password=SecretStr(PHRASE), database=0)

    @property
    def client(self) -> redis.Redis:
        return redis.Redis(port=self.port, password=PHRASE)

    def start(self) -> None:
        binary = str(servers.redis().path)
        options = ["--port", str(self.port), "--save", "", "--requirepass", PHRASE, "--dir", str(self._folder)]
        self._process = subprocess.Popen([binary, *options], stdout=subprocess.DEVNULL)
        give_up = time.monotonic() + 10
        while not self._answers():
            assert time.monotonic() < give_up, "redis-server did not start"
            time.sleep(0.02)

    def _answers(self) -> bool:
        try:
            with self.client as client:
                return bool(client.ping())
        except redis.ConnectionError:
            return False

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def stop(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)
        self._process.kill()
        self._process.wait()


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisProcess]:
    process = RedisProcess(tmp_path)
    yield process
    process.stop()


def make_project(root: Path) -> Project:
    """Write a project with one service, ``accounts``, and a model's bundle in ``bundle/``."""
    folder = root / "bentos" / "accounts"
    folder.mkdir(parents=True)
    (root / "pyproject.toml").write_text('[tool.slipway]\nname = "test"\n')
    shutil.copy(REPOSITORY / "requirements.lock", root)
    (folder / "bento.toml").write_text('[service]\nname = "accounts"\nmodel = "accounts"\n')
    churn = (REPOSITORY / "bentos" / "churn" / "service.py").read_text()
    (folder / "service.py").write_text(churn.replace("churn", "accounts").replace("Churn", "Accounts"))
    write_bundle(root / "bundle")
    return Project(root=root, home=root / ".slipway", name="test")


@pytest.fixture
def own_project(tmp_path: Path) -> Project:
    return make_project(tmp_path / "project")


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, Release]:
    """A project whose service has been built once for all tests that only look at it or serve it."""
    project = make_project(tmp_path_factory.mktemp("built") / "project")
    return project, build("accounts", project.root / "bundle", project=project)


class Running:
    """A service as a process, started as the local stack would start it."""

    def __init__(self, project: Project, release: Release, redis_settings: RedisSettings) -> None:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            self.port = int(listener.getsockname()[1])
        program = serve.program(release, slot="stable", port=self.port, project=project)
        connection = {
            "REDIS_HOST": redis_settings.host,
            "REDIS_PORT": str(redis_settings.port),
            "REDIS_PASSWORD": redis_settings.password.get_secret_value(),
        }
        self.url = program.url
        self.log = project.home / f"{self.port}.log"
        self.started = time.monotonic()
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                program.command,
                env=os.environ | dict(program.env) | connection,
                cwd=program.cwd,
                stdout=log,
                stderr=log,
            )

    def wait_for(self, path: str, *, timeout_s: float = 30) -> httpx.Response:
        """Return the first answer to ``path`` that is 200."""
        give_up = time.monotonic() + timeout_s
        while True:
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < give_up, self.log.read_text()
            try:
                answer = httpx.get(f"{self.url}{path}", timeout=2)
            except httpx.TransportError:
                answer = None
            if answer is not None and answer.status_code == 200:
                return answer
            time.sleep(0.05)

    @property
    def worker(self) -> psutil.Process:
        """Return the process that answers; the other one is BentoML's supervisor."""
        return next(
            child
            for child in psutil.Process(self.process.pid).children(recursive=True)
            if any("worker" in part for part in child.cmdline())
        )

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@pytest.fixture
def serving(own_redis: RedisProcess) -> Iterator[Callable[[Project, Release], Running]]:
    """Return a function that starts a release on this test's own Redis."""
    running: list[Running] = []

    def start(project: Project, release: Release) -> Running:
        running.append(Running(project, release, own_redis.settings))
        return running[-1]

    yield start
    for service in running:
        service.stop()


@pytest.fixture(scope="module")
def live(built: tuple[Project, Release], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A ready service with three entities in its Redis, for tests that leave it as it is."""
    own = RedisProcess(tmp_path_factory.mktemp("redis"))
    layout = make_layout()
    with own.client as client:
        for number, row in enumerate(ROWS):
            client.set(layout.redis_key(f"a{number}"), layout.rows([row]).tobytes())
    service = Running(*built, own.settings)
    service.wait_for("/readyz")
    yield service
    service.stop()
    own.stop()
