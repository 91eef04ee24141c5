"""Freezes: services in which nothing starts or advances until somebody lifts it."""

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from slipway.rollouts.codec import from_json, to_json
from slipway.rollouts.services import replace_file

EVERY_SERVICE = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Freeze:
    """Who froze something, why and when."""

    actor: str
    reason: str
    at: datetime

    @property
    def words(self) -> str:
        because = f" ({self.reason})" if self.reason else ""
        return f"frozen by {self.actor} at {self.at:%F %T} UTC{because}"


class FreezeBook:
    """Keeps freezes in one file, so that they outlive the controller and need no database; ``None``: in memory."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._freezes: dict[str, Freeze] = {}
        if file is not None and file.is_file():
            self._freezes = from_json(json.loads(file.read_text(encoding="utf-8")), dict[str, Freeze])

    def all(self) -> dict[str, Freeze]:
        """Return the freezes by service; :data:`EVERY_SERVICE` stands for all of them."""
        return dict(self._freezes)

    def of(self, service: str) -> Freeze | None:
        """Return the freeze that a service is under."""
        return self._freezes.get(service) or self._freezes.get(EVERY_SERVICE)

    def put(self, service: str, freeze: Freeze) -> None:
        self._keep({**self._freezes, service: freeze})

    def lift(self, service: str) -> None:
        self._keep({name: freeze for name, freeze in self._freezes.items() if name != service})

    def _keep(self, freezes: dict[str, Freeze]) -> None:
        if self._file is not None:
            replace_file(self._file, json.dumps(to_json(freezes), indent=1))
        self._freezes = freezes
