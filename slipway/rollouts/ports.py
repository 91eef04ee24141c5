"""The ports of the runner: the edge that splits traffic, the slots that processes stand in, the book of releases."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from slipway.bentos.release import Release
from slipway.bentos.releases import ServiceReleases
from slipway.rollouts.routes import Address, Route


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """A span of wall time over which the edge is known to have used ``weight`` for a service.

    ``until_s`` may lie ahead: the edge keeps a weight until its time to live ends or another one is sent.
    """

    weight: int
    since_s: float
    until_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """What a service's traffic is wanted to do: the candidate's weight, and which percentage is mirrored to it."""

    weight: int = 0
    shadow_percent: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LogChunk:
    """Whole lines of the access log from one position on, and the position after them."""

    lines: tuple[bytes, ...] = ()
    position: int = 0


class Edge(Protocol):
    """A reverse proxy with weights that expire by themselves."""

    def route(self, routes: Sequence[Route]) -> bool:
        """Make these the edge's routes for good; return whether it uses them already.

        They survive a restart of the edge, and need no controller.
        """

    def split(self, splits: Mapping[str, Split]) -> None:
        """Use these weights from now on, for a few seconds: whoever does not repeat the call is taken for dead."""

    def exposures(self, service: str) -> tuple[Exposure, ...]:
        """Return the latest spans over which a service's weight is certain, oldest first."""

    def end_of_log(self) -> int:
        """Return the position after the last line logged so far."""

    def read_log(self, position: int) -> LogChunk:
        """Return the lines logged since a position."""


class SlotPhase(StrEnum):
    """Where the process in a slot is."""

    ABSENT = "absent"
    STARTING = "starting"
    READY = "ready"
    UNREADY = "unready"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotStatus:
    """What is known about the process in a slot.

    ``golden`` is ``None`` until the golden rows were asked; ``words`` says why a phase is not ``READY``, or how golden
    rows went. ``restarts`` counts how often the process died and was started again. ``score_edges`` are the inner edges
    of bins over the scores of the release's own hold-out rows, ``score_shares`` what share of them fell into each bin.
    """

    phase: SlotPhase = SlotPhase.ABSENT
    address: Address | None = None
    restarts: int = 0
    golden: bool | None = None
    words: str = ""
    score_edges: tuple[float, ...] = ()
    score_shares: tuple[float, ...] = ()


class Slots(Protocol):
    """Where processes of a service run; every call returns at once, work goes on behind it."""

    def start(self, service: str, slot: str, release: Release) -> None:
        """Want a release's process in a slot; asked again for the same release, nothing happens."""

    def look(self, service: str, slot: str) -> SlotStatus:
        """Return what is known at this moment."""

    def stop(self, service: str, slot: str) -> None:
        """Let the slot's process finish its requests and end; an empty slot is left alone."""

    def occupied(self, service: str) -> frozenset[str]:
        """Return the slots of a service that hold a process, whoever started it."""


class Releases(Protocol):
    """Where it is written down which release is stable; every call returns at once."""

    def write(self, service: str, releases: ServiceReleases) -> None:
        """Replace the service's release file."""

    def champion_is(self, release: Release) -> bool:
        """Say whether the registry's alias ``champion`` names the release; if not, moving it has been begun."""
