"""``slipway rollouts``: what people read, what tools read."""

import json

import pytest
from served import TOKEN, Served
from typer.testing import CliRunner
from world import QUICK, release

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
