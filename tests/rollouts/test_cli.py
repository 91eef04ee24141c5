"""``slipway rollouts``: what people read, what tools read."""

import getpass
import json

import pytest
from served import TOKEN, Served
from typer.testing import CliRunner
from world import QUICK, release

from slipway.rollouts import people_cli
from slipway.rollouts.cli import app


@pytest.fixture
def run(served: Served, monkeypatch):
    home = served.project.home
    (home / "secrets").mkdir(parents=True)
    (home / "secrets" / "controller-token").write_text(TOKEN)
    (served.project.root / "pyproject.toml").write_text("[tool.slipway]\n")
    monkeypatch.setenv("SLIPWAY_PROJECT", str(served.project.root))
    monkeypatch.setenv("SLIPWAY_HOME", str(home))
    monkeypatch.setenv("SLIPWAY_CONTROLLER_URL", served.url)
    served.client.install("churn", release(1), actor="test")

    def call(*arguments: str):
        result = CliRunner().invoke(app, arguments, catch_exceptions=False)
        assert result.exit_code == 0
        return result

    return call


def test_status_tells_services_and_their_rollouts(served: Served, run):
    assert "churn: churn v1 is stable at http://edge/churn; no rollout" in run("status").stderr
    rollout = served.client.start("churn", release(2), QUICK, waits_for=["load_test"], actor="test")["id"]
    while "waiting for gate load_test" not in (words := run("status", "churn").stderr):
        pass
    assert f"{rollout}: PREPARING at 0 %" in words
    (service,) = json.loads(run("status", "--json").stdout)
    assert (service["stable"]["model_version"], service["rollout"]) == (1, rollout)
    (one,) = json.loads(run("status", rollout, "--json").stdout)
    assert one["id"] == rollout


def test_abort_ends_a_rollout_and_events_tell_why(served: Served, run):
    rollout = served.client.start("churn", release(2), QUICK, waits_for=["load_test"], actor="test")["id"]
    run("abort", rollout, "--reason", "wrong model")
    served.client.wait(rollout, timeout_s=10)
    told = " ".join(run("events", rollout).stderr.split())
    assert "wrong model" in told
    assert "ROLLED_BACK" in told
    events = json.loads(run("events", rollout, "--json").stdout)
    assert [events[0]["kind"], events[-1]["state"]["phase"]] == ["started", "ROLLED_BACK"]
    assert "wrong model" in run("status", rollout).stderr


def test_people_hold_resume_and_freeze(served: Served, run):
    rollout = served.client.start("churn", release(2), QUICK, waits_for=["load_test"], actor="test")["id"]
    assert "HOLD(" in run("hold", rollout, "--reason", "support asks").stderr
    assert "HOLD(" not in run("resume", rollout).stderr
    events = served.client.events(rollout)[1:]
    people = [event["actor"] for event in events if any("put on hold" in reason for reason in event["reasons"])]
    assert people == [getpass.getuser()]
    freezes = CliRunner().invoke(people_cli.app, ["freeze", "churn", "--reason", "friday"]).stderr
    assert "churn: frozen by" in freezes
    assert "nothing is frozen" in CliRunner().invoke(people_cli.app, ["unfreeze", "churn"]).stderr


def test_plan_foretells_before_anything_starts(served: Served, run):
    folder = served.project.root / "bentos" / "churn"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "bento.toml").write_text("[rollout]\nshadow_s = 5\n")
    words = run("plan", "churn").stderr
    assert "1,240 candidate requests" in words
    seen = json.loads(run("plan", "churn", "--rps", "1", "--json").stdout)
    assert (seen["promotion"], len(seen["missing"])) == (None, 2)


@pytest.mark.parametrize(("order", "code"), [("abort", 3), ("refuse", 3)])
def test_wait_says_by_its_exit_code_how_it_ended(served: Served, run, order, code):
    rollout = served.client.start("churn", release(2), QUICK, waits_for=["load_test"], actor="test")["id"]
    if order == "abort":
        served.client.abort(rollout, reason="no", actor="test")
    else:
        served.client.refuse(rollout, gate="load_test", reason="slow", actor="test")
    assert CliRunner().invoke(app, ["wait", rollout, "--timeout", "30"]).exit_code == code


def test_watch_shows_the_guardrails_until_the_end(served: Served, run):
    rollout = served.client.start("churn", release(2), QUICK, waits_for=["load_test"], actor="test")["id"]
    served.client.abort(rollout, reason="seen enough", actor="test")
    shown = run("watch", rollout).stderr
    assert "seen enough" in shown
