"""``slipway pipeline STEP MODEL``: one step of ``ship`` by itself, on what the earlier ones left."""

from pathlib import Path
from typing import Annotated

import typer

from slipway.console import actor
from slipway.pipeline.context import Options
from slipway.pipeline.settings import PipelineSettings
from slipway.pipeline.ship import STEPS, ship
from slipway.project import Project

app = typer.Typer(no_args_is_help=True, pretty_exceptions_show_locals=False)


def _add(name: str, about: str) -> None:
    @app.command(name, help=f"{about[0].upper()}{about[1:]}.", epilog=f"Example: slipway pipeline {name} churn")
    def _run(
        model: Annotated[str, typer.Argument(help="Folder below models/.")] = "churn",
        *,
        data: Annotated[Path | None, typer.Option(help="The file that the earlier steps were run on.")] = None,
        force: Annotated[bool, typer.Option("--force", help="Run it again although nothing changed.")] = False,
    ) -> None:
        project = Project.find()
        settings = PipelineSettings.load(project)
        options = Options(
            model=model, data=data or settings.data, rps=settings.rps, first=name, last=name, force=force, actor=actor()
        )
        run = ship(project, options)
        raise typer.Exit(run.outcome.exit_code if run.outcome else 1)


for _step in STEPS:
    _add(_step.name, _step.about)
