"""How many predictions a second does one worker answer, and for how much CPU?  Needs ``wrk`` and a running stack.

    .venv/bin/python loadtests/benchmarks/predict.py

Asks the stable churn service directly, on 16 connections, for held-out customers by id: features come from Redis.
"""

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile

import psutil
from record import keep

from slipway.local.stack import Stack
from slipway.project import Project

SCRIPT = """
local ids = {}
for line in io.lines("%s") do ids[#ids + 1] = line end
local at = 0
wrk.method = "POST"
wrk.headers["content-type"] = "application/json"
request = function()
  at = at %% #ids + 1
  return wrk.format(nil, "/v1/predict", nil, '{"rows":[{"entity_id":"' .. ids[at] .. '"}]}')
end
"""


def cpu_s(process: psutil.Process) -> float:
    times = [one.cpu_times() for one in (process, *process.children(recursive=True))]
    return sum(one.user + one.system for one in times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=8)
    asked = parser.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("wrk is missing; Debian: apt install wrk")
    project = Project.find()
    server = next(s for s in Stack.of(project).status() if s.name.startswith("churn-stable"))
    if server.pid is None:
        sys.exit("the churn service does not run; run 'slipway ship churn' first")
    ids = max((project.home / "cache" / "train").glob("*/holdout_ids.txt"), key=os.path.getmtime)
    rounds = []
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(SCRIPT % ids)
        script.flush()
        for _ in range(asked.rounds + 1):
            before = cpu_s(psutil.Process(server.pid))
            command = ["wrk", "-t1", "-c16", f"-d{asked.seconds}s", "--latency", "-s", script.name, server.url]
            said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            used = cpu_s(psutil.Process(server.pid)) - before
            requests = int(re.search(r"(\d+) requests in", said)[1])
            p99, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)", said).groups()
            rounds.append(
                {
                    "requests_per_s": float(re.search(r"Requests/sec:\s+([\d.]+)", said)[1]),
                    "cpu_us_per_request": round(1e6 * used / requests, 1),
                    "p99_ms": float(p99) * {"us": 1e-3, "ms": 1.0, "s": 1e3}[unit],
                    "not_200": int(found[1]) if (found := re.search(r"Non-2xx or 3xx responses: (\d+)", said)) else 0,
                }
            )
    rounds = rounds[1:]  # the first warms up
    medians = {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}
    keep(
        "predict",
        what="predict by customer id through the Bento: Redis, ONNX, one worker, 16 keep-alive connections, wrk",
        command=f"loadtests/benchmarks/predict.py --rounds {asked.rounds} --seconds {asked.seconds}",
        figures={**medians, "rounds": rounds},
    )


if __name__ == "__main__":
    main()
