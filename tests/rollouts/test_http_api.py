"""The controller's interface and its client, over real HTTP, on a runner in a world of its own."""

import threading
import time
from pathlib import Path

import httpx
import pytest
from served import TOKEN, Served
from world import QUICK, release

from slipway.monitoring.journal import JournalUnavailable
from slipway.project import Project
from slipway.rollouts.client import Controller
from slipway.rollouts.controller import Loop
from slipway.rollouts.errors import (
    ControllerRefused,
    ControllerUnreachable,
    InvalidPlan,
    NothingToRollOut,
    RolloutNotFound,
    RolloutsError,
)
from slipway.rollouts.local_slots import free_port
from slipway.rollouts.plan import RolloutPlan
from slipway.rollouts.replay import first_difference


def test_client_takes_a_service_from_nothing_to_a_promoted_version_and_back(served: Served):
    client = served.client
    installed = client.install("churn", release(1), actor="me")
    assert (installed["outcome"], installed["kind"]) == ("promoted", "install")
    assert client.install("churn", release(1), actor="me") == {"outcome": "unchanged"}
    status = client.start("churn", release(2), QUICK, waits_for=["load_test"], actor="me")
    assert (status["outcome"], status["waits_for"]) == (None, ["load_test"])
    while not status["ready"]:
        status = client.rollout(status["id"])
    assert status["state"] == "PREPARING"
    assert status["candidate_url"].startswith("http://127.0.0.1:2")
    assert status["edge_url"] == "http://edge/churn"
    assert client.start("churn", release(2), QUICK, waits_for=["load_test"], actor="x")["id"] == status["id"]
    client.pass_gate(status["id"], gate="load_test", actor="ci")
    ended = client.wait(status["id"], timeout_s=20)
    assert (ended["state"], ended["decided_by"], ended["weight"]) == ("PROMOTED", "evidence", 0)
    assert ended["counts"]["requests"] > ended["counts"]["candidate_requests"] > 0
    assert ended["counts"]["failed_requests_seen_by_users"] == 0
    assert [one["guardrail"] for one in ended["evidence"]] == ["errors", "p95"]
    assert all(one["safe_log_e"] >= one["line"] for one in ended["evidence"])
    assert ended["seconds"] > 0
    events = client.events(status["id"])
    assert [events[0]["kind"], events[-1]["state"]["phase"]] == ["started", "PROMOTED"]
    assert next(event["actor"] for event in events if "gate load_test passed (ci)" in event.get("reasons", ())) == "ci"
    service = client.service("churn")
    assert (service["stable"]["model_version"], service["previous"]["model_version"]) == (2, 1)
    back = client.wait(client.rollback("churn", actor="on call")["id"], timeout_s=20)
    assert (back["kind"], back["outcome"]) == ("rollback", "promoted")
    assert client.services()[0]["stable"]["model_version"] == 1
    assert first_difference(served.world.runner.events(status["id"])) is None


def test_services_routing_comes_from_its_bento_toml(served: Served):
    served.client.install("churn", release(1), actor="me")
    assert served.world.edge.routes["churn"].per_try_timeout_ms == 250


def test_refused_gate_and_abort_end_a_rollout(served: Served):
    client = served.client
    client.install("churn", release(1), actor="me")
    first = client.start("churn", release(2), QUICK, waits_for=["load_test"], actor="me")
    client.refuse(first["id"], gate="load_test", reason="p99 was 900 ms", actor="ci")
    ended = client.wait(first["id"], timeout_s=10)
    assert (ended["outcome"], ended["decided_by"], ended["reason"]) == ("rejected", "load_test", "p99 was 900 ms")
    second = client.start("churn", release(2), QUICK, waits_for=["load_test"], actor="me")
    assert second["attempt"] == 2
    client.abort(second["id"], reason="enough", actor="me")
    ended = client.wait(second["id"], timeout_s=10)
    assert (ended["outcome"], ended["reason"]) == ("rolled_back", "aborted by me: enough")
    assert client.abort(second["id"], reason="again", actor="me")["reason"] == "aborted by me: enough"


@pytest.mark.parametrize(
    ("ask", "error", "words"),
    [
        (lambda client: client.service("fraud"), RolloutNotFound, "no service 'fraud'"),
        (lambda client: client.rollout("x-1"), RolloutNotFound, "no rollout 'x-1'"),
        (lambda client: client.start("churn", release(1), QUICK, actor="x"), NothingToRollOut, "already"),
        (lambda client: client.rollback("churn", actor="x"), NothingToRollOut, "no previous release"),
        (lambda client: client._one("POST", "/rollouts", {"service": "churn"}), RolloutsError, "`candidate`"),
        (lambda client: client._one("GET", "/nowhere"), RolloutsError, "404"),
        (
            lambda client: client._one(
                "POST",
                "/rollouts",
                {"service": "churn", "candidate": release(2).to_json(), "actor": "x", "plan": {"alpha": 9}},
            ),
            InvalidPlan,
            "alpha = 9",
        ),
        (
            lambda client: client._one("POST", "/services/churn/install", {"release": {}, "actor": "x"}),
            RolloutsError,
            "not a release",
        ),
    ],
)
def test_what_is_wrong_comes_back_as_the_same_error(served: Served, ask, error, words):
    served.client.install("churn", release(1), actor="me")
    with pytest.raises(error, match=words):
        ask(served.client)


def test_journal_that_is_away_comes_back_as_unavailable(served: Served):
    served.client.install("churn", release(1), actor="me")
    served.world.journal.available = False
    with pytest.raises(JournalUnavailable):
        served.client.start("churn", release(2), QUICK, actor="x")


def test_weight_shown_is_the_one_in_force_when_the_journal_is_away(served: Served):
    client = served.client
    client.install("churn", release(1), actor="me")
    status = client.start("churn", release(2), RolloutPlan(), actor="me")
    while client.rollout(status["id"])["weight"] == 0:
        time.sleep(0.01)
    served.world.journal.available = False
    while (now := client.rollout(status["id"]))["weight"] != 0:
        time.sleep(0.01)
    assert not now["journalled"]
    assert now["state"].startswith("CANARY")
    served.world.journal.available = True


def test_only_health_is_told_without_the_token(served: Served):
    stranger = Controller(served.url, "wrong", project=served.project)
    with pytest.raises(ControllerRefused, match="controller-token"):
        stranger.services()
    assert httpx.get(f"{served.url}/healthz").json() == {"status": "ok"}
    served.healthy = False
    assert httpx.get(f"{served.url}/healthz").status_code == 503


def test_client_says_what_to_do_when_nobody_answers(served: Served, monkeypatch):
    monkeypatch.setattr("slipway.rollouts.client.RETRY_S", 0.1)
    lonely = Controller(f"http://127.0.0.1:{free_port()}", TOKEN, project=served.project)
    with pytest.raises(ControllerUnreachable, match="start it with 'slipway up'"):
        lonely.services()


def test_client_gives_up_waiting_when_a_rollout_takes_too_long(served: Served):
    served.client.install("churn", release(1), actor="me")
    status = served.client.start("churn", release(2), QUICK, waits_for=["load_test"], actor="me")
    with pytest.raises(
        ControllerUnreachable, match=r"has not ended within 0.3 s: PREPARING, waiting for gate load_test"
    ):
        served.client.wait(status["id"], timeout_s=0.3)


def test_client_of_a_project_finds_the_secret_and_the_default_routing(tmp_path: Path):
    root = tmp_path / "p"
    (root / "bentos" / "plain").mkdir(parents=True)
    (root / "bentos" / "plain" / "bento.toml").write_text("")
    project = Project(root=root, home=root / ".slipway", name="test")
    client = Controller.of(project)
    assert client._routing("plain") == {}
    secret = (project.home / "secrets" / "controller-token").read_text()
    assert client._headers["authorization"] == f"Bearer {secret}"


class Failing:
    """A runner whose looks fail a few times."""

    def __init__(self, *failures: Exception) -> None:
        self.failures, self.looks = list(failures), 0

    def look(self) -> None:
        self.looks += 1
        if self.failures:
            raise self.failures.pop(0)

    def when_idle(self, work) -> None:
        work()


def test_loop_goes_on_after_a_failed_look_and_ends_when_another_controller_took_over(monkeypatch, caplog):
    from slipway.monitoring.journal import JournalConflict  # noqa: PLC0415  needed here alone

    monkeypatch.setattr("slipway.rollouts.controller.LOOK_EVERY_S", 0.01)
    runner = Failing(ValueError("odd"), RuntimeError("odder"))
    idle = []
    loop = Loop(runner, after=lambda: idle.append(1))
    thread = threading.Thread(target=loop.run)
    thread.start()
    while runner.looks < 5:
        time.sleep(0.01)
    assert loop.is_healthy
    assert loop.failures == 2
    assert idle
    runner.failures.append(JournalConflict("theirs"))
    thread.join(5)
    assert loop.was_replaced
    assert "controller.replaced" in caplog.text
