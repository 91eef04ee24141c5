import dataclasses
from pathlib import Path

import pytest

from slipway.bentos import releases
from slipway.bentos.errors import ReleaseUnreadable
from slipway.bentos.release import Release
from slipway.bentos.releases import ServiceReleases
from slipway.project import Project

RELEASE = Release(
    service="churn",
    model="churn",
    model_version=2,
    digest="sha256:0123456789abcdef",
    bento="bentoml/bentos/churn/0123",
    run_id='odd "run"\x7f\\',
    feature_set="sha256:feed",
)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(root=tmp_path, home=tmp_path / ".slipway", name="test")


def test_release_survives_json_when_written_and_read() -> None:
    assert Release.from_json(RELEASE.to_json()) == RELEASE


@pytest.mark.parametrize("change", [{"model_version": "2"}, {"digest": None}, {"service": 7}])
def test_release_is_refused_when_a_field_has_another_type(change: dict[str, object]) -> None:
    (field,) = change
    with pytest.raises(ReleaseUnreadable, match=field):
        Release.from_json(RELEASE.to_json() | change)


def test_release_is_refused_when_a_field_is_missing() -> None:
    value = RELEASE.to_json()
    del value["bento"]
    with pytest.raises(ReleaseUnreadable, match="missing required field `bento`"):
        Release.from_json(value)


def test_sabotage_is_told_when_a_release_is_named() -> None:
    assert "sabotaged: errors" in dataclasses.replace(RELEASE, sabotage="errors").name


def test_a_service_has_no_releases_when_it_never_was_released(project: Project) -> None:
    assert releases.load(project, "churn") == ServiceReleases()


def test_releases_are_the_same_when_saved_and_loaded(project: Project) -> None:
    both = ServiceReleases(stable=RELEASE, candidate=dataclasses.replace(RELEASE, model_version=3))
    path = releases.save(project, "churn", both)
    assert releases.load(project, "churn") == both
    assert [entry.name for entry in path.parent.iterdir()] == ["churn.toml"]


@pytest.mark.parametrize("text", ["[stable", "[stable]\nservice = 'x'", "[latest]\nservice = 'x'", "stable = 3"])
def test_release_file_is_refused_by_name_when_it_is_broken(project: Project, text: str) -> None:
    path = releases.save(project, "churn", ServiceReleases())
    path.write_text(text)
    with pytest.raises(ReleaseUnreadable, match=r"release file .*churn\.toml: .*; restore it"):
        releases.load(project, "churn")
