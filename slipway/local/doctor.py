"""What this machine has for Slipway, what is missing, and how to get it."""

import platform
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import psutil

from slipway.local import servers
from slipway.local.disk import NEEDED_BYTES, free_bytes
from slipway.local.errors import LocalError, SettingsHalfGiven
from slipway.local.external import external
from slipway.local.port_book import PortBook
from slipway.local.ports import WELL_KNOWN, is_free
from slipway.local.postgres_account import OUTSIDE, account, can_reach
from slipway.local.processes import ProcessManager
from slipway.project import Project

_PYTHONS = ((3, 11), (3, 12))
# Builds, caches and runs of a few `ship`s beside the servers' own data (measured: 1.1 GB after ten).
_COMFORTABLE_BYTES = 2 * 2**30
# The whole of `ship` peaks below 3 GB.
_MEMORY_BYTES = 3 * 2**30
_TOOLS = {
    "git": "install git, e.g. 'apt install git'",
    "make": "install make, e.g. 'apt install make'; it only saves typing",
    "uv": "'make' puts uv into .venv; or see https://docs.astral.sh/uv/getting-started/installation/",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One line of ``slipway doctor``; ``how_to_get`` is empty where nothing is missing."""

    name: str
    ok: bool
    found: str
    how_to_get: str = ""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def checks(project: Project) -> list[Check]:
    """Look at everything that the local stack and ``ship`` need; nothing is changed or started."""
    return [
        python_check(sys.version_info[:2], platform.python_version()),
        _platform(),
        disk_check(free_bytes(project.home), where=str(project.home)),
        memory_check(psutil.virtual_memory().available),
        *(_tool(name, how) for name, how in _TOOLS.items()),
        *_servers(project),
        _postgres_account(project),
        *_ports(project),
    ]


def python_check(version: Sequence[int], words: str) -> Check:
    """Judge a Python version.

    >>> python_check((3, 10), "3.10.2").how_to_get
    'install Python 3.11 or 3.12 and make .venv anew'
    """
    allowed = " or ".join(".".join(map(str, known)) for known in _PYTHONS)
    ok = tuple(version[:2]) in _PYTHONS
    return Check(
        name="python", ok=ok, found=words, how_to_get="" if ok else f"install Python {allowed} and make .venv anew"
    )


def disk_check(free: int, *, where: str) -> Check:
    """Judge the free space of SLIPWAY_HOME.

    >>> disk_check(3 * 2**30, where="/p/.slipway").ok
    True
    """
    found = f"{free / 2**30:.1f} GB free at {where}"
    if free < NEEDED_BYTES:
        return Check(name="disk", ok=False, found=found, how_to_get="free some, or set SLIPWAY_HOME to another disk")
    how = "" if free >= _COMFORTABLE_BYTES else "enough to begin; a few runs of 'ship' want 2 GB"
    return Check(name="disk", ok=True, found=found, how_to_get=how)


def memory_check(available: int) -> Check:
    """Judge the memory that is available.

    >>> memory_check(2 * 2**30).ok
    False
    """
    ok = available >= _MEMORY_BYTES
    how = "" if ok else "'ship' takes up to 3 GB: end other programs, or expect it to be slow or killed"
    return Check(name="memory", ok=ok, found=f"{available / 2**30:.1f} GB available", how_to_get=how)


def _platform() -> Check:
    system, machine = platform.system(), platform.machine()
    wheels = system == "Linux" and machine in {"x86_64", "AMD64"}
    how = "" if wheels else "no wheels of PostgreSQL, Redis and Envoy for it: put these servers on PATH"
    return Check(name="platform", ok=system in {"Linux", "Darwin"}, found=f"{system} {machine}", how_to_get=how)


def _tool(name: str, how: str) -> Check:
    path = shutil.which(name) or shutil.which(name, path=f"{sys.prefix}/bin")
    return Check(name=name, ok=path is not None, found=path or "missing", how_to_get="" if path else how)


def _servers(project: Project) -> list[Check]:
    found: dict[str, Callable[[], servers.Server]] = {
        "postgres": servers.postgres,
        "redis": servers.redis,
        "envoy": servers.envoy,
    }
    try:
        given = external(project)
    except SettingsHalfGiven as error:
        return [Check(name="settings", ok=False, found="incomplete", how_to_get=str(error))]
    rows = [_external(name, url, given.check_one) for name, url in given.urls().items()]
    for name, find in found.items():
        if name in given.names:
            continue
        try:
            rows.append(Check(name=name, ok=True, found=str(find())))
        except LocalError:
            rows.append(Check(name=name, ok=False, found="missing", how_to_get=servers.how_to_get(name)))
    return rows


def _external(name: str, url: str, ask: Callable[[str], None]) -> Check:
    try:
        ask(name)
    except LocalError as error:
        return Check(name=name, ok=False, found=f"{url} (yours), which doesn't answer", how_to_get=str(error))
    return Check(name=name, ok=True, found=f"{url} (yours)")


def _postgres_account(project: Project) -> Check:
    name = "postgres account"
    try:
        who = account()
    except LocalError as error:
        return Check(name=name, ok=False, found="none", how_to_get=str(error))
    if who is None:
        return Check(name=name, ok=True, found="your own")
    if can_reach(project.home / "postgres", who):
        return Check(name=name, ok=True, found=f"{who.name}, since you are root")
    words = f"{who.name}, since you are root; its data goes to {OUTSIDE}, because it can't enter {project.home}"
    return Check(name=name, ok=True, found=words)


def _ports(project: Project) -> list[Check]:
    own = ProcessManager(project.home).ports()
    chosen = PortBook(project.home).all()
    rows = []
    for name, well_known in WELL_KNOWN.items():
        port = chosen.get(name, well_known)
        if port in own:
            words = f"{port}, in use by this stack"
        elif is_free(port):
            words = f"{port}, free"
        else:
            words = f"{port} is taken by another program; 'slipway up' takes another one"
        rows.append(Check(name=f"port of {name}", ok=True, found=words))
    return rows
