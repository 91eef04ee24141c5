"""The main job on the real file, as a user runs it: shipped, unchanged, sabotaged, refused, taken back."""

import contextlib
import ipaddress
import json
from pathlib import Path

import psutil
import psycopg
import pytest

from slipway.bentos import releases
from slipway.project import Project
from slipway.settings import PostgresSettings


@pytest.fixture(scope="session")
def promoted(checkout, telco_csv):
    return checkout.ship("--data", telco_csv)


@pytest.fixture
def stable(checkout, promoted):
    """The release that a user's request is answered by."""
    assert promoted.exit_code == 0, promoted.words
    return releases.load(Project(root=checkout.root, home=checkout.home, name="slipway"), "churn").stable


def test_model_is_promoted_when_all_is_well(promoted):
    assert promoted.exit_code == 0, promoted.words
    assert promoted.json["outcome"] == "promoted"
    assert promoted.json["metrics"]["accuracy"] >= 0.75
    assert promoted.json["rollout"]["failed_requests_seen_by_users"] == 0
    assert promoted.json["rollout"]["candidate_requests"] >= 1000
    names = [step["name"] for step in promoted.json["steps"]]
    assert names == [
        "ingest", "stack", "features", "materialize", "baseline", "train", "gate", "register",
        "package", "start", "loadtest", "rollout", "promote", "report",
    ]  # fmt: skip
    report = Path(promoted.json["report"]).read_text()
    assert "promoted" in report
    assert "<svg" in report


def test_data_are_repaired_with_a_note_when_total_charges_are_blank(promoted):
    assert "11" in next(line for line in promoted.words.splitlines() if "TotalCharges" in line)


def test_stack_runs_and_says_where_after_a_ship(checkout, promoted):
    servers = {server["name"]: server for server in json.loads(checkout.slipway("status", "--json").stdout)}
    assert {"postgres", "redis", "mlflow", "edge", "controller"} <= set(servers)
    assert {server["state"] for server in servers.values()} == {"running"}
    assert all(server["pid"] and server["url"] for server in servers.values())


def test_second_ship_says_unchanged_when_nothing_changed(checkout, promoted, telco_csv):
    again = checkout.ship("--data", telco_csv)
    assert (again.exit_code, again.json["outcome"]) == (0, "unchanged"), again.words


def test_rollout_is_decided_again_from_its_journal_until_an_event_is_edited_by_hand(checkout, promoted):
    rollout = promoted.json["rollout"]["id"]
    same = checkout.slipway("rollouts", "replay", rollout)
    assert same.returncode == 0, same.stderr
    project = Project(root=checkout.root, home=checkout.home, name="slipway")
    with psycopg.connect(PostgresSettings.load(project).url(), autocommit=True) as database:
        stream = f"rollout/churn/{rollout}"
        select = "select body::text from monitoring.journal where stream = %s and seq = 5"
        ((body,),) = database.execute(select, (stream,)).fetchall()
        # The table refuses changes; whoever owns it can still make it take them.
        database.execute("alter table monitoring.journal disable trigger journal_is_append_only")
        update = "update monitoring.journal set body = %s::json where stream = %s and seq = 5"
        database.execute(update, (body.replace("churn", "chunk"), stream))
        edited = checkout.slipway("rollouts", "replay", rollout)
        database.execute(update, (body, stream))
        database.execute("alter table monitoring.journal enable trigger journal_is_append_only")
    assert edited.returncode == 3
    assert "5" in edited.stderr
    assert checkout.slipway("rollouts", "replay", rollout).returncode == 0


def test_frozen_service_is_not_shipped_to_and_is_again_when_the_freeze_is_lifted(checkout, telco_csv, stable):
    checkout.slipway("freeze", "churn", "--reason", "black friday")
    refused = checkout.ship("--data", telco_csv, "--sabotage", "quality")
    checkout.slipway("unfreeze", "churn")
    assert refused.exit_code == 1, refused.words
    assert "black friday" in refused.words


@pytest.mark.parametrize("kind", ["errors"])
def test_broken_candidate_is_taken_back_when_it_fails_under_traffic(checkout, telco_csv, stable, kind):
    bad = checkout.ship("--data", telco_csv, "--sabotage", kind)
    assert (bad.exit_code, bad.json["outcome"]) == (3, "rolled_back"), bad.words
    assert bad.json["rollout"]["failed_requests_seen_by_users"] == 0
    assert bad.json["rollout"]["decided_by"]
    assert "<svg" in Path(bad.json["report"]).read_text()
    project = Project(root=checkout.root, home=checkout.home, name="slipway")
    assert releases.load(project, "churn").stable == stable


def test_wrong_candidate_is_stopped_before_any_user_when_its_golden_rows_differ(checkout, telco_csv, stable):
    bad = checkout.ship("--data", telco_csv, "--sabotage", "quality")
    assert (bad.exit_code, bad.json["outcome"]) == (3, "rejected"), bad.words
    assert "golden row" in bad.words
    assert bad.json["rollout"] is None or bad.json["rollout"]["candidate_requests"] == 0
    project = Project(root=checkout.root, home=checkout.home, name="slipway")
    assert releases.load(project, "churn").stable == stable


def test_promoted_version_is_taken_back_when_asked(checkout, stable):
    done = checkout.slipway("rollback", "churn", "--json")
    assert done.returncode == 0, done.stderr
    project = Project(root=checkout.root, home=checkout.home, name="slipway")
    assert releases.load(project, "churn").stable.model_version < stable.model_version


def connections(pid: int) -> list:
    """The connections of a process and its children; one that ended meanwhile has none."""
    found = []
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        for one in (process, *process.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                found += one.net_connections(kind="inet")
    return found


def test_nothing_leaves_the_loopback_when_shipping(checkout, promoted):
    seen = Path(checkout.env["SLIPWAY_NETWATCH"])
    assert not seen.exists(), seen.read_text()
    looked_at = []
    for server in json.loads(checkout.slipway("status", "--json").stdout):
        looked_at += connections(server["pid"])
        for connection in looked_at:
            for address in filter(None, (connection.laddr, connection.raddr)):
                ip = ipaddress.ip_address(address.ip.removeprefix("::ffff:"))
                assert ip.is_loopback, f"{server['name']}: {connection}"
    assert len(looked_at) >= 10
