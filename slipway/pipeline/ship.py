"""``slipway ship``: the table of steps, and one run of them from the lock to the report."""

import importlib
import os
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

from slipway.bentos import releases
from slipway.console import console
from slipway.errors import GateRefused, NotEnoughEvidence, SlipwayError, UsageError
from slipway.pipeline import inputs, runs
from slipway.pipeline.cache import Cache
from slipway.pipeline.context import Options, Ship
from slipway.pipeline.display import Display
from slipway.pipeline.engine import Step, between, run_step, run_steps
from slipway.pipeline.lock import shipping
from slipway.pipeline.meter import Meter
from slipway.pipeline.run import Outcome, Run
from slipway.project import Project


class Call:
    """A step's function, imported when the step runs: a run that is served from the cache loads none of it."""

    def __init__(self, module: str, function: str) -> None:
        self.module, self.function = module, function

    def __call__(self, ship: Ship, folder: Path) -> None:
        getattr(importlib.import_module(f"slipway.pipeline.{self.module}"), self.function)(ship, folder)


def _has_no_stable(ship: Ship) -> bool:
    return releases.load(ship.project, ship.service).stable is None


STEPS = (
    Step(name="ingest", about="validate the data", run=Call("data_steps", "run_ingest"), key=inputs.ingest),
    Step(name="stack", about="start the local stack", run=Call("traffic_steps", "run_stack")),
    Step(name="features", about="build the training set", run=Call("data_steps", "run_features"), key=inputs.features),
    Step(name="materialize", about="write features to Redis", run=Call("data_steps", "run_materialize")),
    Step(
        name="baseline",
        about="install a plain model, since there is no stable one yet",
        run=Call("model_steps", "run_baseline"),
        wanted=_has_no_stable,
    ),
    Step(name="train", about="search for the best model", run=Call("model_steps", "run_train"), key=inputs.train),
    Step(name="gate", about="judge it on held-out customers", run=Call("model_steps", "run_gate"), key=inputs.gate),
    Step(
        name="register", about="convert and register it", run=Call("model_steps", "run_register"), key=inputs.register
    ),
    Step(name="package", about="build the Bento", run=Call("model_steps", "run_package"), key=inputs.package),
    Step(name="start", about="start it beside stable, ask its golden rows", run=Call("traffic_steps", "run_start")),
    Step(name="loadtest", about="load-test it", run=Call("traffic_steps", "run_loadtest")),
    Step(name="rollout", about="give it traffic, watch it", run=Call("traffic_steps", "run_rollout")),
    Step(name="promote", about="make it the stable one", run=Call("traffic_steps", "run_promote")),
)
REPORT = Step(name="report", about="write the report", run=Call("traffic_steps", "run_report"))
NAMES = tuple(step.name for step in (*STEPS, REPORT))


def ship(project: Project, options: Options) -> Run:
    """Run the steps and return the record of the run, whose outcome is known.

    Raises:
        UsageError: the call names a file, a model or a step that isn't there; nothing was done.
        AlreadyShipping: another ``ship`` runs in this project.
        KeyboardInterrupt: after the traffic went back to the stable model.
    """
    needed, wanted = between(STEPS, options.first, options.last)
    _refuse_missing(options)
    with shipping(project.home):
        now = datetime.now(UTC)
        run = Run(
            id=runs.new_id(now),
            model=options.model,
            started_at=now.isoformat(),
            pid=os.getpid(),
            data=str(options.data or ""),
            sabotage=options.sabotage,
            rps=options.rps,
        )
        cache = Cache(root=project.home / "cache")
        cache.sweep()
        with Meter(lambda: _stack_pids(project)) as meter, Display(console) as display:
            shipment = Ship(project=project, options=options, run=run, cache=cache, display=display, meter=meter)
            _run(shipment, needed, wanted)
    return run


def _run(ship: Ship, needed: tuple[Step, ...], wanted: tuple[Step, ...]) -> None:
    began = monotonic()
    run = ship.run
    try:
        inputs.refuse_unknown(ship)
        _prepare_data(ship)
        runs.save(ship.project.home, run)
        stable = releases.load(ship.project, ship.service).stable
        run.stable_before = stable.model_version if stable else None
        if not _unchanged(ship):
            run_steps(ship, wanted, needed=needed, force=ship.options.force)
        if not ship.finished:
            ship.finish(Outcome.UNCHANGED, f"stopped after step '{wanted[-1].name}', as asked; traffic is as it was")
    except KeyboardInterrupt:
        _abandon(ship, "interrupted")
        raise
    except UsageError:
        raise
    except SlipwayError as error:
        _end_badly(ship, error)
        _abandon(ship, str(error))
    finally:
        run.seconds = monotonic() - began
        run.peak_mb = round(ship.meter.peak_mb, 1)
        if ship.finished and run.steps:
            _report(ship)
        if runs.folder_of(ship.project.home, run.id).is_dir():
            runs.save(ship.project.home, run)
    _conclude(ship)


def _unchanged(ship: Ship) -> bool:
    """Finish at once where this very candidate was promoted from these very inputs and still has the traffic."""
    options = ship.options
    if options.force or options.sabotage or options.first or options.last:
        return False
    from slipway.pipeline import shipments  # noqa: PLC0415  it needs the controller's client

    promoted = shipments.promoted(ship)
    if promoted is None:
        return False
    ship.run.version = promoted.model_version
    ship.finish(
        Outcome.UNCHANGED,
        f"{promoted.name} was promoted from these data, definitions and code, and has all traffic; nothing to do",
    )
    return True


def _prepare_data(ship: Ship) -> None:
    if ship.options.data is None and not inputs.synthetic_file(ship).is_file():
        from slipway.pipeline import data_steps  # noqa: PLC0415  only where there is something to make

        data_steps.make_synthetic(ship)


def _end_badly(ship: Ship, error: SlipwayError) -> None:
    if isinstance(error, GateRefused):
        outcome = Outcome.REJECTED
    elif isinstance(error, NotEnoughEvidence):
        outcome = Outcome.HELD
    else:
        outcome = Outcome.FAILED
    ship.finish(outcome, str(error))


def _abandon(ship: Ship, reason: str) -> None:
    """Take back a rollout that this run started and can't see to its end."""
    if not ship.rollout_id:
        return
    from slipway.pipeline import traffic_steps  # noqa: PLC0415  only where a rollout was started

    traffic_steps.abandon(ship, reason)


def _report(ship: Ship) -> None:
    """Write the report; when that fails, the outcome of the run stays what it is, and the failure is told."""
    try:
        run_step(ship, REPORT)
    except SlipwayError as error:
        ship.display.say(f"no report: {error}")


def _conclude(ship: Ship) -> None:
    run = ship.run
    colour = "green" if run.outcome in {Outcome.PROMOTED, Outcome.UNCHANGED} else "yellow"
    if run.outcome is Outcome.FAILED:
        colour = "red"
    ship.display.conclude(f"[bold {colour}]{run.outcome}[/] in {run.seconds:.0f} s", run.reason)
    if run.report:
        ship.display.say(f"report: {ship.project.relative(Path(run.report))}")


def _refuse_missing(options: Options) -> None:
    data = options.data
    if data is None:
        return
    if not data.exists():
        raise UsageError(f"--data {data}: there is no such file; give the path of a CSV file")
    if not data.is_file():
        raise UsageError(f"--data {data} is a folder or a device; give the path of a CSV file")


def _stack_pids(project: Project) -> list[int]:
    from slipway.pipeline import stack  # noqa: PLC0415  the meter's thread asks, not the start of the command

    return stack.pids(project)
