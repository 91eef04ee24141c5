"""What the feature store needs of the world."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Self

from slipway.features.layout import Decoded, FeatureSetLayout
from slipway.features.packing import Rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What became of rows that were offered: stored, refused since a newer one is there, or past their expiry."""

    stored: int = 0
    older: int = 0
    expired: int = 0

    def __add__(self, other: Self) -> "Written":
        return Written(
            stored=self.stored + other.stored,
            older=self.older + other.older,
            expired=self.expired + other.expired,
        )


class Online(Protocol):
    """The latest packed row of each entity, by key."""

    def write(self, layout: FeatureSetLayout, entity_keys: Sequence[str], rows: Rows, *, now_ms: int) -> Written:
        """Store rows; one with an older event time than the stored one is refused, one of an equal time replaces it.

        A row expires at its event time plus the layout's ttl; one that has expired at ``now_ms`` is not stored.
        """

    def read(self, layout: FeatureSetLayout, entity_keys: Sequence[str], *, now_ms: int) -> Decoded:
        """Return a row and a status for each key, in their order."""
