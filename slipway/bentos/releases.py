"""Release files: which release of a service is stable, which one is on its way, which one could come back."""

import os
import tomllib
from dataclasses import dataclass
from pathlib import Path

import tomli_w

from slipway.bentos.errors import ReleaseUnreadable
from slipway.bentos.release import Release
from slipway.project import Project

TABLES = ("stable", "candidate", "previous")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceReleases:
    """The tables of one release file; an absent table is ``None``."""

    stable: Release | None = None
    candidate: Release | None = None
    previous: Release | None = None


def path_of(project: Project, service: str) -> Path:
    """Return where the release file of a service is."""
    return project.home / "releases" / f"{service}.toml"


def load(project: Project, service: str) -> ServiceReleases:
    """Read a service's release file; a service that never was released has no tables."""
    path = path_of(project, service)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ServiceReleases()
    try:
        return parse(text)
    except (tomllib.TOMLDecodeError, ReleaseUnreadable) as error:
        msg = f"release file {path}: {error}; restore it, or remove it to start without a stable release"
        raise ReleaseUnreadable(msg) from None


def save(project: Project, service: str, releases: ServiceReleases) -> Path:
    """Replace a service's release file at once: a reader sees the old file or the new one."""
    path = path_of(project, service)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with draft.open("w", encoding="utf-8") as file:
        file.write(render(releases))
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    return path


def render(releases: ServiceReleases) -> str:
    """Return the text of a release file.

    >>> parse(render(ServiceReleases())) == ServiceReleases()
    True
    """
    tables = {name: release.to_json() for name in TABLES if (release := getattr(releases, name)) is not None}
    return tomli_w.dumps(tables)


def parse(text: str) -> ServiceReleases:
    """Read the text of a release file; raise :class:`ReleaseUnreadable` for an unknown table or a broken one."""
    tables = tomllib.loads(text)
    if unknown := sorted(set(tables) - set(TABLES)):
        msg = f"unknown table {unknown[0]!r}; allowed are {', '.join(TABLES)}"
        raise ReleaseUnreadable(msg)
    return ServiceReleases(**{name: Release.from_json(table) for name, table in tables.items()})
