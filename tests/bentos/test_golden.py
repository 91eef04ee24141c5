import json
import math
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from slipway.bentos import golden
from slipway.bentos.errors import GoldenUnreachable
from slipway.models import bundle
from slipway.models.bundle import GoldenRow, Manifest

ROWS = (GoldenRow(features={"x": 1}, score=0.25), GoldenRow(features={"x": 2}, score=0.75))


@pytest.fixture
def manifest(packaged: Callable[..., Path]) -> Manifest:
    return bundle.load(packaged(golden=ROWS)).manifest


def answer(*scores: float | None, model: str = "accounts", version: int = 7) -> bytes:
    return json.dumps(
        {"model": model, "model_version": version, "predictions": [{"score": score} for score in scores]}
    ).encode()


def test_golden_rows_pass_when_scores_differ_within_what_is_allowed() -> None:
    result = golden.compare(ROWS, [0.25 + 9e-6, 0.75])
    assert result.passed
    assert result.max_difference == pytest.approx(9e-6)
    assert "all 2 golden rows score as at registration" in result.words


@pytest.mark.parametrize(
    ("scores", "worst"), [((0.25, 0.75 + 2e-5), 1), ((math.nan, 0.75), 0), ((0.9, 0.1), 0), ((math.inf, 0.75), 0)]
)
def test_golden_rows_fail_and_name_the_worst_when_a_score_differs(scores: tuple[float, float], worst: int) -> None:
    result = golden.compare(ROWS, scores)
    assert not result.passed
    assert result.worst_row == worst
    assert f"golden row {worst} scores" in result.words


@pytest.mark.parametrize(("rows", "scores"), [((), ()), (ROWS, ()), (ROWS, (0.25,))])
def test_golden_rows_fail_when_there_is_nothing_to_compare(
    rows: tuple[GoldenRow, ...], scores: tuple[float, ...]
) -> None:
    assert not golden.compare(rows, scores).passed


def test_an_answer_passes_when_it_is_of_this_version_with_these_scores(manifest: Manifest) -> None:
    assert golden.judge(manifest, 200, answer(0.25, 0.75)).passed


@pytest.mark.parametrize(
    ("status", "content", "words"),
    [
        (200, answer(0.25, 0.75, version=6), "accounts 6 answers, not accounts 7"),
        (200, answer(0.25, 0.75, model="other"), "other 7 answers, not accounts 7"),
        (200, answer(0.25), "1 scores for 2 golden rows"),
        (200, answer(0.25, None), "no predictions"),
        (200, b"<html>", "no predictions"),
        (200, b"[]", "no predictions"),
        (422, b'{"detail":"no such feature"}', "answered with 422: no such feature"),
        (502, b"bad gateway", "answered with 502 and no predictions"),
    ],
)
def test_an_answer_fails_with_a_reason_when_it_is_not_the_models(
    manifest: Manifest, status: int, content: bytes, words: str
) -> None:
    result = golden.judge(manifest, status, content)
    assert not result.passed
    assert words in result.words


@pytest.fixture
def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture
def late_service(free_port: int) -> Iterator[str]:
    """A service that answers the golden rows rightly, half a second after the test began."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            content = answer(0.25, 0.75)
            self.send_response(200)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    servers: list[ThreadingHTTPServer] = []

    def start() -> None:
        servers.append(ThreadingHTTPServer(("127.0.0.1", free_port), Handler))
        servers[0].serve_forever(poll_interval=0.05)

    timer = threading.Timer(0.5, start)
    timer.start()
    yield f"http://127.0.0.1:{free_port}"
    servers[0].shutdown()
    servers[0].server_close()
    timer.join()


def test_check_waits_when_the_service_is_not_up_yet(manifest: Manifest, late_service: str) -> None:
    assert golden.check(late_service, manifest, timeout_s=10).passed


def test_check_is_an_error_and_no_verdict_when_nothing_answers(manifest: Manifest, free_port: int) -> None:
    with pytest.raises(GoldenUnreachable, match=r"did not answer its golden rows within 0\.3 s"):
        golden.check(f"http://127.0.0.1:{free_port}", manifest, timeout_s=0.3)
