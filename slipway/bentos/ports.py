"""What the application needs from outside: stored features by key."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from slipway.bentos.errors import BentosError


class FeaturesUnavailable(BentosError, ConnectionError):
    """The store gave nothing: it is gone, or it took longer than the deadline (``late``)."""

    def __init__(self, message: str, *, late: bool) -> None:
        super().__init__(message)
        self.late = late


class StoredFeatures(Protocol):
    """Packed values by key, all in one round trip."""

    async def get(self, keys: Sequence[bytes]) -> Sequence[bytes | None]:
        """Return the values in the order of the keys, ``None`` where there is none.

        Raises:
            FeaturesUnavailable: no answer within the deadline.
        """
        ...

    async def close(self) -> None: ...


class InMemoryStoredFeatures:
    """Packed values in a mapping."""

    def __init__(self, values: Mapping[bytes, bytes]) -> None:
        self._values = values

    async def get(self, keys: Sequence[bytes]) -> Sequence[bytes | None]:
        return [self._values.get(key) for key in keys]

    async def close(self) -> None:
        pass
