"""The command line: one table of commands, each loaded only when it is called."""

import errno
import importlib
import signal
import sys
from typing import Annotated, Any, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup

import slipway
from slipway.console import console
from slipway.errors import SlipwayError


class Target(NamedTuple):
    """Where a command lives (``module``, and ``command`` in its app, empty for the whole app) and what it is for."""

    module: str
    command: str
    help: str


COMMANDS: dict[str, Target] = {
    "ship": Target("slipway.pipeline.cli", "ship", "Take a model from data to all of production traffic."),
    "rollback": Target("slipway.pipeline.cli", "rollback", "Take a promoted version back at once."),
    "freeze": Target("slipway.rollouts.people_cli", "freeze", "Let nothing start or advance; a way back still goes."),
    "unfreeze": Target("slipway.rollouts.people_cli", "unfreeze", "Lift a freeze."),
    "runs": Target("slipway.pipeline.runs_cli", "", "Find old runs of ship and their reports."),
    "up": Target("slipway.pipeline.cli", "up", "Start the local stack: PostgreSQL, Redis, MLflow, Envoy, controller."),
    "status": Target("slipway.pipeline.cli", "status", "Say which servers of the local stack run, and where."),
    "logs": Target("slipway.pipeline.cli", "logs", "Print the last lines that a server logged."),
    "down": Target("slipway.pipeline.cli", "down", "Stop the local stack; its data stays."),
    "doctor": Target("slipway.pipeline.cli", "doctor", "Say what this machine has, what is missing and how to get it."),
    "settings": Target("slipway.pipeline.cli", "settings", "Show every setting with its value in force."),
    "features": Target("slipway.features.cli", "", "Ingest data, look at and materialize features."),
    "models": Target("slipway.models.cli", "", "List and compare registered models."),
    "bentos": Target("slipway.bentos.cli", "", "Build and serve packaged models."),
    "loadtests": Target("slipway.loadtests.cli", "", "Load-test a service against its objectives."),
    "rollouts": Target("slipway.rollouts.cli", "", "Foresee, watch and steer rollouts."),
    "pipeline": Target("slipway.pipeline.steps_cli", "", "Run one step of ship by itself."),
}


class Lazy(TyperCommand):
    """A stand-in that knows only a command's help line until the command is called."""

    def __init__(self, name: str, target: Target) -> None:
        super().__init__(name, help=target.help)
        self.target = target

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        command: Any = typer.main.get_command(importlib.import_module(self.target.module).app)
        if self.target.command:
            command = command.commands[self.target.command]
        return command.make_context(info_name, args, parent=parent, **extra)


class Commands(TyperGroup):
    """The root command; its table is :data:`COMMANDS`."""

    def list_commands(self, _context: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, _context: Any, cmd_name: str) -> Any:
        target = COMMANDS.get(cmd_name)
        return Lazy(cmd_name, target) if target else None


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
    epilog="Start here: slipway ship churn",
)


def _version(wanted: bool) -> None:  # noqa: FBT001  typer calls it with the option's value
    if wanted:
        sys.stdout.write(f"slipway {slipway.__version__}\n")
        raise typer.Exit


@app.callback()
def root(
    *,
    _version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Slipway takes a model from git push to all of production traffic, and takes it back when the proof turns."""


def main() -> None:
    """Run the command; an error that a user can act on becomes one message and its exit code."""
    # A service manager's SIGTERM ends a command as Ctrl-C does: cleanly, and with exit code 130.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        app()
    except SlipwayError as error:
        console.print(f"[bold red]error:[/] {_escape(str(error))}", soft_wrap=True)
        sys.exit(error.exit_code)
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        where = f" for {error.filename}" if error.filename else ""
        console.print(f"[bold red]error:[/] no space left on the disk{where}; free some and run the command again")
        sys.exit(1)


def _escape(text: str) -> str:
    return text.replace("[", r"\[")
