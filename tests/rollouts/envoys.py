"""A real Envoy between tiny upstreams, and users who ask it."""

import asyncio
import http.client
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from slipway.rollouts import envoy
from slipway.rollouts.envoy_edge import EnvoyEdge, write_files
from slipway.rollouts.local_slots import free_port
from slipway.rollouts.ports import Split
from slipway.rollouts.programs import envoy_command
from slipway.rollouts.routes import Address, Route
from slipway.rollouts.rtds import WeightServer


def address(port: int) -> Address:
    return Address(host="127.0.0.1", port=port)


class Upstream:
    """A server that answers each request with its name; ``behaviour`` may be changed at any time."""

    def __init__(self, name: str, behaviour: str = "ok") -> None:
        self.name, self.behaviour, self.port, self.seen = name, behaviour, free_port(), 0
        self.headers: list[str] = []
        self._loop = asyncio.new_event_loop()
        self._stopped = asyncio.Event()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._started.wait(5)

    @property
    def address(self) -> Address:
        return address(self.port)

    def stop(self) -> None:
        """Close every connection at once, as a killed process does."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopped.set)
            self._thread.join(5)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

        def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connections[asyncio.get_running_loop().create_task(self._converse(reader, writer))] = writer

        server = await asyncio.start_server(connected, "127.0.0.1", self.port)
        self._started.set()
        await self._stopped.wait()
        server.close()
        for task, writer in connections.items():
            writer.transport.abort()
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                self.headers = head.decode().lower().split("\r\n")
                lengths = [line.partition(":")[2] for line in self.headers if line.startswith("content-length:")]
                await reader.readexactly(int(lengths[0]) if lengths else 0)
                self.seen += 1
                await self._answer(writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self, writer: asyncio.StreamWriter) -> None:
        if self.behaviour == "hang":
            await asyncio.sleep(60)
        if self.behaviour == "reset":
            writer.transport.abort()
            return
        status = "500 Internal Server Error" if self.behaviour == "fail" else "200 OK"
        content = self.name.encode()
        writer.write(f"HTTP/1.1 {status}\r\ncontent-length: {len(content)}\r\n\r\n".encode() + content)
        await writer.drain()


class RunningEnvoy:
    """Envoy as the stack starts it, on free ports in a folder of its own, with its weight server in this process."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port, self.admin, self.rtds = folder, free_port(), free_port(), free_port()
        text = envoy.bootstrap(
            folder, edge=address(self.port), admin=address(self.admin), controller=address(self.rtds)
        )
        (folder / envoy.BOOTSTRAP_FILE).write_text(text)
        write_files(folder, ())
        self.weights = WeightServer(resource=envoy.RTDS_RESOURCE, address=f"127.0.0.1:{self.rtds}")
        self.edge = EnvoyEdge(folder, admin_url=f"http://127.0.0.1:{self.admin}", weights=self.weights)
        self.start()

    def start(self) -> None:
        self.log = (self.folder / "envoy.log").open("ab")
        command = [*envoy_command(), "-c", str(self.folder / envoy.BOOTSTRAP_FILE), *envoy.OPTIONS]
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log)
        wait_until(lambda: asked(self.port, "/nothing", "u")[0] == 404)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.log.close()

    def close(self) -> None:
        self.kill()
        self.edge.close()
        self.weights.stop()

    def route(self, stable: Upstream | None, candidate: Upstream | None, **given) -> None:
        """Point the slots and wait until Envoy uses them."""
        wait_until(lambda: self.edge.route([self.one_route(stable, candidate, **given)]))

    def one_route(self, stable: Upstream | None, candidate: Upstream | None, *, salt="r-1", timeout_ms=300) -> Route:
        return Route(
            service="churn",
            stable=stable.address if stable else None,
            candidate=candidate.address if candidate else None,
            salt=salt,
            per_try_timeout_ms=timeout_ms,
        )

    def log_position(self) -> int:
        """Return the end of the log, once everything asked before has been written."""
        time.sleep(0.3)
        return self.edge.end_of_log()

    @contextmanager
    def held(self, weight: int, *, shadow_percent: int = 0) -> Iterator[None]:
        """Keep a weight for as long as the block runs, as a controller would; it has been confirmed when it begins."""
        done, split = threading.Event(), Split(weight=weight, shadow_percent=shadow_percent)

        def renew() -> None:
            while not done.wait(0.5):
                self.edge.split({"churn": split})

        renewer = threading.Thread(target=renew)
        renewer.start()
        try:
            self.edge.split({"churn": split})
            wait_until(lambda: self.weight() == weight)
            time.sleep(0.06)
            yield
        finally:
            done.set()
            renewer.join()

    def weight(self) -> int | None:
        """Return the weight that the proxy has confirmed and still has."""
        spans = self.edge.exposures("churn")
        return spans[-1].weight if spans and spans[-1].until_s > time.time() else None


def asked(port, path: str, unit: str | None, connection=None, *, body: bytes = b"{}", **headers: str):
    """Ask once; return status, body and headers, or 0 where nothing answers."""
    own = connection or http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        own.request("POST", path, body=body, headers={**({"x-slipway-unit": unit} if unit else {}), **given})
        answer = own.getresponse()
        return answer.status, answer.read().decode(), answer.headers
    except (OSError, http.client.HTTPException):
        own.close()
        return 0, "", {}
    finally:
        if connection is None:
            own.close()


def ask_many(port: int, number: int, *, prefix: str = "user") -> Counter[tuple[int, str]]:
    """Ask as that many users over one connection and count the answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    seen = Counter(asked(port, "/churn/v1/predict", f"{prefix}-{n}", connection)[:2] for n in range(number))
    connection.close()
    return seen


class Users:
    """Eight users who ask all the time, each over one connection."""

    def __init__(
        self, port: int, *, pause_s: float = 0.002, path: str = "/churn/v1/predict", body: bytes = b"{}"
    ) -> None:
        self.port, self.pause_s, self.path, self.body, self.seen = port, pause_s, path, body, Counter()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(number,)) for number in range(8)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, number: int) -> None:
        connection, rng = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10), random.Random(number)
        while not self._stop.is_set():
            unit = f"user-{rng.randrange(50_000)}"
            self.seen[asked(self.port, self.path, unit, connection, body=self.body)[:2]] += 1
            time.sleep(self.pause_s)
        connection.close()


def wait_until(true: Callable[[], bool], *, timeout_s: float = 30) -> float:
    """Wait until something holds; return how long that took."""
    begun = time.monotonic()
    while not true():
        if time.monotonic() - begun > timeout_s:
            msg = f"not within {timeout_s} s"
            raise AssertionError(msg)
        time.sleep(0.01)
    return time.monotonic() - begun


WEIGHT_SERVER = f"""
import sys, time
from slipway.rollouts.rtds import WeightServer
server = WeightServer(resource={envoy.RTDS_RESOURCE!r}, address=f"127.0.0.1:{{sys.argv[1]}}")
server.start()
layer = {{"slipway.churn.churn_candidate_or_stable": 10000, "slipway.churn.churn_stable": 0}}
while True:
    server.set(layer, {{"churn": 10000}}, lease_s=2.5)
    time.sleep(0.5)
"""


def weight_server(port: int) -> subprocess.Popen[bytes]:
    """Start a controller that does nothing but give the candidate all of the traffic."""
    return subprocess.Popen([sys.executable, "-c", WEIGHT_SERVER, str(port)])
