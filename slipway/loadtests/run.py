"""Running Locust: headless, as a process of its own, against one address."""

import dataclasses
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import msgspec

from slipway.loadtests.errors import LoadProfileUnreadable, LoadRunFailed, TargetUnreachable
from slipway.loadtests.profile import LoadProfile, read_ids
from slipway.loadtests.report import LoadReport, parse
from slipway.project import Project

# For Locust's start, its imports included, its last answers and its report.
OVERHEAD_S = 60
PROBE_TIMEOUT_S = 5.0
LAST_LINES = 15
HTML = "locust.html"
LOG = "locust.log"
OUTCOME = "outcome.json"


def run(service: str, against: str, profile: LoadProfile, ids: Path, out: Path, *, project: Project) -> LoadReport:
    """Load-test ``against`` with ``loadtests/<service>.py`` and return what was seen; files are left in ``out``.

    ``out`` receives Locust's page (``locust.html``), its log and CSVs, and ``report.json``. Failed requests are part of
    the report, and the gate's business; an error is raised where nothing was measured.

    Raises:
        LoadProfileUnreadable: there is no Locust file for the service, or no ids.
        TargetUnreachable: nothing ready answers at ``against``.
        LoadRunFailed: Locust failed, or made no request.
    """
    scenario = project.loadtests_dir / f"{service}.py"
    if not scenario.is_file():
        msg = f"there is no load test for {service!r}: {scenario} does not exist"
        raise LoadProfileUnreadable(msg)
    read_ids(ids)
    _probe(against)
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    _run_locust(scenario, against, profile, ids, out)
    try:
        report = parse(
            stats=(out / "stats.json").read_bytes(),
            history=(out / "locust_stats_history.csv").read_text(encoding="utf-8"),
            outcome=(out / OUTCOME).read_bytes(),
            service=service,
            against=against,
            profile=profile,
        )
    except FileNotFoundError as error:
        msg = f"Locust ended without writing {error.filename}; {_last_words(out)}"
        raise LoadRunFailed(msg) from None
    report = dataclasses.replace(report, html=str(out / HTML))
    (out / "report.json").write_bytes(msgspec.json.encode(report))
    return report


def _probe(against: str) -> None:
    """See that something ready is there before seconds of load are spent on it."""
    try:
        answer = httpx.get(f"{against}/readyz", timeout=PROBE_TIMEOUT_S, trust_env=False)
    except httpx.HTTPError as error:
        msg = f"nothing answers at {against}: {error!r}; start the service, or name another address"
        raise TargetUnreachable(msg) from None
    if answer.status_code != httpx.codes.OK:
        msg = f"{against}/readyz answers {answer.status_code}, not 200: {answer.text[:200]!r}; wait until it is ready"
        raise TargetUnreachable(msg)


def _run_locust(scenario: Path, against: str, profile: LoadProfile, ids: Path, out: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "slipway.loadtests.locust_process",
        f"--locustfile={scenario}",
        "--headless",
        f"--host={against}",
        f"--users={profile.users}",
        f"--spawn-rate={profile.users}",
        f"--run-time={math.ceil(profile.duration_s)}s",
        # What is under way at the end is waited for and counted, not cut off and forgotten.
        "--stop-timeout=10",
        # Failed requests are the gate's business: so another exit code than 0 means that Locust itself failed.
        "--exit-code-on-error=0",
        "--only-summary",
        f"--html={out / HTML}",
        f"--csv={out / 'locust'}",
        "--csv-full-history",  # without it the percentiles of each second are those of the whole run so far
        f"--json-file={out / 'stats'}",  # Locust adds .json
        f"--logfile={out / LOG}",
    ]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LOCUST_")}
    environment |= {
        "SLIPWAY_LOAD_IDS": str(ids.absolute()),
        "SLIPWAY_LOAD_OUTCOME": str((out / OUTCOME).absolute()),
        "SLIPWAY_LOAD_RPS_PER_USER": repr(profile.rps_per_user),
    }
    limit_s = profile.duration_s + OVERHEAD_S
    try:
        done = subprocess.run(command, cwd=out, env=environment, capture_output=True, check=False, timeout=limit_s)
    except subprocess.TimeoutExpired:
        msg = f"Locust did not end within {limit_s:g} s and was stopped; {_last_words(out)}"
        raise LoadRunFailed(msg) from None
    if done.returncode:
        with (out / LOG).open("ab") as log:
            log.write(done.stdout + done.stderr)
        msg = f"Locust ended with {done.returncode}; {_last_words(out)}"
        raise LoadRunFailed(msg)


def _last_words(out: Path) -> str:
    log = out / LOG
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() if log.is_file() else []
    return f"its log {log} ends with:\n" + "\n".join(lines[-LAST_LINES:])
