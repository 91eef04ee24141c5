"""Ready is what answers as it should, from the process that should."""

import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from slipway.local import Ready
from slipway.local.errors import NotReady
from slipway.local.readiness import listening_ports, ports_of, probe


class Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/readyz" else 503)
        self.end_headers()

    def log_message(self, *_args: object) -> None:
        return


@pytest.fixture
def server() -> Iterator[int]:
    with HTTPServer(("127.0.0.1", 0), Answer) as made:
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        yield made.server_port
        made.shutdown()
        thread.join()


@pytest.fixture
def unused() -> Iterator[int]:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def test_ready_when_everything_answers(server: int) -> None:
    probe(Ready(tcp=server, http=f"http://127.0.0.1:{server}/readyz", check=lambda: True), pid=os.getpid())
    probe(Ready(tcp=server), pid=None)
    probe(Ready(), pid=1)


def test_not_ready_when_nobody_listens(unused: int) -> None:
    with pytest.raises(NotReady, match=f"127.0.0.1:{unused}: Connection refused"):
        probe(Ready(tcp=unused), pid=None)
    with pytest.raises(NotReady, match=f"GET http://127.0.0.1:{unused}: .*refused"):
        probe(Ready(http=f"http://127.0.0.1:{unused}"), pid=None)


def test_not_ready_when_the_answer_is_not_200(server: int) -> None:
    with pytest.raises(NotReady, match="/livez answered 503"):
        probe(Ready(http=f"http://127.0.0.1:{server}/livez"), pid=None)


def test_not_ready_when_another_process_has_the_port(server: int) -> None:
    with subprocess.Popen(["sleep", "600"]) as other:
        try:
            with pytest.raises(NotReady, match=f"it does not listen on port {server}"):
                probe(Ready(tcp=server), pid=other.pid)
        finally:
            other.kill()


def test_not_ready_when_the_check_says_no() -> None:
    def broken() -> None:
        raise ConnectionResetError(104, "reset by peer")

    with pytest.raises(NotReady, match="reset by peer"):
        probe(Ready(check=broken), pid=None)
    with pytest.raises(NotReady, match="says no"):
        probe(Ready(check=lambda: False), pid=None)


def test_a_process_that_is_gone_listens_on_nothing() -> None:
    assert listening_ports(2**22 + 1) == frozenset()


def test_no_ports_are_asked_for_when_no_readiness_is_given() -> None:
    assert list(ports_of(None)) == []
    assert list(ports_of(Ready(http="http://127.0.0.1/health"))) == []
