"""What people tell rollouts to do: approve, hold, resume, freeze, unfreeze."""

from typing import Annotated

import typer

from slipway.console import actor, console, print_json
from slipway.project import Project
from slipway.rollouts.client import Controller
from slipway.rollouts.freezes import EVERY_SERVICE

app = typer.Typer(pretty_exceptions_show_locals=False)

Json = Annotated[bool, typer.Option("--json", help="print data on standard output")]
Rollout = Annotated[str, typer.Argument(help="the rollout's id, as 'slipway rollouts status' shows it")]
Reason = Annotated[str, typer.Option(help="why, for the journal")]
Service = Annotated[str, typer.Argument(help="a service; nothing: all of them")]


@app.command(epilog="Example: slipway rollouts approve churn-3f9ac2d1b7e0-1 --reason 'seen in the report'")
def approve(rollout: Rollout, *, reason: Reason = "", json: Json = False) -> None:
    """Let a rollout whose plan asks for an approval go on to all of the traffic."""
    _say(Controller.of(Project.find()).approve(rollout, actor=actor(), reason=reason), json=json)


@app.command(epilog="Example: slipway rollouts hold churn-3f9ac2d1b7e0-1 --reason 'support asks'")
def hold(rollout: Rollout, *, reason: Reason = "", json: Json = False) -> None:
    """Keep a rollout's weight where it is; guardrails go on watching, and still take it back."""
    _say(Controller.of(Project.find()).hold(rollout, actor=actor(), reason=reason), json=json)


@app.command(epilog="Example: slipway rollouts resume churn-3f9ac2d1b7e0-1")
def resume(rollout: Rollout, *, reason: Reason = "", json: Json = False) -> None:
    """Let a rollout that is on hold go on."""
    _say(Controller.of(Project.find()).resume(rollout, actor=actor(), reason=reason), json=json)


@app.command(epilog="Example: slipway freeze churn --reason 'black friday'")
def freeze(service: Service = EVERY_SERVICE, *, reason: Reason = "", json: Json = False) -> None:
    """Let nothing start or advance, until it is lifted; a way back still goes."""
    _tell(Controller.of(Project.find()).freeze(service, actor=actor(), reason=reason), json=json)


@app.command(epilog="Example: slipway unfreeze churn")
def unfreeze(service: Service = EVERY_SERVICE, *, json: Json = False) -> None:
    """Lift a freeze."""
    _tell(Controller.of(Project.find()).unfreeze(service, actor=actor()), json=json)


def _say(row: dict[str, object], *, json: bool) -> None:
    if json:
        print_json(row)
    else:
        console.print(f"{row['id']}: {row['state']}; {row['reason'] or 'no reason yet'}")


def _tell(freezes: dict[str, dict[str, str]], *, json: bool) -> None:
    if json:
        print_json(freezes)
        return
    for name, one in freezes.items():
        what = "every service" if name == EVERY_SERVICE else name
        console.print(
            f"{what}: frozen by {one['actor']} since {one['at'][:19]}{'; ' * bool(one['reason'])}{one['reason']}"
        )
    if not freezes:
        console.print("nothing is frozen")
