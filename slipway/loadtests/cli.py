"""``slipway loadtests``: load-test a running service against its objectives."""

from pathlib import Path
from typing import Annotated

import typer

from slipway.console import console, print_json
from slipway.errors import GateRefused, NotEnoughEvidence
from slipway.loadtests import slo_gate
from slipway.loadtests.profile import LoadProfile
from slipway.loadtests.run import HTML
from slipway.loadtests.run import run as run_locust
from slipway.loadtests.slo_gate import Verdict
from slipway.monitoring.slo import Slo
from slipway.project import Project, load_toml

app = typer.Typer(no_args_is_help=True, pretty_exceptions_show_locals=False)


@app.callback()
def root() -> None:
    """Load-test a service against its objectives."""


@app.command(epilog="Example: slipway loadtests run churn --against http://127.0.0.1:3000 --ids held_out.txt")
def run(
    service: Annotated[str, typer.Argument(help="A file's name in loadtests/, without its end.")],
    against: Annotated[str, typer.Option(help="Address of the running service.")],
    ids: Annotated[Path, typer.Option(help="File of entity ids, one a line.")],
    out: Annotated[Path | None, typer.Option(help="Folder for Locust's page and the figures.")] = None,
    *,
    json: Annotated[bool, typer.Option("--json", help="Print the figures to standard output.")] = False,
) -> None:
    """Run Locust and judge its figures by the objectives in bento.toml; exit 3 when an objective is missed."""
    project = Project.find()
    path = project.bentos_dir / service / "bento.toml"
    slo = Slo.parse(load_toml(path).get("slo", {}), where=str(path))
    profile = LoadProfile.load(project, service)
    folder = out or project.home / "loadtests" / service
    console.print(
        f"{profile.users} users, {profile.rps:g} requests a second, {profile.duration_s:g} s against {against}"
    )
    report = run_locust(service, against, profile, ids, folder, project=project)
    results = slo_gate.check(report, slo)
    for result in results:
        console.print(f"{result.verdict.value:<6} {result.words}")
    console.print(f"Locust's report: {project.relative(folder / HTML)}")
    if json:
        print_json(report.to_json())
    verdicts = {result.verdict for result in results}
    missed = "; ".join(result.words for result in results if result.verdict is not Verdict.PASS)
    if Verdict.FAIL in verdicts:
        raise GateRefused(missed)
    if missed:
        raise NotEnoughEvidence(missed)
