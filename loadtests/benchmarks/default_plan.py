"""How often does the default plan promote a healthy candidate?  Real Envoy, real Bentos, live traffic.

Needs a project in which ``slipway ship churn`` has promoted a version over another one:

    .venv/bin/python loadtests/benchmarks/default_plan.py --runs 20

Each run takes the service back to its previous release and rolls the promoted one out again. The plan's soak time
differs by microseconds from run to run, which makes each rollout a new one: attempts of one and the same rollout would
go on with the evidence of those before them.
"""

import argparse
import json
import os
import statistics
import sys
import time
from pathlib import Path

from record import keep

from slipway.bentos import releases
from slipway.bentos.release import Release
from slipway.loadtests.traffic import Traffic
from slipway.project import Project
from slipway.rollouts.client import Controller
from slipway.rollouts.plan import RolloutPlan

ACTOR = "benchmark"
GATE = "load_test"


def one(controller: Controller, candidate: Release, plan: RolloutPlan, ids: Path, out: Path, rps: int) -> dict:
    """Roll the candidate out under traffic and return how it went."""
    status = controller.start(candidate.service, candidate, plan, waits_for=(GATE,), actor=ACTOR)
    while not status["ready"]:
        time.sleep(0.2)
        status = controller.rollout(status["id"])
    controller.pass_gate(status["id"], gate=GATE, actor=ACTOR)
    with Traffic(f"{status['edge_url']}/v1/predict", ids, out=out, rps=rps, seed=time.time_ns() % 2**31) as traffic:
        status = controller.wait(status["id"], timeout_s=300)
        sent = traffic.stop()
    return {
        "outcome": status["outcome"],
        "decided_by": status["decided_by"],
        "seconds": status["seconds"],
        "requests": sent.requests,
        "candidate_requests": status["counts"]["candidate_requests"],
        "failed_seen_by_users": sent.failed,
        "failed_by_access_log": status["counts"]["failed_requests_seen_by_users"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--rps", type=int, default=100)
    parser.add_argument("--service", default="churn")
    asked = parser.parse_args()
    project = Project.find()
    controller = Controller.of(project)
    known = releases.load(project, asked.service)
    if known.stable is None or known.previous is None:
        sys.exit(f"{asked.service} needs a stable and a previous release; run 'slipway ship {asked.service}' first")
    ids = max((project.home / "cache" / "train").glob("*/holdout_ids.txt"), key=os.path.getmtime)
    default = RolloutPlan.load(project, asked.service)
    runs = []
    for number in range(asked.runs):
        controller.wait(controller.rollback(asked.service, actor=ACTOR)["id"], timeout_s=120)
        plan = default.model_copy(update={"soak_s": default.soak_s + (time.time_ns() // 1000 % 1_000_000) / 1e9})
        runs.append(one(controller, known.stable, plan, ids, project.home / "benchmark.json", asked.rps))
        sys.stderr.write(f"{number + 1}/{asked.runs}: {json.dumps(runs[-1])}\n")
    keep(
        "default_plan",
        what="default plan of bentos/churn/bento.toml, healthy candidate, live traffic",
        command=f"loadtests/benchmarks/default_plan.py --runs {asked.runs} --rps {asked.rps}",
        figures={
            "promoted": sum(run["outcome"] == "promoted" for run in runs),
            "runs": len(runs),
            "median_seconds": statistics.median(run["seconds"] for run in runs),
            "requests": sum(run["requests"] for run in runs),
            "failed_seen_by_users": sum(run["failed_seen_by_users"] for run in runs),
            "failed_by_access_log": sum(run["failed_by_access_log"] for run in runs),
            "each": runs,
        },
    )


if __name__ == "__main__":
    main()
