"""Commands that compose several packages: ship, rollback, the stack, doctor, settings."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from slipway.console import actor, console, print_json
from slipway.errors import UsageError
from slipway.pipeline.settings import PipelineSettings, env_example
from slipway.project import Project

app = typer.Typer(pretty_exceptions_show_locals=False)

INTERRUPTED = 130  # what a shell reports for a command ended by Ctrl-C
SABOTAGES = ("errors", "latency", "crash", "quality")
AsJson = Annotated[bool, typer.Option("--json", help="Print data as JSON on standard output.")]


@app.command(epilog="Example: slipway ship churn --data customers.csv --rps 100")
def ship(
    model: Annotated[str, typer.Argument(help="Folder below models/.")] = "churn",
    *,
    data: Annotated[Path | None, typer.Option(help="A CSV file of your own; none: a synthetic set.")] = None,
    sabotage: Annotated[
        str, typer.Option(help=f"Ship a bad candidate on purpose: {', '.join(SABOTAGES)}.", metavar="KIND")
    ] = "",
    rps: Annotated[
        int | None, typer.Option(min=1, max=5000, help="Requests per second of live traffic; default 100.")
    ] = None,
    first: Annotated[str | None, typer.Option("--from", metavar="STEP", help="Take earlier steps as they are.")] = None,
    last: Annotated[str | None, typer.Option("--until", metavar="STEP", help="Stop after this step.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Run steps again although nothing changed.")] = False,
    as_json: AsJson = False,
) -> None:
    """Take a model from data to all of production traffic, on this machine, with real servers.

    Steps: ingest (validate, version), stack (servers), features (training set, Redis), baseline (first run only: a
    plain logistic regression becomes stable), train, gate, register, package, start (golden rows), loadtest,
    rollout (live traffic: shadow, 5, 25, 50, 100 %), promote, report.

    Each step is kept by the digest of its inputs: a killed run goes on where it was, an unchanged one says so.
    A candidate that fails is taken back under traffic while users see only good answers.

    Exit codes: 0 promoted or unchanged, 1 failed, 2 wrong call, 3 a gate said no (rejected, rolled back), 4 held.
    """
    from slipway.pipeline import context  # noqa: PLC0415  --help must not pay for it
    from slipway.pipeline import ship as pipeline  # noqa: PLC0415  --help must not pay for it

    if sabotage and sabotage not in SABOTAGES:
        raise UsageError(f"--sabotage {sabotage}: allowed are {', '.join(SABOTAGES)}")
    project = Project.find()
    settings = PipelineSettings.load(project)
    options = context.Options(
        model=model,
        data=data or settings.data,
        sabotage=sabotage,
        rps=rps or settings.rps,
        first=first,
        last=last,
        force=force,
        actor=actor(),
    )
    try:
        run = pipeline.ship(project, options)
    except KeyboardInterrupt:
        console.print("[bold yellow]interrupted[/]; run the same command again to go on from here")
        raise typer.Exit(INTERRUPTED) from None
    if as_json:
        print_json(run.summary(), indent=None)
    assert run.outcome is not None  # noqa: S101  a run that returns has ended
    raise typer.Exit(run.outcome.exit_code)


@app.command(epilog="Example: slipway rollback churn")
def rollback(
    service: Annotated[str, typer.Argument(help="The service whose promoted version is bad.")],
    *,
    to: Annotated[int | None, typer.Option(metavar="VERSION", help="An earlier model version; none: the last.")] = None,
    as_json: AsJson = False,
) -> None:
    """Take a promoted version back: the previous release gets all traffic, at once and without a failed request."""
    from slipway.pipeline.rollback import rollback as run_rollback  # noqa: PLC0415  --help must not pay for it

    result = run_rollback(Project.find(), service, actor=actor(), to=to)
    if as_json:
        print_json(result)


@app.command(epilog="Example: slipway up")
def up(*, as_json: AsJson = False) -> None:
    """Start the local stack; what already runs is left alone."""
    from slipway.pipeline import stack  # noqa: PLC0415  --help must not pay for it

    project = Project.find()
    with console.status("starting servers") as live:
        stack.up(project, live.update)
    _print_status(stack.status(project), as_json=as_json)


@app.command(epilog="Example: slipway status --json")
def status(*, as_json: AsJson = False) -> None:
    """Say which servers of the local stack run, and where; exit code 1 when one of them does not."""
    from slipway.pipeline import stack  # noqa: PLC0415  --help must not pay for it

    servers = stack.status(Project.find())
    _print_status(servers, as_json=as_json)
    if not all(server["state"] in {"running", "external"} for server in servers):
        raise typer.Exit(1)


@app.command(epilog="Example: slipway logs mlflow --lines 50")
def logs(
    name: Annotated[str, typer.Argument(help="A name that 'slipway status' shows.")],
    *,
    lines: Annotated[int, typer.Option(min=1, help="How many of the last lines.")] = 30,
) -> None:
    """Print the last lines that a server of the local stack logged."""
    from slipway.pipeline import stack  # noqa: PLC0415  --help must not pay for it

    sys.stdout.write(stack.log_tail(Project.find(), name, lines=lines) + "\n")


@app.command(epilog="Example: slipway down")
def down() -> None:
    """Stop the local stack and every service that runs on it; data stays for the next 'slipway up'."""
    from slipway.pipeline import stack  # noqa: PLC0415  --help must not pay for it

    stack.down(Project.find())
    console.print("the local stack is down; its data stays below .slipway, 'slipway up' starts it again")


@app.command(epilog="Example: slipway doctor")
def doctor(*, as_json: AsJson = False) -> None:
    """Say what this machine has, what is missing and how to get it; exit code 1 when something needed is missing."""
    from slipway.local.doctor import checks  # noqa: PLC0415  --help must not pay for it

    found = checks(Project.find())
    if as_json:
        print_json([check.to_json() for check in found])
    else:
        table = Table("", "what", "found", "how to get it", box=None)
        for check in found:
            table.add_row("[green]ok[/]" if check.ok else "[red]--[/]", check.name, check.found, check.how_to_get)
        console.print(table)
    if not all(check.ok for check in found):
        raise typer.Exit(1)


@app.command(epilog="Example: slipway settings --env-example > .env.example")
def settings(
    *, example: Annotated[bool, typer.Option("--env-example", help="Print the text of .env.example.")] = False
) -> None:
    """Show every setting with its value in force; secrets are masked."""
    if example:
        sys.stdout.write(env_example())
        return
    from slipway.pipeline.settings import ALL  # noqa: PLC0415  read where it is used

    project = Project.find()
    table = Table("setting", "value", "what it is for", box=None)
    for kind in ALL:
        values = kind.load(project)
        for name, field in kind.model_fields.items():
            table.add_row(field.alias, str(getattr(values, name)), field.description)
    console.print(table)


def _print_status(servers: list[dict[str, object]], *, as_json: bool) -> None:
    if as_json:
        print_json(servers)
        return
    table = Table("name", "state", "pid", "url", box=None)
    for server in servers:
        colour = "green" if server["state"] in {"running", "external"} else "red"
        table.add_row(
            str(server["name"]), f"[{colour}]{server['state']}[/]", str(server["pid"] or ""), str(server["url"])
        )
    console.print(table)
