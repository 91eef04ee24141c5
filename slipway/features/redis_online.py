"""The online store in Redis: one packed value per entity and view version, written by a script, read by one MGET."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self

import numpy as np
import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from slipway.features.errors import OnlineStoreError
from slipway.features.layout import Decoded, FeatureSetLayout
from slipway.features.packing import Rows
from slipway.features.ports import Written
from slipway.settings import RedisSettings

# Compares the event times in the two headers (bytes 1 to 8, little endian) inside Redis, so that two writers can't
# overwrite a newer value between a read and a write. A double holds milliseconds exactly for 285,000 years.
# One key per call: a script over keys of several slots would not run on a cluster.
_WRITE = b"""\
local stored = redis.call('GETRANGE', KEYS[1], 0, 7)
if #stored == 8 and struct.unpack('<i8', stored) > struct.unpack('<i8', ARGV[1]) then
  return 0
end
if ARGV[2] == '' then
  redis.call('SET', KEYS[1], ARGV[1])
else
  redis.call('SET', KEYS[1], ARGV[1], 'PXAT', ARGV[2])
end
return 1
"""
_PIPELINE = 2_000


class RedisOnline:
    """A plain, blocking client, for materialization and scripts; serving reads with its own asynchronous one."""

    def __init__(self, settings: RedisSettings, *, timeout_s: float = 5.0) -> None:
        self._where = f"{settings.host}:{settings.port}"
        self._redis = redis.Redis(
            host=settings.host,
            port=settings.port,
            db=settings.database,
            password=settings.password.get_secret_value() or None,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            # The library's own default tries for four seconds; whoever calls this has retries of their own.
            retry=Retry(ConstantBackoff(0.1), 2),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._redis.close()

    def write(self, layout: FeatureSetLayout, entity_keys: Sequence[str], rows: Rows, *, now_ms: int) -> Written:
        expires_ms = None if layout.ttl_ms is None else rows["event_ms"] + layout.ttl_ms
        is_live = np.ones(len(rows), np.bool_) if expires_ms is None else expires_ms > now_ms
        live = np.flatnonzero(is_live).tolist()
        stored = 0
        with self._told():
            script = self._redis.script_load(_WRITE)
            for start in range(0, len(live), _PIPELINE):
                pipeline = self._redis.pipeline(transaction=False)
                for number in live[start : start + _PIPELINE]:
                    expiry = b"" if expires_ms is None else int(expires_ms[number])
                    key = layout.redis_key(entity_keys[number])
                    pipeline.evalsha(script, 1, key, rows[number].tobytes(), expiry)
                stored += sum(pipeline.execute())
        return Written(stored=stored, older=len(live) - stored, expired=len(rows) - len(live))

    def read(self, layout: FeatureSetLayout, entity_keys: Sequence[str], *, now_ms: int) -> Decoded:
        values: Any = []
        if entity_keys:
            with self._told():
                values = self._redis.mget([layout.redis_key(key) for key in entity_keys])
        return layout.decode(values, now_ms=now_ms)

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except redis.AuthenticationError as error:
            raise OnlineStoreError(f"Redis at {self._where} refuses the password; set REDIS_PASSWORD") from error
        except redis.RedisError as error:
            raise OnlineStoreError(
                f"Redis at {self._where}: {error}; see 'slipway status', and start the local stack with 'slipway up'"
            ) from error
