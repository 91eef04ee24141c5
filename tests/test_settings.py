import pytest

from slipway.project import Project
from slipway.settings import ENDPOINTS_FILE, PostgresSettings


@pytest.fixture
def empty_project(tmp_path, monkeypatch):
    for name in ("POSTGRES_HOST", "POSTGRES_PORT", "POSTGRES_USER", "POSTGRES_PASSWORD", "POSTGRES_DB"):
        monkeypatch.delenv(name, raising=False)
    home = tmp_path / ".slipway"
    home.mkdir()
    return Project(root=tmp_path, home=home, name="test")


def test_settings_come_from_the_running_stack_when_nothing_else_is_set(empty_project):
    (empty_project.home / ENDPOINTS_FILE).write_text("POSTGRES_PORT=6001\nPOSTGRES_PASSWORD=abc\n")
    settings = PostgresSettings.load(empty_project)
    assert settings.url() == "postgresql://slipway:abc@127.0.0.1:6001/slipway"


def test_dotenv_wins_over_the_stack_and_environment_over_both_when_all_are_set(empty_project, monkeypatch):
    (empty_project.home / ENDPOINTS_FILE).write_text("POSTGRES_PORT=6001\nPOSTGRES_HOST=stack\nPOSTGRES_USER=stack\n")
    (empty_project.root / ".env").write_text("POSTGRES_PORT=6002\nPOSTGRES_HOST=dotenv\n")
    monkeypatch.setenv("POSTGRES_PORT", "6003")
    settings = PostgresSettings.load(empty_project)
    assert (settings.port, settings.host, settings.user) == (6003, "dotenv", "stack")


def test_password_is_masked_when_settings_are_shown(empty_project):
    assert "abc" not in repr(PostgresSettings.load(empty_project, password="abc"))  # noqa: S106  a made-up one
