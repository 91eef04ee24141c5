"""Which servers are the user's, from the environment and .env."""

from pathlib import Path

import pytest

from slipway.local.errors import SettingsHalfGiven
from slipway.local.external import External, external
from slipway.project import Project


def read(folder: Path) -> External:
    return external(Project(root=folder, home=folder / "home", name="x"))


def test_every_server_is_ours_when_nothing_is_given(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    # What the running stack wrote is not the user's word.
    (tmp_path / "home" / "endpoints.env").write_text("POSTGRES_HOST=127.0.0.1\nREDIS_HOST=127.0.0.1\n")
    (tmp_path / ".env").write_text("POSTGRES_HOST=\n# REDIS_HOST=elsewhere\n")
    given = read(tmp_path)
    assert (given.names, given.urls(), given.environment()) == (frozenset(), {}, {})
    given.check()


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("POSTGRES_HOST=db.example", "postgres"),
        ("POSTGRES_PORT=6000", "postgres"),
        ("REDIS_HOST=cache.example", "redis"),
        ("REDIS_PORT=6001", "redis"),
        ("MLFLOW_TRACKING_URI=http://mlflow.example", "mlflow"),
    ],
)
def test_a_server_is_the_users_when_its_host_port_or_url_is_given(tmp_path: Path, line: str, name: str) -> None:
    (tmp_path / ".env").write_text(line + "\n")
    given = read(tmp_path)
    assert given.names == {name}
    variable, _, value = line.partition("=")
    assert given.environment() == {variable: value}


def test_the_environment_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("REDIS_HOST=from-the-file\nREDIS_PASSWORD=swordfish\n")
    monkeypatch.setenv("REDIS_HOST", "from-the-environment")
    given = read(tmp_path)
    assert given.urls() == {"redis": "redis://from-the-environment:6379/0"}
    assert given.environment() == {"REDIS_HOST": "from-the-environment", "REDIS_PASSWORD": "swordfish"}


@pytest.mark.parametrize("line", ["POSTGRES_USER=me", "POSTGRES_DB=mine", "REDIS_PASSWORD=swordfish", "REDIS_DB=3"])
def test_a_login_without_its_server_is_refused(tmp_path: Path, line: str) -> None:
    (tmp_path / ".env").write_text(line + "\n")
    variable = line.partition("=")[0]
    host = variable.partition("_")[0] + "_HOST"
    with pytest.raises(SettingsHalfGiven, match=f"{variable} in the environment or .env without {host}") as caught:
        read(tmp_path)
    assert "swordfish" not in str(caught.value)


def test_an_mlflow_that_is_not_behind_http_is_taken_at_its_word(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("MLFLOW_TRACKING_URI=databricks\n")
    read(tmp_path).check()
