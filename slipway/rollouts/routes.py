"""Where a service's traffic goes: the addresses of its two slots and how units are assigned to them."""

from dataclasses import dataclass
from enum import StrEnum

from xxhash import xxh64_intdigest

# Weights are counted in hundredths of a percent.
WHOLE = 10_000


class Unit(StrEnum):
    """What is assigned to an arm, and therefore what is counted."""

    USER = "user"
    REQUEST = "request"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Address:
    """Host and port of one process."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One service at the edge; an empty slot has no address. Another ``salt`` draws every unit anew."""

    service: str
    stable: Address | None
    candidate: Address | None
    salt: str
    unit: Unit = Unit.USER
    per_try_timeout_ms: float = 500.0


def takes_candidate(unit: str, *, salt: str, weight: int) -> bool:
    """Say which arm the edge gives a unit at a weight: Envoy's hash, the candidate's range first.

    A higher weight only adds units to the candidate's arm.

    >>> [takes_candidate("user-1", salt="rollout-1", weight=weight) for weight in (0, 5_000, 10_000)]
    [False, True, True]
    """
    return xxh64_intdigest(f"{salt}:{unit}".encode()) % WHOLE < weight
