"""A service whose behaviour a test chooses, as a real server in a process of its own."""

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from slipway.project import Project

# Behaves by its first argument; says at /seen what reached it.
SERVICE = """
import asyncio, collections, json, os, sys
import uvicorn
behaviour, port = sys.argv[1], int(sys.argv[2])
seen = collections.Counter()
units, ids = set(), set()
connections = set()

async def answer(send, status, content):
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(content))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})

async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    if scope["path"] == "/readyz":
        return await answer(send, 503 if behaviour == "not_ready" else 200, b"ready")
    if scope["path"] == "/seen":
        content = {"requests": seen["requests"], "units": len(units), "ids": sorted(ids)}
        return await answer(send, 200, json.dumps(content | {"connections": len(connections)}).encode())
    body = json.loads((await receive())["body"])
    seen["requests"] += 1
    ids.add(body["rows"][0]["entity_id"])
    connections.add(tuple(scope["client"]))
    units.update(value.decode() for name, value in scope["headers"] if name == b"x-slipway-unit")
    if behaviour == "errors" and seen["requests"] % 10 == 0:
        return await answer(send, 500, b'{"detail":"broken on purpose"}')
    if behaviour == "nonsense":
        return await answer(send, 200, b"<html>")
    if behaviour == "slow":
        await asyncio.sleep(0.3)
    if behaviour == "dies" and seen["requests"] > 50:
        os._exit(1)
    await answer(send, 200, b'{"predictions":[{"score":0.5,"label":"No","features":"ok"}]}')

uvicorn.run(app, host="127.0.0.1", port=port, log_level="error")
"""


@pytest.fixture
def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def alive(url: str) -> bool:
    try:
        httpx.get(f"{url}/seen")
    except httpx.TransportError:
        return False
    return True


@pytest.fixture
def service(free_port: int) -> Iterator[Callable[[str], str]]:
    """Return a function that starts the service with a behaviour and gives its address."""
    processes: list[subprocess.Popen[bytes]] = []

    def start(behaviour: str) -> str:
        url = f"http://127.0.0.1:{free_port}"
        processes.append(subprocess.Popen([sys.executable, "-c", SERVICE, behaviour, str(free_port)]))
        give_up = time.monotonic() + 15
        while not alive(url):
            assert time.monotonic() < give_up
            time.sleep(0.05)
        return url

    yield start
    for process in processes:
        process.kill()
        process.wait()


@pytest.fixture
def ids(tmp_path: Path) -> Path:
    path = tmp_path / "ids.txt"
    path.write_text("7590-VHVEG\n5575-GNVDE\n3668-QPYBK\n")
    return path


@pytest.fixture
def own_project(tmp_path: Path) -> Project:
    """A project with a load test of its own."""
    root = tmp_path / "project"
    (root / "loadtests").mkdir(parents=True)
    churn = Path(__file__).parents[2] / "loadtests" / "churn.py"
    (root / "loadtests" / "churn.py").write_text(churn.read_text())
    return Project(root=root, home=root / ".slipway", name="test")
