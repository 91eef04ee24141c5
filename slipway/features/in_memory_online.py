"""An online store in a dictionary, for tests and for trying definitions out without a server."""

from collections.abc import Sequence

from slipway.features.layout import Decoded, FeatureSetLayout
from slipway.features.packing import HEADER, Rows
from slipway.features.ports import Written


class InMemoryOnline:
    """Does what :class:`~slipway.features.redis_online.RedisOnline` does; the same contract suite runs over both."""

    def __init__(self) -> None:
        self._values: dict[bytes, tuple[bytes, int | None]] = {}

    def write(self, layout: FeatureSetLayout, entity_keys: Sequence[str], rows: Rows, *, now_ms: int) -> Written:
        result = Written()
        for entity_key, row in zip(entity_keys, rows, strict=True):
            result += self._write(layout, layout.redis_key(entity_key), row.tobytes(), now_ms)
        return result

    def read(self, layout: FeatureSetLayout, entity_keys: Sequence[str], *, now_ms: int) -> Decoded:
        return layout.decode([self._live(layout.redis_key(key), now_ms) for key in entity_keys], now_ms=now_ms)

    def _write(self, layout: FeatureSetLayout, key: bytes, value: bytes, now_ms: int) -> Written:
        event_ms = HEADER.unpack_from(value)[0]
        expires_ms = None if layout.ttl_ms is None else event_ms + layout.ttl_ms
        if expires_ms is not None and expires_ms <= now_ms:
            return Written(expired=1)
        stored = self._live(key, now_ms)
        if stored is not None and HEADER.unpack_from(stored)[0] > event_ms:
            return Written(older=1)
        self._values[key] = (value, expires_ms)
        return Written(stored=1)

    def _live(self, key: bytes, now_ms: int) -> bytes | None:
        value, expires_ms = self._values.get(key, (None, None))
        return None if expires_ms is not None and expires_ms <= now_ms else value
