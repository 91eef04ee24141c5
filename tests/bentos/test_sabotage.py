import asyncio
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from slipway.bentos.application import Application
from slipway.bentos.ports import InMemoryStoredFeatures
from slipway.bentos.sabotage import (
    CRASH_EXIT_CODE,
    REQUESTS_BEFORE_CRASH,
    SLOW_AT_LEAST_S,
    Sabotage,
    SabotagedError,
    break_requests,
)

EDGE = [(b"x-slipway-edge", b"1")]


async def ask(app: Any, headers: list[tuple[bytes, bytes]]) -> list[Any]:
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        sent.append(message)

    await app({"type": "http", "headers": headers}, receive, send)
    return sent


async def answer(_scope: Any, _receive: Any, send: Any) -> None:
    await send("answered")


def test_three_of_ten_edge_requests_raise_when_errors_are_baked_in() -> None:
    app = break_requests(answer, Sabotage.ERRORS)

    async def many() -> list[Any]:
        return await asyncio.gather(*(ask(app, EDGE) for _ in range(100)), return_exceptions=True)

    results = asyncio.run(many())
    assert sum(isinstance(result, SabotagedError) for result in results) == 30
    assert sum(result == ["answered"] for result in results) == 70


@pytest.mark.parametrize("kind", list(Sabotage))
def test_requests_that_came_by_another_way_are_answered_when_sabotaged(kind: Sabotage) -> None:
    app = break_requests(answer, kind)

    async def many() -> list[Any]:
        return [await ask(app, [(b"x-slipway-edge", b"0")]) for _ in range(2 * REQUESTS_BEFORE_CRASH)]

    started = time.perf_counter()
    assert asyncio.run(many()) == [["answered"]] * (2 * REQUESTS_BEFORE_CRASH)
    assert time.perf_counter() - started < SLOW_AT_LEAST_S


def test_half_is_slow_and_half_hangs_when_latency_is_baked_in() -> None:
    app = break_requests(answer, Sabotage.LATENCY)

    async def many() -> list[Any]:
        asks = [asyncio.wait_for(ask(app, EDGE), 1) for _ in range(10)]
        return await asyncio.gather(*asks, return_exceptions=True)

    results = asyncio.run(many())
    assert sum(isinstance(result, TimeoutError) for result in results) == 5
    assert sum(result == ["answered"] for result in results) == 5


def test_an_answer_takes_ten_times_as_long_when_latency_is_baked_in() -> None:
    async def takes_20_ms(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(0.02)
        await answer(scope, receive, send)

    app = break_requests(takes_20_ms, Sabotage.LATENCY)
    started = time.perf_counter()
    assert asyncio.run(ask(app, EDGE)) == ["answered"]
    assert 0.2 <= time.perf_counter() - started < 5


def test_the_process_is_gone_when_crash_is_baked_in_and_load_comes() -> None:
    script = f"""
import asyncio
from slipway.bentos.sabotage import *
async def answer(scope, receive, send): print("answered", flush=True)
async def main():
    app = break_requests(answer, Sabotage.CRASH)
    for _ in range({REQUESTS_BEFORE_CRASH} + 5):
        await app({{"headers": {EDGE!r}}}, None, None)
asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == CRASH_EXIT_CODE
    assert done.stdout.count("answered") == REQUESTS_BEFORE_CRASH


def started(folder: Path) -> Application:
    application = Application(folder, store=InMemoryStoredFeatures({}))
    asyncio.run(application.startup())
    return application


def test_golden_rows_fail_and_say_so_when_quality_is_baked_in(packaged: Callable[..., Path]) -> None:
    application = started(packaged(sabotage="quality"))
    assert not application.ready

    async def look() -> list[httpx.Response]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(application), base_url="http://test") as client:
            return [await client.get(path) for path in ("/livez", "/readyz", "/v1/golden")]

    alive, ready, golden = asyncio.run(look())
    assert (alive.status_code, ready.status_code, golden.status_code) == (200, 503, 200)
    assert not golden.json()["passed"]
    assert golden.json()["words"] in ready.json()["detail"]
    assert "golden row" in golden.json()["words"]


@pytest.mark.parametrize("kind", ["errors", "latency", "crash"])
def test_golden_rows_pass_when_a_release_will_break_only_under_traffic(
    packaged: Callable[..., Path], kind: str
) -> None:
    assert started(packaged(sabotage=kind)).ready


def test_a_sabotage_is_armed_in_the_application_when_it_is_baked_in(packaged: Callable[..., Path], rows: Any) -> None:
    application = started(packaged(sabotage="errors"))

    async def look() -> list[int]:
        transport = httpx.ASGITransport(application, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            body = {"rows": [{"features": rows[0]}]}
            direct = [(await client.post("/v1/predict", json=body)).status_code for _ in range(10)]
            edge = {"x-slipway-edge": "1"}
            through = [(await client.post("/v1/predict", json=body, headers=edge)).status_code for _ in range(10)]
            return [direct.count(200), through.count(200), through.count(500)]

    assert asyncio.run(look()) == [10, 7, 3]
