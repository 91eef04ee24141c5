"""The traffic generator, ``python -m slipway.loadtests.generator``: the child process behind ``traffic.Traffic``.

An open loop: requests start when they are due, whether or not earlier ones have been answered, so that a slow service
meets as much traffic as a fast one. Each request ends as good or as failed, and is counted once; what was under way
when the end came is waited for. The end comes with the end of standard input, so that a parent that died leaves no
traffic behind, with SIGTERM, or after ``--max-s``.
"""

import argparse
import asyncio
import json
import math
import os
import random
import signal
import sys
import time
import uuid
from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from errno import EADDRNOTAVAIL, EMFILE, ENFILE
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from slipway.loadtests.profile import read_ids

# At 100 requests a second and a time limit of 10 s at most 1,000 can be under way.
MAX_IN_FLIGHT = 1_000
TIMEOUT_S = 10.0
# Below the idle time that any proxy allows its clients: the side that sends requests must be the one that closes.
KEEP_ALIVE_S = 15.0
PROGRESS_S = 1.0
SHOWN_FAILURES = 20
# No socket or no port left here: such a request never left this machine, and says nothing about the service.
OWN_ERRORS = frozenset({EADDRNOTAVAIL, EMFILE, ENFILE})


class Counts:
    """What became of the requests so far."""

    def __init__(self) -> None:
        self.requests = 0
        self.failed = 0
        self.not_sent = 0
        self.late = 0
        self.by_status: Counter[str] = Counter()
        self.failures: list[dict[str, str]] = []
        self._seconds = array("d")

    def add(self, status: str, seconds: float, *, request_id: str) -> None:
        self.requests += 1
        self.by_status[status] += 1
        self._seconds.append(seconds)
        if status != "200":
            self.failed += 1
            if len(self.failures) < SHOWN_FAILURES:
                at = datetime.now(UTC).isoformat()
                self.failures.append({"at": at, "request_id": request_id, "status": status})

    def to_json(self) -> dict[str, Any]:
        return {
            "requests": self.requests,
            "failed": self.failed,
            "not_sent": self.not_sent,
            "late": self.late,
            "by_status": dict(sorted(self.by_status.items())),
        }

    def quantiles_ms(self) -> dict[str, float | None]:
        """Return nearest-rank quantiles of the answers' times, from when each request was due."""
        ordered = sorted(self._seconds)
        shares = {"p50_ms": 0.50, "p95_ms": 0.95, "p99_ms": 0.99}
        return {
            name: ordered[math.ceil(share * len(ordered)) - 1] * 1000 if ordered else None
            for name, share in shares.items()
        }


class Generator:
    """Sends requests for entities of a list, each on behalf of a random visitor."""

    def __init__(self, *, url: str, ids: Sequence[str], units: int, rps: float, seed: int) -> None:
        self.counts = Counts()
        self._url = url
        self._ids = ids
        self._units = units
        self._rps = rps
        self._random = random.Random(seed)  # noqa: S311  a repeatable draw of visitors; nothing is secret
        self._in_flight: set[asyncio.Task[None]] = set()
        self._free = asyncio.Semaphore(MAX_IN_FLIGHT)

    @property
    def in_flight(self) -> int:
        return len(self._in_flight)

    async def run(self, ended: asyncio.Event) -> None:
        """Send until ``ended`` is set, then wait for every answer."""
        # No limit of its own: the semaphore's bound holds, and a request never waits inside the client unseen.
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE_S)
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout, trust_env=False) as session:
            await self._send_when_due(session, ended)
            while self._in_flight:
                await asyncio.wait(self._in_flight)

    async def _send_when_due(self, session: aiohttp.ClientSession, ended: asyncio.Event) -> None:
        started = time.perf_counter()
        number = 0
        while not ended.is_set():
            due = started + number / self._rps
            wait_s = due - time.perf_counter()
            if wait_s > 0:
                await _either(ended, wait_s)
                continue
            await self._free.acquire()
            task = asyncio.create_task(self._ask(session, due))
            self._in_flight.add(task)
            task.add_done_callback(self._done)
            number += 1
            # Overdue requests, say after a suspended machine, must not keep answers from being read.
            await asyncio.sleep(0)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._in_flight.discard(task)
        self._free.release()
        task.result()

    async def _ask(self, session: aiohttp.ClientSession, due: float) -> None:
        request_id = uuid.UUID(int=self._random.getrandbits(128), version=4).hex
        body = msgspec.json.encode({"rows": [{"entity_id": self._random.choice(self._ids)}]})
        headers = {
            "content-type": "application/json",
            "x-request-id": request_id,
            "x-slipway-unit": f"visitor-{self._random.randrange(self._units)}",
        }
        if time.perf_counter() - due > PROGRESS_S:
            self.counts.late += 1
        try:
            async with session.post(self._url, data=body, headers=headers) as answer:
                await answer.read()
                status = str(answer.status)
        except TimeoutError:
            status = "timeout"
        except aiohttp.ClientConnectorError as error:
            if error.os_error.errno in OWN_ERRORS:
                self.counts.not_sent += 1
                return
            status = "refused"
        except (aiohttp.ClientError, OSError) as error:
            status = type(error).__name__
        self.counts.add(status, time.perf_counter() - due, request_id=request_id)


async def _either(ended: asyncio.Event, wait_s: float) -> None:
    """Return when ``ended`` is set or the time is over."""
    try:
        async with asyncio.timeout(wait_s):
            await ended.wait()
    except TimeoutError:
        pass


async def _report(generator: Generator, ended: asyncio.Event) -> None:
    """Write a line of cumulated counts to standard output at the start and each second."""
    started = time.perf_counter()
    while True:
        at_s = round(time.perf_counter() - started, 3)
        line: Mapping[str, Any] = {"at_s": at_s, "in_flight": generator.in_flight, **generator.counts.to_json()}
        _write_line(json.dumps(line))
        if ended.is_set():
            return
        await _either(ended, PROGRESS_S)


def _write_line(line: str) -> None:
    try:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        # The parent is gone; the end of standard input tells the rest. Later lines go nowhere.
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115  open as long as the process


async def _serve(options: argparse.Namespace) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)

    async def watch_parent() -> None:
        while await reader.read(1024):
            pass
        ended.set()

    generator = Generator(
        url=options.url, ids=read_ids(options.ids), units=options.units, rps=options.rps, seed=options.seed
    )
    if options.max_s:
        loop.call_later(options.max_s, ended.set)
    async with asyncio.TaskGroup() as tasks:
        watcher = tasks.create_task(watch_parent())
        tasks.create_task(_report(generator, ended))
        await generator.run(ended)
        watcher.cancel()
    result = {**generator.counts.to_json(), **generator.counts.quantiles_ms(), "failures": generator.counts.failures}
    draft = options.out.with_name(f".{options.out.name}.{os.getpid()}")
    draft.write_text(json.dumps(result), encoding="utf-8")
    draft.replace(options.out)


def main() -> None:
    """Read the options and send until the end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--ids", type=Path, required=True)
    parser.add_argument("--units", type=int, required=True)
    parser.add_argument("--rps", type=float, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--max-s", type=float, default=0.0)
    parser.add_argument("--out", type=Path, required=True)
    asyncio.run(_serve(parser.parse_args()))


if __name__ == "__main__":
    main()
