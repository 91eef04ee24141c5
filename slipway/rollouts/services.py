"""What the controller must know without its database: which release stands behind each service's stable slot."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from slipway.bentos.release import Release
from slipway.rollouts.codec import from_json, to_json
from slipway.rollouts.routes import Unit

HISTORY = 20
STABLE_SLOTS = ("stable-a", "stable-b")
CANDIDATE_SLOT = "candidate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One service between rollouts.

    ``slot`` is where its stable release runs; ``history`` holds the releases that were stable, the latest last.
    ``champion_due``: the registry's alias does not name the stable release yet.
    """

    name: str
    slot: str = ""
    stable: Release | None = None
    previous: Release | None = None
    history: tuple[Release, ...] = ()
    salt: str = "none"
    unit: Unit = Unit.USER
    per_try_timeout_ms: float = 500.0
    champion_due: bool = False

    @property
    def free_slot(self) -> str:
        """Return the stable slot that is not in use: the next stable process starts there."""
        return next(slot for slot in STABLE_SLOTS if slot != self.slot)

    def release(self, version: int | None) -> Release | None:
        """Return the release to go back to: the previous one, or the latest earlier one of a model version."""
        if version is None:
            return self.previous
        return next((release for release in reversed(self.history) if release.model_version == version), None)


class ServiceBook(Protocol):
    """Keeps the services through restarts of the controller."""

    def load(self) -> dict[str, Service]: ...

    def save(self, services: Mapping[str, Service]) -> None: ...


class InMemoryServiceBook:
    """A book that ends with the process."""

    def __init__(self) -> None:
        self.services: dict[str, Service] = {}

    def load(self) -> dict[str, Service]:
        return dict(self.services)

    def save(self, services: Mapping[str, Service]) -> None:
        self.services = dict(services)


class FileServiceBook:
    """A book in one JSON file, replaced by rename."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def load(self) -> dict[str, Service]:
        if not self._file.is_file():
            return {}
        return from_json(json.loads(self._file.read_text(encoding="utf-8")), dict[str, Service])

    def save(self, services: Mapping[str, Service]) -> None:
        replace_file(self._file, json.dumps(to_json(services), indent=1))


def replace_file(file: Path, text: str) -> None:
    """Write a file so that a reader, or Envoy, sees the old text or the new one, after a power cut too."""
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    with draft.open("w", encoding="utf-8") as opened:
        opened.write(text)
        opened.flush()
        os.fsync(opened.fileno())
    draft.replace(file)
