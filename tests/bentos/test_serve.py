"""A built release as real processes: ``bentoml serve`` with its supervisor and one worker, on a real Redis."""

import http.client
import json
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from slipway.bentos import golden, serve
from slipway.bentos.build import build
from slipway.bentos.errors import ServiceUnreadable
from slipway.bentos.release import Release
from slipway.bentos.sabotage import Sabotage
from slipway.models import bundle
from slipway.project import Project

Built = tuple[Project, Release]
Start = Callable[[Project, Release], Any]
PHRASE = "not a secret"
BY_ID = {"rows": [{"entity_id": "a0"}]}


def test_a_prediction_by_id_reads_redis_when_asked(live: Any, rows: Any, score_of: Any) -> None:
    answer = httpx.post(f"{live.url}/v1/predict", json=BY_ID, headers={"x-request-id": "r-9"})
    assert answer.json() == {
        "model": "accounts",
        "model_version": 7,
        "request_id": "r-9",
        "predictions": [{"score": pytest.approx(score_of(rows[0]), abs=1e-6), "label": "Yes", "features": "ok"}],
    }


def test_golden_rows_pass_from_outside_when_the_model_is_right(live: Any, built: Built) -> None:
    manifest = bundle.load(built[0].root / "bundle").manifest
    assert golden.check(live.url, manifest, timeout_s=5).passed


def test_the_applications_own_pages_are_reached_through_bentoml_when_asked(live: Any) -> None:
    assert httpx.get(f"{live.url}/v1/golden").json()["passed"]
    assert httpx.get(f"{live.url}/livez").status_code == 200
    assert httpx.get(f"{live.url}/nothing").headers["content-type"] == "application/problem+json"
    text = httpx.get(f"{live.url}/metrics").text
    assert 'slipway_serving_requests_total{status="200"}' in text
    assert "bentoml" not in text


def test_one_worker_listens_on_loopback_only_when_served(live: Any) -> None:
    main = psutil.Process(live.process.pid)
    processes = [main, *main.children(recursive=True)]
    assert len([p for p in processes if any("worker" in part for part in p.cmdline())]) == 1
    listening = {c.laddr.ip for p in processes for c in p.net_connections() if c.status == psutil.CONN_LISTEN}
    assert listening == {"127.0.0.1"}


def test_the_fast_loop_and_parser_are_in_use_when_served(live: Any) -> None:
    """Without uvloop and httptools in the image the server falls back to code of half the speed, in silence."""
    folders = {Path(entry.path).parts[-2:-1] or ("",) for entry in live.worker.memory_maps()}
    assert {("uvloop",), ("parser",)} <= folders


def test_no_request_fails_and_readiness_ends_when_a_release_is_stopped_under_load(
    built: Built, serving: Start, rows: Any
) -> None:
    """Clients keep their connections, and go elsewhere when an answer says that this one closes."""
    body = json.dumps({"rows": [{"features": rows[0]}]})
    service = serving(*built)
    service.wait_for("/readyz")
    statuses: list[int] = []
    errors: list[str] = []
    told: list[bool] = []
    signalled = threading.Event()

    def client() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=5)
        try:
            while True:
                connection.request("POST", "/v1/predict", body)
                answer = connection.getresponse()
                answer.read()
                statuses.append(answer.status)
                if answer.getheader("connection") == "close":
                    told.append(signalled.is_set())
                    return
        except (OSError, http.client.HTTPException) as error:
            errors.append(repr(error))
        finally:
            connection.close()

    clients = [threading.Thread(target=client) for _ in range(8)]
    for thread in clients:
        thread.start()
    time.sleep(1)
    signalled.set()
    service.process.send_signal(signal.SIGTERM)
    for thread in clients:
        thread.join(10)
    assert httpx.get(f"{service.url}/readyz").status_code == 503
    assert service.process.wait(10) == 0
    assert errors == []
    assert told == [True] * 8
    assert set(statuses) == {200}
    assert len(statuses) > 100


def test_the_whole_program_ends_when_its_worker_dies(built: Built, serving: Start) -> None:
    """A process manager that counts deaths must see them; BentoML's own supervisor would hide them."""
    service = serving(*built)
    service.wait_for("/readyz")
    os.kill(service.worker.pid, signal.SIGKILL)
    service.process.wait(3)


def test_a_sabotaged_release_passes_golden_rows_and_dies_when_edge_traffic_comes(
    built: Built, serving: Start, rows: Any
) -> None:
    project, _ = built
    release = build("accounts", project.root / "bundle", project=project, sabotage=Sabotage.CRASH)
    service = serving(project, release)
    service.wait_for("/readyz")
    body = {"rows": [{"features": rows[0]}]}
    with httpx.Client(base_url=service.url) as client:
        assert {client.post("/v1/predict", json=body).status_code for _ in range(40)} == {200}
        edge = {"x-slipway-edge": "1"}
        assert {client.post("/v1/predict", json=body, headers=edge).status_code for _ in range(20)} == {200}
        with pytest.raises(httpx.TransportError):
            client.post("/v1/predict", json=body, headers=edge)
    service.process.wait(3)


def test_a_wrong_release_is_named_at_once_when_its_golden_rows_are_asked(built: Built, serving: Start) -> None:
    project, _ = built
    release = build("accounts", project.root / "bundle", project=project, sabotage=Sabotage.QUALITY)
    service = serving(project, release)
    result = golden.check(service.url, bundle.load(project.root / "bundle").manifest, timeout_s=30)
    assert not result.passed
    assert "golden row" in result.words
    assert httpx.get(f"{service.url}/readyz").status_code == 503


def test_a_release_is_refused_when_its_bento_is_gone(own_project: Project, built: Built) -> None:
    with pytest.raises(ServiceUnreadable, match="is not a built Bento"):
        serve.program(built[1], slot="stable", port=1, project=own_project)


def test_no_secret_is_on_the_command_line_and_each_slot_has_its_own_home(built: Built) -> None:
    project, release = built
    (project.home / "endpoints.env").write_text(f"REDIS_PASSWORD={PHRASE}\nREDIS_PORT=7777\n")
    stable, candidate = (serve.program(release, slot=slot, port=1, project=project) for slot in ("stable", "candidate"))
    (project.home / "endpoints.env").unlink()
    assert stable.env["REDIS_PASSWORD"] == PHRASE
    assert stable.env["REDIS_PORT"] == "7777"
    assert not any(PHRASE in part for part in stable.command)
    assert stable.env["BENTOML_HOME"] != candidate.env["BENTOML_HOME"]
    assert (stable.name, candidate.name) == ("accounts-stable", "accounts-candidate")
