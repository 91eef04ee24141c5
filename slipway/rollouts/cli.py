"""``slipway rollouts``: foresee, look at, steer and replay rollouts; a client of the controller."""

import time
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.live import Live
from rich.progress import MofNCompleteColumn, Progress
from rich.progress_bar import ProgressBar
from rich.table import Table

from slipway.console import actor, console, print_json
from slipway.project import Project
from slipway.rollouts import people_cli
from slipway.rollouts.client import Controller
from slipway.rollouts.forecast import Forecast, Found, forecast
from slipway.rollouts.plan import RolloutPlan

app = typer.Typer(no_args_is_help=True, pretty_exceptions_show_locals=False, help="Foresee, watch and steer rollouts.")
for command in (people_cli.approve, people_cli.hold, people_cli.resume):
    app.command(epilog=f"Example: slipway rollouts {command.__name__} churn-3f9ac2d1b7e0-1")(command)
EXIT_CODES = {"promoted": 0, "observed": 0, "rolled_back": 3, "rejected": 3, "held": 4}
WATCH_S = 1.0

Json = Annotated[bool, typer.Option("--json", help="print data on standard output")]
Rollout = Annotated[str, typer.Argument(help="the rollout's id, as 'slipway rollouts status' shows it")]


@app.command(epilog="Example: slipway rollouts status churn")
def status(
    name: Annotated[str, typer.Argument(help="a service, or a rollout's id; nothing: all services")] = "",
    *,
    json: Json = False,
) -> None:
    """Say which release of each service is stable, and how its rollout stands."""
    controller = Controller.of(Project.find())
    services = controller.services()
    if name and name not in {service["service"] for service in services}:
        _show([controller.rollout(name)], json=json)
    elif name:
        found = next(service for service in services if service["service"] == name)
        rollouts = [controller.rollout(found["rollout"])] if found["rollout"] else []
        _show([found, *rollouts], json=json)
    else:
        _show(services, json=json)


@app.command(epilog="Example: slipway rollouts events churn-3f9ac2d1b7e0-1")
def events(rollout: Rollout, *, json: Json = False) -> None:
    """Tell what a rollout went through: each look at which something happened, and why."""
    found = Controller.of(Project.find()).events(rollout)
    if json:
        print_json(found)
        return
    table = Table("time", "state", "what", "who", box=None)
    for event in found:
        words = [*event.get("reasons", ()), *event.get("actions", ())]
        if words or event["kind"] == "started":
            table.add_row(event["at"][11:23], event["state"]["phase"], "; ".join(words) or "started", event["actor"])
    console.print(table)


@app.command(epilog="Example: slipway rollouts abort churn-3f9ac2d1b7e0-1 --reason 'wrong model'")
def abort(
    rollout: Rollout,
    *,
    reason: Annotated[str, typer.Option(help="why, for the journal")] = "",
    json: Json = False,
) -> None:
    """End a rollout now; all traffic returns to the stable release."""
    _show([Controller.of(Project.find()).abort(rollout, reason=reason, actor=actor())], json=json)


@app.command(epilog="Example: slipway rollouts plan churn --rps 20 --stable-errors 0.001")
def plan(
    service: Annotated[str, typer.Argument(help="a service; its plan is [rollout] in its bento.toml")],
    *,
    rps: Annotated[float, typer.Option(min=0.01, max=1_000_000, help="requests per second at the edge")] = 100.0,
    stable_errors: Annotated[float, typer.Option(min=0, max=0.5, help="share of stable's requests that fail")] = 0.0,
    requests_per_user: Annotated[float, typer.Option(min=1, help="how many requests a user makes meanwhile")] = 1.0,
    json: Json = False,
) -> None:
    """Say before anything starts what a rollout can see at this traffic, how soon, and who is exposed."""
    seen = forecast(
        RolloutPlan.load(Project.find(), service),
        rps=rps,
        stable_errors=stable_errors,
        requests_per_unit=requests_per_user,
    )
    if json:
        print_json(asdict(seen))
    else:
        _foretell(seen)


@app.command(epilog="Example: slipway rollouts simulate canary.toml --replications 2000 --seed 1")
def simulate(
    file: Annotated[Path, typer.Argument(help="a TOML file with the tables [rollout] and [truth]")],
    *,
    replications: Annotated[int, typer.Option(min=1, max=1_000_000, help="how many rollouts")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="the same seed gives the same rollouts")] = 0,
    json: Json = False,
) -> None:
    """Run a plan against traffic that never happened: how often it promotes, takes back, holds, and how soon."""
    from slipway.rollouts import simulations  # noqa: PLC0415  --help must not pay for numpy

    wanted, truth = simulations.load(file)
    with Progress(*Progress.get_default_columns(), MofNCompleteColumn(), console=console) as progress:
        bar = progress.add_task("rollouts", total=replications)
        found = simulations.run(
            wanted,
            truth,
            replications=replications,
            seed=seed,
            on_progress=lambda done: progress.update(bar, completed=done),
        )
    if json:
        print_json(found)
        return
    table = Table("of", f"{replications:,} rollouts", box=None)
    for name in ("promoted", "rolled_back", "held", "observed"):
        table.add_row(name.replace("_", " "), f"{found[name]:,} ({found[name] / replications:.2%})")
    for name in ("candidate_requests", "seconds"):
        table.add_row(name.replace("_", " "), f"median {found[name]['median']:,g}, p95 {found[name]['p95']:,g}")
    for name, times in found["deciding"].items():
        table.add_row(f"ended by {name}", f"{times:,}")
    console.print(table)


@app.command(epilog="Example: slipway rollouts wait churn-3f9ac2d1b7e0-1 --timeout 600")
def wait(
    rollout: Rollout,
    *,
    timeout: Annotated[float, typer.Option(min=1, help="seconds to wait for the end")] = 3600.0,
    json: Json = False,
) -> None:
    """Wait until a rollout has ended; exit 0 promoted or observed, 3 taken back or rejected, 4 held, else 1."""
    ended = Controller.of(Project.find()).wait(rollout, timeout_s=timeout)
    _show([ended], json=json)
    raise typer.Exit(EXIT_CODES.get(ended["outcome"], 1))


@app.command(epilog="Example: slipway rollouts watch churn-3f9ac2d1b7e0-1")
def watch(rollout: Rollout) -> None:
    """Watch a rollout live: its weight, both arms, each guardrail and how far it is from its line."""
    controller = Controller.of(Project.find())
    row = controller.rollout(rollout)
    with Live(_view(row), console=console, refresh_per_second=4) as live:
        while row["outcome"] is None:
            time.sleep(WATCH_S)
            row = controller.rollout(rollout)
            live.update(_view(row))


@app.command(epilog="Example: slipway rollouts replay churn-3f9ac2d1b7e0-1")
def replay(rollout: Rollout, *, json: Json = False) -> None:
    """Decide a rollout again from its journal alone; exit 3 at the first decision that differs, naming it."""
    from slipway.monitoring.journal import JournalBroken, PostgresJournal  # noqa: PLC0415
    from slipway.rollouts.errors import RolloutNotFound  # noqa: PLC0415
    from slipway.rollouts.replay import first_difference  # noqa: PLC0415
    from slipway.rollouts.state import STREAMS  # noqa: PLC0415
    from slipway.settings import PostgresSettings  # noqa: PLC0415  --help must not pay for it

    with closing(PostgresJournal(PostgresSettings.load(Project.find()))) as journal:
        streams = [head.stream for head in journal.heads(STREAMS) if head.stream.endswith(f"/{rollout}")]
        if not streams:
            msg = f"the journal knows no rollout {rollout}; see 'slipway rollouts status'"
            raise RolloutNotFound(msg)
        entries = journal.read(streams[0])
    try:
        difference = first_difference(entries)
    except JournalBroken as broken:
        difference = str(broken)
    if json:
        print_json({"rollout": rollout, "events": len(entries), "difference": difference})
    else:
        console.print(f"{rollout}: {difference or f'all {len(entries)} events are decided again as they were'}")
    raise typer.Exit(3 if difference else 0)


def _foretell(seen: Forecast) -> None:
    table = Table("a candidate that", "is", "after", "and", box=None)
    safe = seen.promotion
    table.add_row("is as good as stable", "promoted" if safe else "held: too little traffic for a proof", *_when(safe))
    for one in seen.detections:
        what = "taken back" if one.found else "not told apart by its errors within this plan"
        table.add_row(f"fails {one.candidate_errors:.1%} of its requests", what, *_when(one.found))
    console.print(table)
    console.print(f"{seen.exposed_units:,} users meet the candidate within the ramp at {seen.rps:g} requests/s.")
    console.print(f"A healthy candidate is taken back in at most {seen.false_rollback:.1%} of rollouts.")
    for words in () if safe else seen.missing:
        console.print(f"missing: {words}")


def _when(found: Found | None) -> tuple[str, str]:
    return ("", "") if found is None else (f"{found.seconds} s", f"{found.candidate_requests:,} candidate requests")


def _view(row: dict[str, Any]) -> Table:
    counts = row["counts"]
    table = Table("guardrail", "for harm", "", "against harm", title=f"{row['id']}: {row['state']}", box=None)
    table.caption = (
        f"{row['weight'] / 100:g} % to it, {counts['candidate_requests']:,} of {counts['requests']:,} requests"
        f", {counts['candidate_failures']:,} failed on it, {counts['failed_requests_seen_by_users']:,} seen by users; "
        f"{row['seconds']:.0f} s\n{row['reason']}"
    )
    for one in row["guardrails"]:
        proof = "" if one["safe_log_e"] is None else f"{one['safe_log_e']:.1f} of {one['line']:.1f}"
        bar = ProgressBar(total=one["harm_line"], completed=max(one["harm_log_e"], 0.0), width=24)
        table.add_row(one["guardrail"], f"{one['harm_log_e']:.1f} of {one['harm_line']:.1f}", bar, proof)
    return table


def _show(rows: list[dict[str, Any]], *, json: bool) -> None:
    if json:
        print_json(rows)
        return
    for row in rows:
        if "id" in row:
            console.print(
                f"{row['id']}: {row['state']} at {row['weight'] / 100:g} %; {row['reason'] or 'no reason yet'}"
            )
            for one in row["evidence"]:
                console.print(f"  {one['words']}")
        else:
            stable = row["stable"]
            name = f"{stable['model']} v{stable['model_version']}" if stable else "nothing"
            console.print(f"{row['service']}: {name} is stable at {row['edge_url']}; {row['rollout'] or 'no rollout'}")
