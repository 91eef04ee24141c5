"""Runs on disk: ``.slipway/runs/<id>/run.json`` beside what the run kept for its report."""

import json
import os
import secrets
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import psutil

from slipway.pipeline.errors import UnknownRun
from slipway.pipeline.run import Run

FILE = "run.json"


def folder_of(home: Path, run_id: str) -> Path:
    """Return the folder of a run."""
    return home / "runs" / run_id


def new_id(now: datetime) -> str:
    """Return an id that sorts by time and does not collide within a second."""
    return f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def save(home: Path, run: Run) -> None:
    """Write a run's record by rename, so that a reader never sees half of it."""
    folder = folder_of(home, run.id)
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f".{FILE}.{os.getpid()}"
    partial.write_text(json.dumps(run.to_json(), indent=2, default=str), encoding="utf-8")
    partial.replace(folder / FILE)


def load(home: Path, run_id: str) -> Run:
    """Read a run's record; an unknown id is an error that names the newest ones."""
    file = folder_of(home, run_id) / FILE
    if not file.is_file():
        known = ", ".join(run.id for run in list(newest_first(home))[:3]) or "none yet"
        msg = f"no run '{run_id}'; the newest are: {known}; see 'slipway runs list'"
        raise UnknownRun(msg)
    return Run.from_json(json.loads(file.read_text(encoding="utf-8")))


def newest_first(home: Path) -> Iterator[Run]:
    """Yield all runs, the newest first."""
    for file in sorted((home / "runs").glob(f"*/{FILE}"), reverse=True):
        yield Run.from_json(json.loads(file.read_text(encoding="utf-8")))


def state(run: Run) -> str:
    """Return a run's outcome, ``running``, or ``interrupted`` when its process is gone."""
    if run.outcome is not None:
        return run.outcome
    return "running" if run.pid and psutil.pid_exists(run.pid) else "interrupted"
