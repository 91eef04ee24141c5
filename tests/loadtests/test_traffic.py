import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from slipway.loadtests.errors import LoadProfileUnreadable, TrafficFailed
from slipway.loadtests.traffic import Traffic


def wait_until(condition: Callable[[], bool], *, timeout_s: float = 10) -> None:
    give_up = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.02)


def seen(url: str) -> dict[str, object]:
    content: dict[str, object] = httpx.get(f"{url}/seen").json()
    return content


def test_every_request_is_counted_once_when_traffic_stops(
    service: Callable[[str], str], ids: Path, tmp_path: Path
) -> None:
    url = service("good")
    traffic = Traffic(f"{url}/v1/predict", ids, out=tmp_path / "out" / "traffic.json", rps=100)
    traffic.start()
    assert traffic.running
    wait_until(lambda: traffic.progress.requests >= 150)
    result = traffic.stop()
    assert not traffic.running
    there = seen(url)
    assert result.requests == there["requests"] == result.by_status["200"]
    assert (result.failed, result.failures, result.not_sent) == (0, (), 0)
    assert there["units"] == pytest.approx(result.requests, rel=0.02)
    assert there["ids"] == sorted(ids.read_text().split())
    assert there["connections"] <= 10  # type: ignore[operator]  kept and used again
    assert result.p50_ms is not None
    assert result.p99_ms is not None
    assert 0 < result.p50_ms <= result.p99_ms
    assert json.loads((tmp_path / "out" / "traffic.json").read_text())["requests"] == result.requests


def test_requests_start_when_they_are_due_when_answers_are_slow(
    service: Callable[[str], str], ids: Path, tmp_path: Path
) -> None:
    """A closed loop of a few users would send three a second each; an open one keeps its rate and waits at the end."""
    url = service("slow")
    with Traffic(f"{url}/v1/predict", ids, out=tmp_path / "t.json", rps=200, max_s=2) as traffic:
        wait_until(lambda: traffic.progress.in_flight > 30)
        wait_until(lambda: not traffic.running)
        result = traffic.stop()
    assert result.requests == seen(url)["requests"] == pytest.approx(400, abs=15)
    assert result.failed == 0
    assert result.p50_ms == pytest.approx(300, abs=150)


def test_failures_are_counted_and_named_when_the_service_errs(
    service: Callable[[str], str], ids: Path, tmp_path: Path
) -> None:
    url = service("errors")
    with Traffic(f"{url}/v1/predict", ids, out=tmp_path / "t.json", rps=100) as traffic:
        wait_until(lambda: traffic.progress.failed >= 5)
        result = traffic.stop()
    assert result.failed == result.by_status["500"] == result.requests // 10
    assert result.failures[0].status == "500"
    assert len(result.failures[0].request_id) == 32


def test_requests_without_an_answer_are_failures_when_the_service_dies(
    service: Callable[[str], str], ids: Path, tmp_path: Path
) -> None:
    with Traffic(f"{service('dies')}/v1/predict", ids, out=tmp_path / "t.json", rps=100) as traffic:
        wait_until(lambda: traffic.progress.failed >= 20)
        result = traffic.stop()
    assert result.by_status["200"] == 50
    assert result.by_status["refused"] >= 15
    assert result.failed == result.requests - 50 == sum(n for status, n in result.by_status.items() if status != "200")


def test_the_same_is_sent_when_the_seed_is_the_same(service: Callable[[str], str], ids: Path, tmp_path: Path) -> None:
    url = service("errors")
    failed = []
    for _ in range(2):
        with Traffic(f"{url}/v1/predict", ids, out=tmp_path / "t.json", rps=100, seed=11) as traffic:
            wait_until(lambda: traffic.progress.failed >= 1)
            failed.append(traffic.stop().failures[0].request_id)
    first = seen(url)
    assert failed[0] != "" != failed[1]
    assert first["units"] < first["requests"]  # type: ignore[operator]  the second run drew the same visitors


def test_traffic_ends_when_its_parent_dies(service: Callable[[str], str], ids: Path, tmp_path: Path) -> None:
    url = service("good")
    script = f"""
import time
from pathlib import Path
from slipway.loadtests.traffic import Traffic
Traffic({url + "/v1/predict"!r}, Path({str(ids)!r}), out=Path({str(tmp_path / "t.json")!r})).start()
print("started", flush=True)
time.sleep(60)
"""
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    assert parent.stdout.readline() == b"started\n"
    wait_until(lambda: seen(url)["requests"] > 50)  # type: ignore[operator]
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    wait_until((tmp_path / "t.json").is_file)
    assert json.loads((tmp_path / "t.json").read_text())["requests"] == seen(url)["requests"]


def test_ctrl_c_at_the_command_leaves_the_traffic_alone(
    service: Callable[[str], str], ids: Path, tmp_path: Path
) -> None:
    """A terminal sends SIGINT to the whole group of the command; the command decides when traffic ends."""
    with Traffic(f"{service('good')}/v1/predict", ids, out=tmp_path / "t.json") as traffic:
        assert traffic._process is not None
        assert os.getpgid(traffic._process.pid) != os.getpgid(0)


def test_the_generators_death_is_an_error_and_no_count_when_traffic_stops(
    service: Callable[[str], str], ids: Path, tmp_path: Path
) -> None:
    traffic = Traffic(f"{service('good')}/v1/predict", ids, out=tmp_path / "t.json").start()
    assert traffic._process is not None
    traffic._process.kill()
    with pytest.raises(TrafficFailed, match="ended with -9 and left no counts"):
        traffic.stop()


def test_a_generator_that_can_not_start_is_an_error_with_its_last_words(ids: Path, tmp_path: Path) -> None:
    traffic = Traffic("http://127.0.0.1:1/v1/predict", ids, out=tmp_path / "t.json")
    ids.unlink()
    with pytest.raises(TrafficFailed, match=r"(?s)did not start; its log .* ends with:.*can't be read"):
        traffic.start()


def test_traffic_is_refused_when_there_is_nobody_to_ask_for(tmp_path: Path) -> None:
    with pytest.raises(LoadProfileUnreadable):
        Traffic("http://127.0.0.1:1/", tmp_path / "none", out=tmp_path / "t.json")


def test_stopping_is_an_error_when_nothing_was_started(ids: Path, tmp_path: Path) -> None:
    with pytest.raises(TrafficFailed, match="was not started"):
        Traffic("http://127.0.0.1:1/", ids, out=tmp_path / "t.json").stop()
