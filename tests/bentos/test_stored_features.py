"""One suite for both adapters of the port, and the faults that only a real Redis has."""

import asyncio
import signal
import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from slipway.bentos.ports import FeaturesUnavailable, InMemoryStoredFeatures, StoredFeatures
from slipway.bentos.redis_features import RedisStoredFeatures
from slipway.settings import RedisSettings

VALUES = {b"f:{test:account:a}:v.1": b"\x00\xff\r\n", b"f:{test:account:b}:v.1": b"2"}
DEADLINE_S = 0.2


@pytest.fixture(params=["in_memory", "redis"])
def make(request: pytest.FixtureRequest) -> Callable[[Mapping[bytes, bytes]], StoredFeatures]:
    if request.param == "in_memory":
        return InMemoryStoredFeatures
    own: Any = request.getfixturevalue("own_redis")

    def filled(values: Mapping[bytes, bytes]) -> StoredFeatures:
        with own.client as client:
            client.mset(dict(values))
        return RedisStoredFeatures(own.settings, deadline_s=DEADLINE_S)

    return filled


@pytest.mark.parametrize(
    "keys", [list(VALUES), list(VALUES)[::-1], [b"unknown"], [b"unknown", *VALUES, *VALUES], list(VALUES) * 300]
)
def test_values_come_in_the_order_of_keys_when_asked(
    make: Callable[[Mapping[bytes, bytes]], StoredFeatures], keys: list[bytes]
) -> None:
    async def ask() -> list[bytes | None]:
        store = make(VALUES)
        found = list(await store.get(keys))
        await store.close()
        return found

    assert asyncio.run(ask()) == [VALUES.get(key) for key in keys]


def test_a_slow_redis_is_left_at_the_deadline_and_read_rightly_when_it_is_back(own_redis: Any) -> None:
    async def ask() -> None:
        with own_redis.client as client:
            client.mset(VALUES)
        store = RedisStoredFeatures(own_redis.settings, deadline_s=DEADLINE_S)
        first, second = VALUES
        assert await store.get([first]) == [VALUES[first]]
        own_redis.signal(signal.SIGSTOP)
        started = time.perf_counter()
        with pytest.raises(FeaturesUnavailable, match=r"did not answer 1 keys within 200 ms") as error:
            await store.get([first])
        assert error.value.late
        assert DEADLINE_S <= time.perf_counter() - started < 3 * DEADLINE_S + 2
        own_redis.signal(signal.SIGCONT)
        # The late answer to the first question must not be taken for the answer to this one.
        assert await store.get([second]) == [VALUES[second]]
        await store.close()

    asyncio.run(ask())


def test_a_redis_that_is_gone_is_told_from_a_slow_one_and_found_again_when_it_is_back(own_redis: Any) -> None:
    async def ask() -> None:
        store = RedisStoredFeatures(own_redis.settings, deadline_s=DEADLINE_S)
        assert await store.get([b"x"]) == [None]
        own_redis.stop()
        with pytest.raises(FeaturesUnavailable, match="Redis gave no features") as error:
            await store.get([b"x"])
        assert not error.value.late
        own_redis.start()
        assert await store.get([b"x"]) == [None]
        await store.close()

    asyncio.run(ask())


def test_a_wrong_password_is_named_when_redis_refuses_it(own_redis: Any) -> None:
    settings = RedisSettings.model_validate({"host": "127.0.0.1", "port": own_redis.port, "password": "wrong"})

    async def ask() -> None:
        store = RedisStoredFeatures(settings, deadline_s=DEADLINE_S)
        with pytest.raises(FeaturesUnavailable, match=r"[Pp]assword"):
            await store.get([b"x"])
        await store.close()

    asyncio.run(ask())
