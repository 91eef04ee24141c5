"""Steps on traffic: the stack, the candidate's start, its load test, its rollout, its promotion, the report."""

import json
import time
from pathlib import Path
from typing import Any

import msgspec

from slipway.bentos import releases
from slipway.errors import GateRefused, NotEnoughEvidence
from slipway.loadtests import run as load_run
from slipway.loadtests import slo_gate
from slipway.loadtests.profile import LoadProfile
from slipway.loadtests.traffic import Traffic, TrafficResult
from slipway.models.search import HOLDOUT_IDS
from slipway.monitoring.slo import Slo
from slipway.pipeline import report, shipments, stack
from slipway.pipeline.context import Ship
from slipway.pipeline.errors import StepFailed
from slipway.pipeline.model_steps import candidate_of
from slipway.pipeline.run import Outcome
from slipway.project import load_toml
from slipway.rollouts.client import Controller
from slipway.rollouts.plan import RolloutPlan

LOAD_GATE = "load_test"
VISITORS = 50_000
POLL_S = 0.5
# The plan's own clocks end a rollout long before; this ends the wait for a controller that lost its mind.
LONGEST_WAIT_S = 1800.0
TRAFFIC_FILE = "traffic.json"
STATUS_FILE = "status.json"
EVENTS_FILE = "events.json"


def run_stack(ship: Ship, _folder: Path) -> None:
    """Start what of the local stack isn't running."""
    stack.up(ship.project, ship.progress)
    running = [row for row in stack.status(ship.project) if row["state"] in {"running", "external"}]
    ship.say(f"{len(running)} servers run: {', '.join(row['name'] for row in running)}")


def run_start(ship: Ship, _folder: Path) -> None:
    """Open the rollout: the candidate starts beside stable, answers its golden rows, and waits for its load test."""
    status = _attach(ship)
    while status["finished_at"] is None and not (status["ready"] and status["state"] not in _NOT_OPEN):
        ship.progress(status["reason"] or status["state"])
        time.sleep(POLL_S)
        status = _controller(ship).rollout(ship.rollout_id)
    _refuse_ended(ship, status)
    ship.say(f"rollout {ship.rollout_id}: {status['reason']}")


def run_loadtest(ship: Ship, folder: Path) -> None:
    """Load-test the candidate itself, beside the edge; the rollout goes on only when it keeps its objectives."""
    status = _attach(ship)
    if status["state"] not in {"PENDING", "PREPARING"}:
        ship.say("the load test was passed before this rollout went on")
        return
    path = ship.project.bentos_dir / ship.service / "bento.toml"
    tables = load_toml(path)
    profile = LoadProfile.load(ship.project, ship.service)
    slo = Slo.parse(tables.get("slo", {}), where=ship.project.relative(path))
    ship.progress(f"{profile.rps:g} requests a second for {profile.duration_s:g} s against {status['candidate_url']}")
    seen = load_run.run(
        ship.service, status["candidate_url"], profile, _holdout_ids(ship), folder, project=ship.project
    )
    results = slo_gate.check(seen, slo)
    for result in results:
        ship.say(result.words)
    if not slo_gate.passed(results):
        words = "; ".join(result.words for result in results if result.verdict is not slo_gate.Verdict.PASS)
        _controller(ship).refuse(ship.rollout_id, gate=LOAD_GATE, reason=words, actor=ship.options.actor)
        raise GateRefused(f"the load test refused {candidate_of(ship).name}: {words}")
    _controller(ship).pass_gate(ship.rollout_id, gate=LOAD_GATE, actor=ship.options.actor)


def run_rollout(ship: Ship, folder: Path) -> None:
    """Send live traffic through the edge until the rollout has decided and all traffic is on one release."""
    controller = _controller(ship)
    status = _attach(ship)
    url = f"{status['edge_url']}/v1/predict"
    traffic = Traffic(
        url, _holdout_ids(ship), out=folder / TRAFFIC_FILE, units=VISITORS, rps=ship.options.rps, max_s=LONGEST_WAIT_S
    )
    said = status["state"]
    give_up = time.monotonic() + LONGEST_WAIT_S
    with traffic:
        while status["finished_at"] is None:
            if time.monotonic() > give_up or not traffic.running:
                what = "the traffic generator died" if not traffic.running else f"no decision in {LONGEST_WAIT_S:g} s"
                raise StepFailed(f"rollout {ship.rollout_id}: {what}; it is aborted, all traffic stays on stable")
            time.sleep(POLL_S)
            status = controller.rollout(ship.rollout_id)
            if status["state"] != said:
                said = status["state"]
                ship.say(f"{said}: {status['reason']}")
            ship.progress(_in_words(status, traffic))
        sent = traffic.stop()
    _keep(ship, folder, status, sent)
    outcome = _OUTCOMES.get(status["state"].partition("[")[0])
    if outcome is None:
        raise StepFailed(f"rollout {ship.rollout_id} ended as {status['state']}: {status['reason']}")
    if outcome is not Outcome.PROMOTED:
        ship.finish(outcome, f"{_why(status)}; all traffic is on the stable release")


def run_promote(ship: Ship, folder: Path) -> None:
    """See that edge, release file and registry agree on the new stable release, and remember what it was made from."""
    candidate = candidate_of(ship)
    service = _controller(ship).service(ship.service)
    stable = releases.load(ship.project, ship.service).stable
    if service["stable"]["digest"] != candidate.digest or stable is None or stable.digest != candidate.digest:
        raise StepFailed(
            f"{candidate.name} was promoted, but the edge serves {service['stable']['digest']} and the release file "
            f"names {stable.digest if stable else 'nothing'}; run 'slipway rollouts status {ship.service}'"
        )
    shipments.remember(ship, candidate)
    (folder / "stable.json").write_text(json.dumps(candidate.to_json(), indent=1), encoding="utf-8")
    ship.say(f"{candidate.name} is stable: it has all traffic, the release file and the alias champion name it")
    ship.finish(Outcome.PROMOTED, f"{candidate.name} has all traffic")


def run_report(ship: Ship, _folder: Path) -> None:
    """Write the page that tells this run to people."""
    ship.run.report = str(report.write(ship.project, ship.run))


def abandon(ship: Ship, reason: str) -> None:
    """End the rollout that this run opened; all traffic returns to stable."""
    status = _controller(ship).abort(ship.rollout_id, reason=reason, actor=ship.options.actor)
    ship.display.say(f"rollout {ship.rollout_id} {status['state']}: all traffic is on the stable release")


_NOT_OPEN = frozenset({"PENDING", "ROLLING_BACK"})
_OUTCOMES = {
    "PROMOTED": Outcome.PROMOTED,
    "ROLLED_BACK": Outcome.ROLLED_BACK,
    "HELD": Outcome.HELD,
    "REJECTED": Outcome.REJECTED,
}


def _attach(ship: Ship) -> dict[str, Any]:
    """Start this candidate's rollout, or find the one that an earlier run has started."""
    if ship.rollout_id:
        return _controller(ship).rollout(ship.rollout_id)
    plan = RolloutPlan.load(ship.project, ship.service)
    status = _controller(ship).start(
        ship.service, candidate_of(ship), plan, waits_for=(LOAD_GATE,), actor=ship.options.actor
    )
    ship.rollout_id = status["id"]
    return status


def _refuse_ended(ship: Ship, status: dict[str, Any]) -> None:
    if status["finished_at"] is None:
        return
    ship.rollout_id = ""
    words = f"{candidate_of(ship).name} got no traffic: {_why(status)}"
    if status["state"] == "REJECTED":
        raise GateRefused(words)
    if status["state"] == "HELD":
        raise NotEnoughEvidence(words)
    raise StepFailed(words)


def _why(status: dict[str, Any]) -> str:
    """Return what decided and its words, once."""
    decided_by, reason = status["decided_by"], status["reason"]
    return reason if not decided_by or reason.startswith(decided_by) else f"{decided_by}: {reason}"


def _keep(ship: Ship, folder: Path, status: dict[str, Any], sent: TrafficResult) -> None:
    """Keep what happened for the report, and see that user side and access log agree on failures."""
    (folder / STATUS_FILE).write_text(json.dumps(status, indent=1), encoding="utf-8")
    (folder / EVENTS_FILE).write_text(json.dumps(_controller(ship).events(ship.rollout_id)), encoding="utf-8")
    (folder / TRAFFIC_FILE).write_bytes(msgspec.json.encode(sent))
    counts = status["counts"]
    ship.run.rollout = {
        "id": ship.rollout_id,
        "requests": counts["requests"],
        "candidate_requests": counts["candidate_requests"],
        "failed_requests_seen_by_users": max(sent.failed, counts["failed_requests_seen_by_users"]),
        "seconds": status["seconds"],
        "decided_by": status["decided_by"],
    }
    ship.say(
        f"users sent {sent.requests:,} requests and saw {sent.failed} fail; the access log counts "
        f"{counts['requests']:,} of them in the rollout, {counts['candidate_requests']:,} of the candidate, "
        f"{counts['failed_requests_seen_by_users']} failed for users"
    )


def _in_words(status: dict[str, Any], traffic: Traffic) -> str:
    evidence = ", ".join(
        f"{one['guardrail']} {max(one['safe_log_e'], 0):.1f}/{one['line']:.1f}" for one in status["evidence"]
    )
    return (
        f"{status['state']} at {status['weight'] / 100:g} %, {traffic.progress.requests:,} requests, "
        f"{traffic.progress.failed} failed for users; proof of no harm: {evidence or 'none yet'}"
    )


def _controller(ship: Ship) -> Controller:
    return Controller.of(ship.project)


def _holdout_ids(ship: Ship) -> Path:
    return ship.outputs["train"] / HOLDOUT_IDS
