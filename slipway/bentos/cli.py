"""``slipway bentos``: build a Bento, look at releases, ask golden rows."""

from pathlib import Path
from typing import Annotated

import typer

from slipway.bentos import build as builds
from slipway.bentos import golden, releases
from slipway.bentos.errors import GoldenMismatch
from slipway.bentos.sabotage import Sabotage
from slipway.console import console, print_json
from slipway.models import bundle as bundles
from slipway.project import Project

app = typer.Typer(no_args_is_help=True, pretty_exceptions_show_locals=False)

Service = Annotated[str, typer.Argument(help="A folder's name below bentos/.")]
Bundle = Annotated[Path, typer.Option(help="Folder with model.onnx and manifest.json.")]
Json = Annotated[bool, typer.Option("--json", help="Print data to standard output.")]


@app.command(epilog="Example: slipway bentos build churn --bundle .slipway/cache/register/…/bundle")
def build(
    service: Service,
    bundle: Bundle,
    sabotage: Annotated[Sabotage | None, typer.Option(help="Break the release on purpose.")] = None,
    *,
    json: Json = False,
) -> None:
    """Package a model's bundle as a Bento."""
    project = Project.find()
    release = builds.build(service, bundle, project=project, sabotage=sabotage)
    console.print(f"{release.name}: {project.relative(project.home / release.bento)}")
    if json:
        print_json(release.to_json())


@app.command(epilog="Example: slipway bentos show churn")
def show(service: Service, *, json: Json = False) -> None:
    """Say which releases of a service are stable, on their way, and could come back."""
    found = releases.load(Project.find(), service)
    tables = {name: getattr(found, name) for name in releases.TABLES}
    for name, release in tables.items():
        console.print(f"{name:<10} {release.name if release else '-'}")
    if json:
        print_json({name: release.to_json() if release else None for name, release in tables.items()})


@app.command(epilog="Example: slipway bentos check http://127.0.0.1:3000 --bundle bundle/")
def check(
    url: Annotated[str, typer.Argument(help="Address of a running service.")], bundle: Bundle, *, json: Json = False
) -> None:
    """Ask a running service for the golden rows of a bundle; exit 3 when it answers them otherwise."""
    result = golden.check(url, bundles.load(bundle).manifest)
    if json:
        print_json({"passed": result.passed, "rows": result.rows, "words": result.words})
    if not result.passed:
        raise GoldenMismatch(result.words)
    console.print(result.words)
