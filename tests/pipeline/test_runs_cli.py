import json
import os

import pytest
from typer.testing import CliRunner

from slipway.errors import SlipwayError
from slipway.pipeline import runs
from slipway.pipeline.run import Outcome, Run, StepOutcome, StepRecord
from slipway.pipeline.runs_cli import app


@pytest.fixture
def home(tmp_path, monkeypatch):
    (tmp_path / "pyproject.toml").write_text("[tool.slipway]\n")
    monkeypatch.setenv("SLIPWAY_PROJECT", str(tmp_path))
    monkeypatch.setenv("SLIPWAY_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path / "home"


@pytest.fixture
def two_runs(home):
    first = Run(
        id="20261120-100000-aa", model="churn", started_at="2026-11-20T10:00:00+00:00", outcome=Outcome.ROLLED_BACK,
        version=2, reason="errors: 3 of 7 failed", seconds=90.4,
        steps=[StepRecord(name="gate", outcome=StepOutcome.DONE, seconds=2.2, words=["[red]gates[/] passed"])],
    )  # fmt: skip
    second = Run(
        id="20261121-100000-bb", model="churn", started_at="2026-11-21T10:00:00+00:00", outcome=Outcome.PROMOTED
    )
    for run in (first, second):
        runs.save(home, run)
    (runs.folder_of(home, first.id) / "report.html").write_text("<!doctype html>")
    return first, second


def call(*words):
    result = CliRunner().invoke(app, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result


def test_runs_are_listed_newest_first(two_runs):
    listed = json.loads(call("list", "--json").stdout)
    assert [line["id"] for line in listed] == [two_runs[1].id, two_runs[0].id]
    assert listed[1]["state"] == "rolled_back"
    assert listed[1]["reason"] == "errors: 3 of 7 failed"


def test_list_ends_after_so_many(two_runs):
    assert len(json.loads(call("list", "--limit", "1", "--json").stdout)) == 1
    assert len(two_runs) == 2


def test_list_is_a_table_for_people_on_standard_error(two_runs):
    result = call("list")
    assert result.stdout == ""
    for words in (two_runs[0].id, "rolled back", "churn 2", "90 s"):
        assert words in result.stderr


def test_all_but_the_reason_stays_whole_in_a_narrow_terminal(two_runs, home, monkeypatch):
    monkeypatch.setenv("COLUMNS", "70")
    two_runs[0].reason *= 20
    runs.save(home, two_runs[0])
    told = call("list").stderr
    for words in (*(run.id for run in two_runs), "rolled back", "churn 2", "90 s", "why", "errors: 3"):
        assert words in told


def test_list_says_what_to_do_when_there_is_no_run(home):
    assert not home.exists()
    assert "slipway ship churn" in call("list").stderr
    assert json.loads(call("list", "--json").stdout) == []


def test_run_is_shown_with_its_report(two_runs, home):
    shown = json.loads(call("show", two_runs[0].id, "--json").stdout)
    assert shown["id"] == two_runs[0].id
    assert shown["outcome"] == "rolled_back"
    assert shown["report"] == str(home / "runs" / two_runs[0].id / "report.html")


def test_run_is_told_to_people_with_words_as_they_are(two_runs):
    told = call("show", two_runs[0].id).stderr
    assert "[red]gates[/] passed" in told
    assert "errors: 3 of 7 failed" in told
    assert "report.html" in told
    assert "2026-11-20 10:00 UTC" in told


def test_latest_is_the_newest_run(two_runs):
    assert json.loads(call("show", "--json").stdout)["id"] == two_runs[1].id
    assert "none was written" in call("show", "latest").stderr


def test_running_run_is_told_from_a_killed_one(home):
    runs.save(home, Run(id="r1", model="churn", started_at="2026-11-20T10:00:00+00:00", pid=os.getpid()))
    runs.save(home, Run(id="r2", model="churn", started_at="2026-11-20T10:00:00+00:00", pid=2**22 + 1))
    states = {line["id"]: line["state"] for line in json.loads(call("list", "--json").stdout)}
    assert states == {"r1": "running", "r2": "interrupted"}


@pytest.mark.parametrize("run_id", ["r9", "latest"])
def test_unknown_run_is_refused(home, run_id):
    assert not home.exists()
    with pytest.raises(SlipwayError, match=f"no run '{run_id}'") as refused:
        CliRunner().invoke(app, ["show", run_id], catch_exceptions=False)
    assert refused.value.exit_code == 2
