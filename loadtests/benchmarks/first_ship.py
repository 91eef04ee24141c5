"""From a clone to promoted: how long do the set-up and the first ``make ship`` take, on how much disk and memory?

.venv/bin/python loadtests/benchmarks/first_ship.py --data customers.csv
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from record import keep

ROOT = Path(__file__).parents[2]


def seconds(command: list[str], folder: Path, env: dict[str, str]) -> float:
    began = time.monotonic()
    subprocess.run(command, cwd=folder, env=env, check=True, stdout=sys.stderr)
    return round(time.monotonic() - began, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="a CSV file; none: the synthetic set")
    asked = parser.parse_args()
    data = [f"DATA={asked.data.absolute()}"] if asked.data else []
    with tempfile.TemporaryDirectory(prefix="slipway-clone-") as folder:
        Path(folder).chmod(0o711)
        clone = Path(folder) / "slipway"
        env = {name: value for name, value in os.environ.items() if not name.startswith(("SLIPWAY_", "VIRTUAL_ENV"))}
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        figures: dict[str, object] = {"set_up_s": seconds(["make", ".venv/.ready"], clone, env)}
        try:
            figures["ship_s"] = seconds(["make", "ship", *data], clone, env)
            figures["ship_unchanged_s"] = seconds(["make", "ship", *data], clone, env)
            run = json.loads(
                subprocess.run(
                    [".venv/bin/slipway", "runs", "list", "--json"], cwd=clone, env=env, check=True, capture_output=True
                ).stdout
            )[-1]
            record = json.loads((clone / ".slipway" / "runs" / run["id"] / "run.json").read_text())
            figures |= {
                "outcome": record["outcome"],
                "rows": asked.data.name if asked.data else "10,000 synthetic",
                "peak_memory_mb": record["peak_mb"],
                "steps_s": {step["name"]: round(step["seconds"], 1) for step in record["steps"]},
                "metrics": record["metrics"],
                "requests": record["rollout"]["requests"],
                "failed_seen_by_users": record["rollout"]["failed_requests_seen_by_users"],
            }
            disk = subprocess.run(["du", "-sm", ".venv"], cwd=clone, check=True, capture_output=True, text=True).stdout
            figures["set_up_disk_mb"] = int(disk.split()[0])
        finally:
            subprocess.run(["make", "clean"], cwd=clone, env=env, check=False, capture_output=True)
    keep(
        "first_ship",
        what="from a fresh clone, with packages already in the installer's cache",
        command=f"loadtests/benchmarks/first_ship.py{' --data ' + asked.data.name if asked.data else ''}",
        figures=figures,
    )


if __name__ == "__main__":
    main()
