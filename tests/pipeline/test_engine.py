import errno
from pathlib import Path

import pytest
from rich.console import Console

from slipway.errors import GateRefused
from slipway.pipeline import engine
from slipway.pipeline.cache import Cache
from slipway.pipeline.context import Options, Ship
from slipway.pipeline.display import Display
from slipway.pipeline.engine import Step, between, run_steps
from slipway.pipeline.errors import StepFailed, UnknownStep
from slipway.pipeline.meter import Meter
from slipway.pipeline.run import Outcome, Run, StepOutcome
from slipway.project import Project

KEY = "sha256:0123456789abcdef"


@pytest.fixture
def ship(tmp_path, monkeypatch):
    monkeypatch.setattr(engine.tenacity.nap.time, "sleep", lambda _seconds: None)
    home = tmp_path / ".slipway"
    (home / "runs" / "r1").mkdir(parents=True)
    return Ship(
        project=Project(root=tmp_path, home=home, name="test"),
        options=Options(model="churn"),
        run=Run(id="r1", model="churn", started_at="2026-11-20T10:00:00+00:00"),
        cache=Cache(root=home / "cache"),
        display=Display(Console(stderr=True)),
        meter=Meter(list),
    )


def step(run, name="train", key=KEY, **more) -> Step:
    return Step(name=name, about=f"does {name}", run=run, key=(lambda _ship: key) if key else None, **more)


def test_second_run_is_cached_with_its_words_when_nothing_changed(ship):
    def run(ship: Ship, folder: Path) -> None:
        (folder / "x").write_text("1")
        ship.say("chose x because it is best")

    run_steps(ship, [step(run)])
    run_steps(ship, [step(run)])
    first, second = ship.run.steps
    assert (first.cached, second.cached) == (False, True)
    assert second.words == ["chose x because it is best"]
    assert (ship.outputs["train"] / "x").read_text() == "1"


def test_cache_is_passed_over_when_forced(ship):
    run_steps(ship, [step(lambda _ship, _folder: None)])
    run_steps(ship, [step(lambda _ship, _folder: None)], force=True)
    assert [record.cached for record in ship.run.steps] == [False, False]


def test_transient_failure_is_retried_and_counted(ship):
    tries = []

    def run(_ship: Ship, _folder: Path) -> None:
        tries.append(1)
        if len(tries) < 3:
            raise ConnectionResetError("the server restarted")

    run_steps(ship, [step(run)])
    assert (ship.run.steps[0].outcome, ship.run.steps[0].retries) == (StepOutcome.DONE, 2)


def test_retries_stop_when_the_budget_is_spent(ship):
    def run(_ship: Ship, _folder: Path) -> None:
        raise ConnectionRefusedError("no server")

    with pytest.raises(StepFailed, match="a server did not answer, after 4 attempts: no server"):
        run_steps(ship, [step(run)])
    assert ship.run.steps[0].retries == 3


def test_other_failures_are_not_retried_and_leave_the_details_on_disk(ship):
    def run(_ship: Ship, _folder: Path) -> None:
        raise ValueError("seven is not a colour")

    with pytest.raises(StepFailed, match=r"ended unexpectedly: ValueError: seven .* details in .*error\.log"):
        run_steps(ship, [step(run)])
    assert ship.run.steps[0].retries == 0
    assert "Traceback" in (ship.folder / "error.log").read_text()


def test_full_disk_is_told_as_such(ship):
    def run(_ship: Ship, _folder: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(StepFailed, match=r"no space left on the disk of .* nothing was registered"):
        run_steps(ship, [step(run)])


def test_refusal_of_a_gate_is_recorded_as_such(ship):
    def run(_ship: Ship, _folder: Path) -> None:
        raise GateRefused("accuracy 0.6 < 0.75")

    with pytest.raises(GateRefused):
        run_steps(ship, [step(run)])
    assert ship.run.steps[0].outcome is StepOutcome.REFUSED


def test_later_steps_do_not_run_when_one_finished_the_run(ship):
    def finish(ship: Ship, _folder: Path) -> None:
        ship.finish(Outcome.UNCHANGED, "same as stable")

    run_steps(ship, [step(finish, "gate", None), step(lambda *_: pytest.fail("must not run"), "register")])
    assert [record.name for record in ship.run.steps] == ["gate"]


def test_step_is_passed_over_when_not_wanted(ship):
    run_steps(ship, [step(lambda *_: pytest.fail("must not run"), wanted=lambda _ship: False)])
    assert ship.run.steps == []


def test_needed_outputs_are_refused_by_name_when_not_there(ship):
    with pytest.raises(StepFailed, match="step 'ingest' has no outputs for these inputs yet"):
        run_steps(ship, [], needed=[step(lambda *_: None, "ingest")])


def test_split_names_the_steps_when_one_is_unknown_or_the_order_is_wrong():
    steps = [step(lambda *_: None, name) for name in ("ingest", "train", "gate")]
    assert [[s.name for s in part] for part in between(steps, "train", "train")] == [["ingest"], ["train"]]
    assert [len(part) for part in between(steps, None, None)] == [0, 3]
    with pytest.raises(UnknownStep, match="unknown step 'tain'; the steps are: ingest, train, gate"):
        between(steps, "tain", None)
    with pytest.raises(UnknownStep, match="--from gate comes after --until ingest"):
        between(steps, "gate", "ingest")
