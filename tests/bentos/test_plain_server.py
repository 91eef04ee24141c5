"""The application under a plain ASGI server, without BentoML around it."""

import http.client
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

SERVER = """
import asyncio, sys, uvicorn
from pathlib import Path
from slipway.bentos.application import Application
from slipway.bentos.ports import InMemoryStoredFeatures
app = Application(Path(sys.argv[1]), store=InMemoryStoredFeatures({}))
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), log_level="warning")
"""


@pytest.fixture
def server(packaged: Callable[..., Path]) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = int(listener.getsockname()[1])
    process = subprocess.Popen([sys.executable, "-c", SERVER, str(packaged()), str(port)])
    give_up = time.monotonic() + 20
    while not answers(port):
        assert process.poll() is None
        assert time.monotonic() < give_up
        time.sleep(0.05)
    yield process, port
    process.kill()
    process.wait()


def answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == 200
    except httpx.TransportError:
        return False


def test_no_request_fails_when_a_plain_server_is_stopped_under_load(
    server: tuple[subprocess.Popen[bytes], int], rows: Any
) -> None:
    process, port = server
    body = json.dumps({"rows": [{"features": rows[0]}]})
    outcomes: list[object] = []

    def client() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            closing = False
            while not closing:
                connection.request("POST", "/v1/predict", body)
                answer = connection.getresponse()
                answer.read()
                outcomes.append(answer.status)
                closing = answer.getheader("connection") == "close"
        except (OSError, http.client.HTTPException) as error:
            outcomes.append(error)
        finally:
            connection.close()

    clients = [threading.Thread(target=client) for _ in range(4)]
    for thread in clients:
        thread.start()
    time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGTERM)
    for thread in clients:
        thread.join(10)
    # It has told all of them to go, and still answers those who have not heard of it yet.
    assert httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == 503
    assert process.wait(10) == -signal.SIGTERM
    assert set(outcomes) == {200}
