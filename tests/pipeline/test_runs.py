import os
from datetime import UTC, datetime

import pytest

from slipway.pipeline import runs
from slipway.pipeline.errors import UnknownRun
from slipway.pipeline.run import Outcome, Run, StepOutcome, StepRecord


def a_run(run_id: str, **fields) -> Run:
    return Run(id=run_id, model="churn", started_at="2026-11-20T10:00:00+00:00", **fields)


def test_run_is_the_same_when_saved_and_loaded(tmp_path):
    run = a_run("r1", outcome=Outcome.PROMOTED, steps=[StepRecord(name="train", outcome=StepOutcome.DONE)])
    runs.save(tmp_path, run)
    assert runs.load(tmp_path, "r1") == run


def test_newest_run_comes_first_when_listed(tmp_path):
    for run_id in ("20261120-100000-aa", "20261121-090000-aa", "20261120-110000-aa"):
        runs.save(tmp_path, a_run(run_id))
    assert [run.id[:11] for run in runs.newest_first(tmp_path)] == ["20261121-09", "20261120-11", "20261120-10"]


def test_unknown_run_is_refused_with_the_newest_ones(tmp_path):
    runs.save(tmp_path, a_run("r1"))
    with pytest.raises(UnknownRun, match="no run 'r2'; the newest are: r1"):
        runs.load(tmp_path, "r2")


def test_state_tells_a_running_run_from_a_killed_one():
    assert runs.state(a_run("r", pid=os.getpid())) == "running"
    assert runs.state(a_run("r", pid=2**22 + 1)) == "interrupted"
    assert runs.state(a_run("r", pid=1, outcome=Outcome.HELD)) == "held"


def test_ids_differ_within_one_second():
    now = datetime(2026, 11, 20, tzinfo=UTC)
    assert runs.new_id(now) != runs.new_id(now)


def test_summary_holds_what_other_tools_rely_on():
    run = a_run("r", steps=[StepRecord(name="ingest", outcome=StepOutcome.DONE, seconds=1.23456)])
    summary = run.summary()
    assert set(summary) >= {
        "outcome",
        "model",
        "version",
        "stable_before",
        "steps",
        "metrics",
        "rollout",
        "seconds",
        "report",
    }
    assert summary["steps"] == [{"name": "ingest", "outcome": "done", "seconds": 1.235, "cached": False}]
