"""``slipway rollouts``: look at rollouts and stop them; a client of the controller."""

import getpass
from typing import Annotated, Any

import typer
from rich.table import Table

from slipway.console import console, print_json
from slipway.project import Project
from slipway.rollouts.client import Controller

app = typer.Typer(no_args_is_help=True, pretty_exceptions_show_locals=False, help="Look at and stop rollouts.")

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
    _show([Controller.of(Project.find()).abort(rollout, reason=reason, actor=getpass.getuser())], json=json)


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
