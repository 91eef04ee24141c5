"""The book of releases: the file, and the alias in a real MLflow."""

import time
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from envoys import wait_until
from world import release

from slipway.bentos import releases as files
from slipway.bentos.releases import ServiceReleases
from slipway.project import Project
from slipway.rollouts.local_releases import LocalReleases
from slipway.rollouts.local_slots import free_port


@pytest.fixture
def own_project(tmp_path: Path) -> Project:
    return Project(root=tmp_path, home=tmp_path / ".slipway", name="test")


def alias(uri: str, model: str) -> str:
    answer = httpx.get(f"{uri}/api/2.0/mlflow/registered-models/get", params={"name": model})
    return next(one["version"] for one in answer.json()["registered_model"]["aliases"] if one["alias"] == "champion")


def test_release_file_is_written(own_project: Project):
    with closing(LocalReleases(own_project, "http://127.0.0.1:1")) as book:
        wanted = ServiceReleases(stable=release(1), candidate=release(2))
        book.write("churn", wanted)
    assert files.load(own_project, "churn") == wanted


def test_alias_follows_the_stable_release_in_mlflow(own_project: Project, mlflow_uri: str):
    with httpx.Client(base_url=f"{mlflow_uri}/api/2.0/mlflow") as client:
        client.post("/registered-models/create", json={"name": "alias_test"}).raise_for_status()
        for _ in range(2):
            client.post(
                "/model-versions/create", json={"name": "alias_test", "source": "s3://bucket/x"}
            ).raise_for_status()
    one, two = release(1, model="alias_test"), release(2, model="alias_test")
    with closing(LocalReleases(own_project, mlflow_uri)) as book:
        for wanted in (one, two, one):
            assert not book.champion_is(wanted)
            wait_until(lambda wanted=wanted: book.champion_is(wanted))
            assert alias(mlflow_uri, "alias_test") == str(wanted.model_version)


def test_registry_that_is_away_or_refuses_is_asked_again_later(own_project: Project, monkeypatch):
    monkeypatch.setattr("slipway.rollouts.local_releases.RETRY_S", 0.2)
    with closing(LocalReleases(own_project, f"http://127.0.0.1:{free_port()}")) as book:
        begun, calls = time.monotonic(), 0
        while time.monotonic() - begun < 1:
            assert not book.champion_is(release(1))
            calls += 1
            time.sleep(0.01)
        assert calls > 20
