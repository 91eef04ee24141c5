"""What the doctor sees."""

import socket
from pathlib import Path

import pytest

from slipway.local.doctor import Check, checks, disk_check, memory_check, python_check
from slipway.local.port_book import PortBook
from slipway.project import Project

GB = 2**30


@pytest.fixture
def patient(tmp_path: Path) -> Project:
    return Project(root=tmp_path, home=tmp_path / "home", name="patient")


def by_name(rows: list[Check]) -> dict[str, Check]:
    assert len({row.name for row in rows}) == len(rows)
    return {row.name: row for row in rows}


def test_this_machine_has_what_is_needed_and_nothing_is_touched(patient: Project) -> None:
    rows = by_name(checks(patient))
    for name in ("python", "platform", "disk", "postgres", "redis", "envoy", "git", "postgres account"):
        assert rows[name].ok, rows[name]
    assert "port of redis" in rows
    assert rows["python"].to_json()["how_to_get"] == ""
    assert not patient.home.exists()


def test_each_judgement_says_what_to_do_when_something_is_missing() -> None:
    assert not python_check((3, 13), "3.13.0").ok
    assert python_check((3, 12), "3.12.1") == Check(name="python", ok=True, found="3.12.1")
    assert disk_check(100 * 2**20, where="/p").how_to_get == "free some, or set SLIPWAY_HOME to another disk"
    assert disk_check(GB, where="/p").ok
    assert "2 GB" in disk_check(GB, where="/p").how_to_get
    assert memory_check(8 * GB).ok
    assert "end other programs" in memory_check(GB).how_to_get


def test_tools_that_are_missing_are_named(patient: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    rows = by_name(checks(patient))
    assert (rows["git"].ok, rows["git"].found) == (False, "missing")
    assert "install git" in rows["git"].how_to_get


def test_a_port_that_is_taken_is_told(patient: Project) -> None:
    patient.home.mkdir()
    port = PortBook(patient.home).port("redis")
    assert by_name(checks(patient))["port of redis"].found == f"{port}, free"
    with socket.create_server(("127.0.0.1", port)):
        row = by_name(checks(patient))["port of redis"]
    assert row.ok
    assert "taken by another program" in row.found


def test_servers_of_the_user_are_asked(patient: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        monkeypatch.setenv("REDIS_HOST", "127.0.0.1")
        monkeypatch.setenv("REDIS_PORT", str(nobody.getsockname()[1]))
        row = by_name(checks(patient))["redis"]
    assert not row.ok
    assert "doesn't answer" in row.found
    assert "REDIS_HOST" in row.how_to_get


def test_settings_that_are_half_given_are_told(patient: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTGRES_USER", "me")
    row = by_name(checks(patient))["settings"]
    assert not row.ok
    assert "POSTGRES_HOST" in row.how_to_get
