"""``slipway runs``: find old runs of ship and their reports."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from slipway.console import console, print_json
from slipway.pipeline import runs
from slipway.pipeline.run import Run, StepOutcome
from slipway.project import Project

app = typer.Typer(no_args_is_help=True, pretty_exceptions_show_locals=False)

LATEST = "latest"
COLOURS = {
    "promoted": "green",
    "unchanged": "green",
    "rolled_back": "yellow",
    "rejected": "yellow",
    "held": "magenta",
    "failed": "red",
    "running": "cyan",
    "interrupted": "red",
}

AsJson = Annotated[bool, typer.Option("--json", help="Print data as JSON on standard output.")]


@app.command("list", epilog="Example: slipway runs list --json")
def list_runs(
    *,
    limit: Annotated[int, typer.Option(min=1, help="How many, the newest first.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List runs of ship, the newest first."""
    found = [run for run, _ in zip(runs.newest_first(Project.find().home), range(limit), strict=False)]
    if as_json:
        print_json([_line(run) for run in found])
    elif not found:
        console.print("no run yet; 'slipway ship churn' makes the first one")
    else:
        _print_table(found)


@app.command(epilog="Example: slipway runs show latest")
def show(
    run_id: Annotated[str, typer.Argument(metavar="ID", help="An id that 'runs list' shows, or: latest.")] = LATEST,
    *,
    as_json: AsJson = False,
) -> None:
    """Say how a run went, step by step, and where its report is."""
    home = Project.find().home
    newest = next(runs.newest_first(home), None)
    run = newest if run_id == LATEST and newest is not None else runs.load(home, run_id)
    report = _report_of(home, run)
    if as_json:
        print_json({"id": run.id, "state": runs.state(run), **run.summary(), "report": str(report or "")})
    else:
        _print_run(run, report)


def _line(run: Run) -> dict[str, Any]:
    return {
        "id": run.id,
        "model": run.model,
        "state": runs.state(run),
        "version": run.version,
        "started_at": run.started_at,
        "seconds": round(run.seconds, 3),
        "reason": run.reason,
        "report": run.report,
    }


def _report_of(home: Path, run: Run) -> Path | None:
    """Return where the report is now; a home that was moved takes its reports along."""
    inside = runs.folder_of(home, run.id) / "report.html"
    return inside if inside.is_file() else None


def _print_table(found: list[Run]) -> None:
    table = Table(box=None, pad_edge=False, expand=True)
    # An id that is cut short can't be copied; the reason gives way instead, 'runs show' has it whole.
    table.add_column("run", no_wrap=True)
    for name in ("model", "outcome", "time"):
        table.add_column(name, no_wrap=True)
    table.add_column("why", no_wrap=True, overflow="ellipsis", ratio=1)
    for run in found:
        model = run.model if run.version is None else f"{run.model} {run.version}"
        table.add_row(run.id, Text(model), _state(run), f"{run.seconds:.0f} s", Text(run.reason))
    console.print(table)


def _print_run(run: Run, report: Path | None) -> None:
    version = "" if run.version is None else f" {run.version}"
    told = Text.assemble(("run ", "dim"), run.id, ("  of ", "dim"), f"{run.model}{version}  ", _state(run))
    console.print(told.append(f"  {_started(run)} UTC", style="dim"), soft_wrap=True)
    if run.reason:
        console.print(Text(run.reason), soft_wrap=True)
    steps = Table("step", "outcome", "time", "peak memory", "decided", box=None, pad_edge=False)
    for step in run.steps:
        colour = "green" if step.outcome is StepOutcome.DONE else "yellow"
        steps.add_row(
            step.name,
            Text("cached" if step.cached else step.outcome, style=colour),
            f"{step.seconds:.1f} s",
            f"{step.peak_mb:.0f} MB" if step.peak_mb else Text("too short", style="dim"),
            Text("\n".join(step.words)),
        )
    console.print(steps)
    told = Text(str(report)) if report else Text("none was written: the run ended before that", style="dim")
    console.print(Text.assemble(("report: ", "dim"), told), soft_wrap=True)


def _state(run: Run) -> Text:
    state = runs.state(run)
    return Text(state.replace("_", " "), style=COLOURS[state])


def _started(run: Run) -> str:
    return f"{datetime.fromisoformat(run.started_at).astimezone(UTC):%Y-%m-%d %H:%M}"
