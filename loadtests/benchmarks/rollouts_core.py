"""How fast are the observer and the decision?  One process, one core.

.venv/bin/python loadtests/benchmarks/rollouts_core.py
"""

import json
import time
from dataclasses import replace
from datetime import timedelta

import numpy as np
from record import keep

from slipway.rollouts.counts import Arm
from slipway.rollouts.guardrails import Thresholds
from slipway.rollouts.observation import Observation
from slipway.rollouts.observer import Tally, parse
from slipway.rollouts.plan import RolloutPlan
from slipway.rollouts.ports import SlotPhase, SlotStatus
from slipway.rollouts.regimes import Regime
from slipway.rollouts.routes import Unit, takes_candidate
from slipway.rollouts.simulator import begin
from slipway.rollouts.state import Phase
from slipway.rollouts.step import step

LINES, STEPS, WEIGHT, SALT = 200_000, 2_000, 2500, "benchmark"
EDGES = tuple(np.linspace(0, 1, 9)[1:-1].tolist())
LIMITS = Thresholds(of_stable=(9.0, 20.0), of_candidate=(14.0, 25.0), centre_log_ms=1.5, slo_ms=50.0)


def log() -> list[bytes]:
    rng = np.random.default_rng(1)
    lines = []
    for number, (user, ms, score) in enumerate(
        zip(rng.integers(0, 50_000, LINES), rng.lognormal(1.5, 0.5, LINES), rng.random(LINES), strict=True)
    ):
        unit = f"user-{user}"
        asked = takes_candidate(unit, salt=SALT, weight=WEIGHT)
        fields = {
            "at": f"{100 + number / 1000:.6f}",
            "us": round(ms * 1000),
            "service": "churn",
            "unit": unit,
            "id": f"id-{number}",
            "cluster": "candidate" if asked else "churn_stable",
            "host": "c:1" if asked else "s:1",
            "attempts": 2 if number % 500 == 0 else 1,
            "status": 200,
            "flags": "-",
            "score": f"{score:.6g}",
            "prediction": "ok",
        }
        lines.append(json.dumps(fields).encode())
    return lines


def main() -> None:
    lines = log()
    tally = Tally(
        service="churn",
        candidate_cluster="candidate",
        salt=SALT,
        unit=Unit.USER,
        hosts={Arm.STABLE: ("s:1",), Arm.CANDIDATE: ("c:1",)},
        score_edges=dict.fromkeys(Arm, EDGES),
    )
    regime = Regime(weight=WEIGHT, since_s=0.0, until_s=1e9, thresholds=LIMITS)
    started = time.process_time()
    read, broken = parse(lines)
    tally.fold(read, [regime])
    fold_s = time.process_time() - started

    ready = SlotStatus(phase=SlotPhase.READY, golden=True, score_edges=EDGES, score_shares=(1 / 8,) * 8)
    seen = Observation(
        stable=ready, candidate=ready, counts=tally.counts(), new_requests=100, weight_confirmed=True, routed=True
    )
    plan = RolloutPlan.parse({"guardrails": {"slo": {"ms": 50.0}}})
    state = replace(begin(plan), phase=Phase.CANARY, had_traffic=True, thresholds=LIMITS)
    now = state.looked_at + timedelta(seconds=1)
    started = time.process_time()
    for _ in range(STEPS):
        step(state, seen, now)
    step_s = time.process_time() - started
    keep(
        "rollouts_core",
        what="access log lines parsed and counted; one decision over every guardrail; CPU time of one process",
        command="loadtests/benchmarks/rollouts_core.py",
        figures={
            "lines": LINES,
            "lines_per_s": round(LINES / fold_s),
            "broken": broken,
            "guardrails": len(step(state, seen, now).state.readings),
            "step_ms": round(1000 * step_s / STEPS, 4),
        },
    )


if __name__ == "__main__":
    main()
