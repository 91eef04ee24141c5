"""``kill -9`` of ``slipway ship`` in each of its steps: the next run goes on, and nothing is half-done."""

import json
import signal
import time

import pytest

from slipway.bentos import releases
from slipway.models.registry import Registry
from slipway.pipeline import runs
from slipway.pipeline.ship import STEPS
from slipway.project import Project
from slipway.settings import MlflowSettings

pytestmark = pytest.mark.e2e


def _running_step(home):
    newest = next(runs.newest_first(home), None)
    return newest.steps[-1].name if newest and newest.steps and newest.outcome is None else None


def test_ship_goes_on_when_it_was_killed_in_each_step(checkout):
    model = checkout.root / "models" / "churn" / "model.toml"
    model.write_text(model.read_text().replace("budget_s = 25", "budget_s = 6"))
    project = Project(root=checkout.root, home=checkout.home, name="slipway")
    for step in STEPS:
        running = checkout.start("ship", "churn")
        give_up = time.monotonic() + 150
        while _running_step(checkout.home) != step.name and running.poll() is None:
            assert time.monotonic() < give_up, f"step {step.name} was not reached"
            time.sleep(0.02)
        assert running.poll() is None, f"ended before step {step.name}: {running.communicate()[0]}"
        running.send_signal(signal.SIGKILL)
        running.communicate()
    last = checkout.ship()
    assert last.exit_code == 0, last.words
    assert last.json["outcome"] in {"promoted", "unchanged"}, last.words
    stable = releases.load(project, "churn").stable
    registry = Registry(MlflowSettings.load(project).tracking_uri)
    assert registry.champion("churn") == stable.model_version
    assert {one.run_id for one in registry.versions("churn")}, "each version has its run"
    states = [run["state"] for run in json.loads(checkout.slipway("runs", "list", "--json").stdout)]
    # The shortest steps may be over before the signal arrives.
    assert states.count("interrupted") >= len(STEPS) - 3, states
    assert set(states) <= {"interrupted", "promoted", "unchanged"}, states
