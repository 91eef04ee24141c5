"""What does the default plan decide about healthy and about bad candidates?  Simulated traffic, the real core.

.venv/bin/python loadtests/benchmarks/simulations.py --replications 10000
"""

import argparse
import sys

from record import keep

from slipway.rollouts import simulations
from slipway.rollouts.plan import RolloutPlan
from slipway.rollouts.truth import Truth

BOTH = ("stable", "candidate")
# A minute proves little about small differences; this plan has the time for it.
HOUR = RolloutPlan.parse(
    {"steps": [{"weight": 5, "size_s": 600}, {"weight": 25, "size_s": 600}, {"weight": 50, "size_s": 2400}]}
)
MINUTE = RolloutPlan()
# name: plan, truth, share of the replications that it gets (an hour's rollout takes sixty times as long)
SCENARIOS = {
    "healthy": (MINUTE, {}, 1.0),
    "healthy_slow_tail": (
        MINUTE,
        {"latency": {arm: {"kind": "lognormal", "slow_share": 0.03, "slow_factor": 20} for arm in BOTH}},
        0.2,
    ),
    "healthy_errors_clustered_by_user": (
        MINUTE,
        {"errors": dict.fromkeys(BOTH, 0.01), "clustering": 0.3, "users": 3_000},
        0.2,
    ),
    "healthy_base_rate_moves": (MINUTE, {"errors": dict.fromkeys(BOTH, 0.01), "drift": {"course": "sine"}}, 0.2),
    "healthy_0.1_percent_errors_hour": (HOUR, {"errors": dict.fromkeys(BOTH, 0.001)}, 0.01),
    "fails_20_percent": (MINUTE, {"errors": {"candidate": 0.2}}, 0.1),
    "errors_0.5_to_5_percent": (MINUTE, {"errors": {"stable": 0.005, "candidate": 0.05}}, 0.1),
    "errors_0.2_to_0.8_percent_hour": (HOUR, {"errors": {"stable": 0.002, "candidate": 0.008}}, 0.01),
    "ten_times_slower": (MINUTE, {"latency": {"candidate": {"kind": "lognormal", "median_ms": 50}}}, 0.1),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replications", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    figures = {}
    for name, (plan, truth, share) in SCENARIOS.items():
        replications = max(round(asked.replications * share), 1)
        figures[name] = simulations.run(plan, Truth.model_validate(truth), replications=replications, seed=asked.seed)
        sys.stderr.write(f"{name}: {figures[name]}\n")
    keep(
        "simulations",
        what="decisions on simulated rollouts; default plan, and one of an hour where the name says so",
        command=f"loadtests/benchmarks/simulations.py --replications {asked.replications} --seed {asked.seed}",
        figures=figures,
    )


if __name__ == "__main__":
    main()
