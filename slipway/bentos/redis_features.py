"""Stored features in Redis: one MGET, with a deadline."""

import asyncio
from collections.abc import Sequence
from typing import cast

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from slipway.bentos.ports import FeaturesUnavailable
from slipway.settings import RedisSettings


class RedisStoredFeatures:
    """Reads packed values from Redis; a connection that missed its deadline is dropped, never read again."""

    def __init__(self, settings: RedisSettings, *, deadline_s: float) -> None:
        self._deadline_s = deadline_s
        self._redis = Redis(
            host=settings.host,
            port=settings.port,
            db=settings.database,
            password=settings.password.get_secret_value() or None,
            socket_keepalive=True,
            # One more try at once is for a connection that Redis closed while it was idle, say by a restart.
            retry=Retry(NoBackoff(), 1),
        )

    async def get(self, keys: Sequence[bytes]) -> Sequence[bytes | None]:
        try:
            async with asyncio.timeout(self._deadline_s):
                return cast("list[bytes | None]", await self._redis.mget(keys))
        except TimeoutError:
            msg = f"Redis did not answer {len(keys)} keys within {self._deadline_s * 1000:g} ms"
            raise FeaturesUnavailable(msg, late=True) from None
        except (RedisError, OSError) as error:
            msg = f"Redis gave no features: {error}"
            raise FeaturesUnavailable(msg, late=False) from error

    async def close(self) -> None:
        await self._redis.aclose()
