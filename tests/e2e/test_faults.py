"""Faults in the middle of a ship, and the sabotages that the acceptance tests leave out."""

import json
import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from slipway.bentos import releases
from slipway.pipeline import runs
from slipway.project import Project
from tests.acceptance.shipping import Checkout

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def shipped(checkout):
    first = checkout.ship()
    assert first.exit_code == 0, first.words
    return releases.load(Project(root=checkout.root, home=checkout.home, name="slipway"), "churn").stable


@pytest.mark.parametrize("kind", ["latency", "crash"])
def test_broken_candidate_is_taken_back_when_it_is(checkout, shipped, kind):
    bad = checkout.ship("--sabotage", kind)
    assert (bad.exit_code, bad.json["outcome"]) == (3, "rolled_back"), bad.words
    assert bad.json["rollout"]["failed_requests_seen_by_users"] == 0
    assert releases.load(Project(root=checkout.root, home=checkout.home, name="slipway"), "churn").stable == shipped


def test_users_see_nothing_when_postgres_is_killed_in_mid_rollout(checkout, shipped):
    assert checkout.slipway("rollback", "churn").returncode == 0
    running = checkout.start("ship", "churn", "--json")
    _wait_for_step(checkout, "rollout", running)
    time.sleep(12)
    _kill(checkout, "postgres")
    words, _ = running.communicate(timeout=300)
    ended = json.loads(words.strip().splitlines()[-1])
    assert ended["outcome"] in {"promoted", "held"}, words
    assert ended["rollout"]["failed_requests_seen_by_users"] == 0
    assert "Traceback" not in words


def test_traffic_returns_to_stable_when_ship_is_interrupted_in_mid_rollout(checkout, shipped):
    project = Project(root=checkout.root, home=checkout.home, name="slipway")
    before = releases.load(project, "churn").stable
    if before == shipped:
        assert checkout.slipway("rollback", "churn").returncode == 0
        before = releases.load(project, "churn").stable
    running = checkout.start("ship", "churn", "--force", "--from", "start")
    _wait_for_step(checkout, "rollout", running)
    time.sleep(12)
    running.send_signal(signal.SIGINT)
    words, _ = running.communicate(timeout=60)
    assert running.returncode == 130, words
    assert "interrupted" in words
    assert "Traceback" not in words
    status = checkout.slipway("rollouts", "status", "churn", "--json")
    # The service's row, and while it is on its way back the rollout's.
    assert {row["weight"] for row in json.loads(status.stdout)} == {0}
    assert releases.load(project, "churn").stable == before


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small tmpfs needs root")
def test_full_disk_is_told_in_one_message(checkout):
    with tempfile.TemporaryDirectory(prefix="slipway-full-") as folder:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", folder], check=True)
        small = Checkout(root=checkout.root, home=Path(folder) / "home")
        try:
            full = small.ship()
            assert full.exit_code == 1, full.words
            assert "Traceback" not in full.words
            assert "free" in full.words
            assert "space" in full.words
        finally:
            small.slipway("down")
            subprocess.run(["umount", "-l", folder], check=True)


def _wait_for_step(checkout, name, running):
    give_up = time.monotonic() + 200
    while time.monotonic() < give_up and running.poll() is None:
        newest = next(runs.newest_first(checkout.home), None)
        if newest and newest.steps and newest.outcome is None and newest.steps[-1].name == name:
            return
        time.sleep(0.1)
    pytest.fail(f"step {name} was not reached: {running.communicate()[0] if running.poll() is not None else 'waiting'}")


def _kill(checkout, name):
    servers = json.loads(checkout.slipway("status", "--json").stdout)
    os.kill(next(server["pid"] for server in servers if server["name"] == name), signal.SIGKILL)
