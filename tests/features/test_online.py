"""The contract of an online store, over every adapter, and what is true of Redis alone."""

from dataclasses import replace

import numpy as np
import pytest
import redis
from pydantic import SecretStr

from slipway.features.errors import OnlineStoreError
from slipway.features.in_memory_online import InMemoryOnline
from slipway.features.layout import FeatureSetLayout
from slipway.features.packing import Status
from slipway.features.ports import Written
from slipway.features.redis_online import RedisOnline
from tests.features.test_layout import PROFILE, ROW, SET

NOW = 1_900_000_000_000  # in the future of any clock that runs this, so that Redis drops nothing meanwhile
HOUR = 3_600_000


@pytest.fixture(params=["in_memory", "redis"])
def online(request):
    if request.param == "in_memory":
        yield InMemoryOnline()
    else:
        with RedisOnline(request.getfixturevalue("redis_settings")) as store:
            yield store


@pytest.fixture
def layout(request) -> FeatureSetLayout:
    """A layout with keys of its own, since Redis outlives a test."""
    return FeatureSetLayout.of(SET, project=f"shop-{abs(hash(request.node.nodeid))}")


def pages(layout, *ages, at=NOW):
    return layout.rows([{**ROW, "age": age} for age in ages], event_ms=at)


def ages(decoded):
    return [row["age"] for row in decoded.values]


def test_rows_come_back_in_the_order_asked_when_they_were_written(online, layout):
    assert online.write(layout, ["u1", "u2"], pages(layout, 1, 2), now_ms=NOW) == Written(stored=2)
    decoded = online.read(layout, ["u2", "nobody", "u1", "u2"], now_ms=NOW)
    assert decoded.statuses == [Status.OK, Status.MISSING, Status.OK, Status.OK]
    assert ages(decoded) == [2, None, 1, 2]


def test_key_is_found_when_it_holds_any_character(online, layout):
    keys = ["ü", "a b", "{x}", "a:b", "0" * 300]
    online.write(layout, keys, pages(layout, 1, 2, 3, 4, 5), now_ms=NOW)
    assert ages(online.read(layout, keys, now_ms=NOW)) == [1, 2, 3, 4, 5]


def test_older_row_is_refused_when_a_newer_one_is_there(online, layout):
    online.write(layout, ["u"], pages(layout, 1, at=NOW), now_ms=NOW)
    assert online.write(layout, ["u"], pages(layout, 2, at=NOW - 1), now_ms=NOW) == Written(older=1)
    assert ages(online.read(layout, ["u"], now_ms=NOW)) == [1]


@pytest.mark.parametrize("later_ms", [0, 1])
def test_row_replaces_another_when_it_is_as_new_or_newer(online, layout, later_ms):
    online.write(layout, ["u"], pages(layout, 1, at=NOW), now_ms=NOW)
    assert online.write(layout, ["u"], pages(layout, 2, at=NOW + later_ms), now_ms=NOW) == Written(stored=1)
    assert ages(online.read(layout, ["u"], now_ms=NOW)) == [2]


def test_newest_row_wins_when_one_write_has_several_of_an_entity(online, layout):
    rows = np.concatenate([pages(layout, 1, at=NOW), pages(layout, 2, at=NOW + 1), pages(layout, 3, at=NOW - 1)])
    assert online.write(layout, ["u", "u", "u"], rows, now_ms=NOW) == Written(stored=2, older=1)
    assert ages(online.read(layout, ["u"], now_ms=NOW)) == [2]


def test_row_is_not_stored_when_it_has_expired(online, layout):
    rows = np.concatenate([pages(layout, 1, at=NOW - HOUR), pages(layout, 2, at=NOW - HOUR + 1)])
    assert online.write(layout, ["old", "young"], rows, now_ms=NOW) == Written(stored=1, expired=1)
    assert online.read(layout, ["old", "young"], now_ms=NOW).statuses == [Status.MISSING, Status.OK]


def test_times_before_1970_are_in_order_too(online, layout):
    forever = FeatureSetLayout.of(replace(SET, view=replace(PROFILE, ttl=None)), project=layout.project)
    online.write(forever, ["u"], pages(forever, 1, at=-5), now_ms=NOW)
    assert online.write(forever, ["u"], pages(forever, 2, at=-6), now_ms=NOW) == Written(older=1)
    assert online.write(forever, ["u"], pages(forever, 3, at=3), now_ms=NOW) == Written(stored=1)
    assert ages(online.read(forever, ["u"], now_ms=NOW)) == [3]


def test_another_layout_has_values_of_its_own_when_the_view_changed(online, layout):
    online.write(layout, ["u"], pages(layout, 1), now_ms=NOW)
    changed = replace(layout, view_version="0123456789ab")
    assert online.read(changed, ["u"], now_ms=NOW).statuses == [Status.MISSING]


def test_nothing_happens_when_nothing_is_asked(online, layout):
    assert online.write(layout, [], pages(layout), now_ms=NOW) == Written()
    assert online.read(layout, [], now_ms=NOW).statuses == []


# Redis alone


@pytest.fixture
def server(redis_settings):
    password = redis_settings.password.get_secret_value()
    with redis.Redis(host=redis_settings.host, port=redis_settings.port, password=password) as client:
        yield client


def test_key_expires_at_event_time_plus_ttl(redis_settings, server, layout):
    with RedisOnline(redis_settings) as online:
        online.write(layout, ["u"], pages(layout, 1, at=NOW), now_ms=NOW)
        left_ms = server.pttl(layout.redis_key("u"))
    seconds, microseconds = server.time()
    assert abs(left_ms - (NOW + HOUR - (seconds * 1000 + microseconds // 1000))) < 5_000


def test_key_stays_for_ever_when_the_view_has_no_ttl(redis_settings, server, layout):
    forever = FeatureSetLayout.of(replace(SET, view=replace(PROFILE, ttl=None)), project=layout.project)
    with RedisOnline(redis_settings) as online:
        online.write(layout, ["u"], pages(layout, 1, at=NOW), now_ms=NOW)
        online.write(forever, ["u"], pages(forever, 1, at=NOW), now_ms=NOW)
    assert forever.redis_key("u") == layout.redis_key("u")
    assert server.ttl(forever.redis_key("u")) == -1


def test_foreign_value_is_told_apart_when_it_is_read_and_replaced_when_it_is_written(redis_settings, server, layout):
    server.set(layout.redis_key("u"), b"foreign")
    server.set(layout.redis_key("v"), bytes(layout.row_format.size))
    with RedisOnline(redis_settings) as online:
        assert online.read(layout, ["u", "v"], now_ms=NOW).statuses == [Status.LAYOUT_MISMATCH] * 2
        assert online.write(layout, ["u", "v"], pages(layout, 1, 2), now_ms=NOW) == Written(stored=2)
        assert ages(online.read(layout, ["u", "v"], now_ms=NOW)) == [1, 2]


def test_script_is_loaded_again_when_redis_forgot_it(redis_settings, server, layout):
    with RedisOnline(redis_settings) as online:
        online.write(layout, ["u"], pages(layout, 1), now_ms=NOW)
        server.script_flush()
        assert online.write(layout, ["u"], pages(layout, 2), now_ms=NOW) == Written(stored=1)


def test_view_of_many_rows_is_written_whole_when_it_takes_several_round_trips(redis_settings, layout):
    keys = [f"u{number}" for number in range(4_500)]
    with RedisOnline(redis_settings) as online:
        assert online.write(layout, keys, pages(layout, *range(4_500)), now_ms=NOW).stored == 4_500
        assert ages(online.read(layout, keys, now_ms=NOW)) == list(range(4_500))


def test_server_and_next_command_are_told_when_redis_is_away(redis_settings, layout):
    with RedisOnline(redis_settings.model_copy(update={"port": 1})) as online:
        with pytest.raises(OnlineStoreError, match=r"Redis at 127.0.0.1:1: .*slipway up"):
            online.read(layout, ["u"], now_ms=NOW)
        with pytest.raises(OnlineStoreError, match="slipway up"):
            online.write(layout, ["u"], pages(layout, 1), now_ms=NOW)


@pytest.mark.parametrize("password", ["", "wrong"])
def test_setting_is_told_when_redis_wants_another_password(redis_settings, layout, password):
    locked_out = redis_settings.model_copy(update={"password": SecretStr(password)})
    with RedisOnline(locked_out) as online, pytest.raises(OnlineStoreError, match="set REDIS_PASSWORD"):
        online.read(layout, ["u"], now_ms=NOW)


def test_reason_is_told_when_redis_is_full(redis_settings, server, layout):
    server.config_set("maxmemory", 1)
    try:
        with RedisOnline(redis_settings) as online, pytest.raises(OnlineStoreError, match="maxmemory"):
            online.write(layout, ["u"], pages(layout, 1), now_ms=NOW)
    finally:
        server.config_set("maxmemory", 0)
