"""Ways to break a release on purpose, so that anyone can watch it being taken back.

Baked into a release when it is packaged; a release without one has none of this in its path. All but ``quality`` are
armed only for requests that come through the edge (it adds ``x-slipway-edge: 1``): the release behaves through its
golden rows and its load test, and breaks under live traffic, as releases do.
"""

import asyncio
import itertools
import os
import time
from collections.abc import Callable, Mapping
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from slipway.bentos.asgi import AsgiApp, Message, Receive, Scope, Send
from slipway.bentos.scorer import Scorer
from slipway.features.definitions import DType
from slipway.features.layout import FeatureSetLayout

EDGE_HEADER = (b"x-slipway-edge", b"1")

# 0, 3, 6 of ten: 30 % in every run, and never two in a row.
ERRORS_OF_TEN = frozenset({0, 3, 6})
SLOWER = 10
# An answer takes a millisecond; ten times that would still be within what nobody notices.
SLOW_AT_LEAST_S = 0.05
HANG_S = 3600.0
# Few enough that 5 % of 100 requests a second meet it within some seconds, and again after each restart.
REQUESTS_BEFORE_CRASH = 20
CRASH_EXIT_CODE = 70
CHARGES_FACTOR = 1000.0


class Sabotage(StrEnum):
    """How a release is broken."""

    ERRORS = "errors"
    LATENCY = "latency"
    CRASH = "crash"
    QUALITY = "quality"


class SabotagedError(RuntimeError):
    """What a release raises that was packaged to fail."""


def break_requests(app: AsgiApp, kind: Sabotage) -> AsgiApp:
    """Return ``app`` with its requests from the edge broken as ``kind`` says."""
    make = BREAKERS.get(kind)
    if make is None:
        return app
    broken = make(app)

    async def armed(scope: Scope, receive: Receive, send: Send) -> None:
        await (broken if EDGE_HEADER in scope["headers"] else app)(scope, receive, send)

    return armed


def _erring(app: AsgiApp) -> AsgiApp:
    count = itertools.count()

    async def err(scope: Scope, receive: Receive, send: Send) -> None:
        if next(count) % 10 in ERRORS_OF_TEN:
            msg = f"sabotaged: {len(ERRORS_OF_TEN)} of 10 requests from the edge raise"
            raise SabotagedError(msg)
        await app(scope, receive, send)

    return err


def _slow(app: AsgiApp) -> AsgiApp:
    count = itertools.count()

    async def drag(scope: Scope, receive: Receive, send: Send) -> None:
        if next(count) % 2:
            await asyncio.sleep(HANG_S)
        held: list[Message] = []

        async def hold(message: Message) -> None:
            held.append(message)

        started = time.perf_counter()
        await app(scope, receive, hold)
        await asyncio.sleep(max((SLOWER - 1) * (time.perf_counter() - started), SLOW_AT_LEAST_S))
        for message in held:
            await send(message)

    return drag


def _crashing(app: AsgiApp) -> AsgiApp:
    count = itertools.count()

    async def crash(scope: Scope, receive: Receive, send: Send) -> None:
        if next(count) >= REQUESTS_BEFORE_CRASH:
            # Not an exception: what a broken native library or the out-of-memory killer does.
            os._exit(CRASH_EXIT_CODE)
        await app(scope, receive, send)

    return crash


BREAKERS: Mapping[Sabotage, Callable[[AsgiApp], AsgiApp]] = {
    Sabotage.ERRORS: _erring,
    Sabotage.LATENCY: _slow,
    Sabotage.CRASH: _crashing,
}


class ThousandfoldCharges:
    """A scorer that is fed every amount a thousandfold, as when one side counts in another unit."""

    def __init__(self, scorer: Scorer, layout: FeatureSetLayout) -> None:
        amounts = {f.name for f in layout.typed_features if f.dtype is DType.FLOAT64}
        self._scorer = scorer
        self._factors = np.array(
            [CHARGES_FACTOR if column in amounts else 1.0 for column in layout.matrix_columns], np.float32
        )

    def score(self, matrix: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return self._scorer.score(matrix * self._factors)
