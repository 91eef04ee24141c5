"""``slipway models``: what the registry holds."""

from datetime import UTC, datetime
from typing import Annotated

import msgspec
import typer
from rich.table import Table

from slipway.console import console, print_json
from slipway.models.registry import Registry, Version
from slipway.project import Project
from slipway.settings import MlflowSettings

app = typer.Typer(no_args_is_help=True, pretty_exceptions_show_locals=False, help="List and show registered models.")

AsJson = Annotated[bool, typer.Option("--json", help="Write data to standard output.")]


@app.command("list", epilog="Example: slipway models list --json")
def list_models(*, as_json: AsJson = False) -> None:
    """List the models with their newest version, champion and challenger."""
    registry = _registry()
    rows = [
        {
            "model": name,
            "versions": len(registry.versions(name)),
            "champion": registry.champion(name),
            "challenger": registry.challenger(name),
        }
        for name in registry.models()
    ]
    if as_json:
        print_json(rows)
        return
    _print(Table("model", "versions", "champion", "challenger"), [[_cell(value) for value in r.values()] for r in rows])


@app.command(epilog="Example: slipway models show churn 2")
def show(
    name: Annotated[str, typer.Argument(help="Name of the model.")],
    version: Annotated[int | None, typer.Argument(help="A version; all of them when left out.")] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Show the versions of a model: metrics on the hold-out, lineage, aliases."""
    registry = _registry()
    found = registry.versions(name) if version is None else [registry.version(name, version)]
    if not found:
        registry.version(name, 1)  # raises, and says that there is no such model
    if as_json:
        print_json(msgspec.to_builtins(found))
    elif version is None:
        _print(
            Table("version", "aliases", "family", "ROC-AUC", "accuracy", "registered", "model"),
            [_summary(one) for one in found],
        )
    else:
        (one,) = found
        facts = {"run": one.run_id, "registered": _when(one), "aliases": ", ".join(one.aliases), **one.tags}
        _print(
            Table("", title=f"{name} {version}"),
            [[key, value] for key, value in [*facts.items(), *((k, f"{v:.4f}") for k, v in one.metrics.items())]],
        )


def _summary(one: Version) -> list[str]:
    metrics = [f"{one.metrics[name]:.4f}" if name in one.metrics else "" for name in ("roc_auc", "accuracy")]
    return [str(one.version), ", ".join(one.aliases), one.family, *metrics, _when(one), one.onnx_digest[7:19]]


def _when(one: Version) -> str:
    return datetime.fromtimestamp(one.created_ms / 1000, tz=UTC).strftime("%Y-%m-%d %H:%M UTC")


def _cell(value: object) -> str:
    return "" if value is None else str(value)


def _print(table: Table, rows: list[list[str]]) -> None:
    for row in rows:
        table.add_row(*row)
    console.print(table)


def _registry() -> Registry:
    return Registry(MlflowSettings.load(Project.find()).tracking_uri)
