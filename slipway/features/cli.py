"""``slipway features``: ingest data, make training sets, fill and read the online store."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from slipway.console import console, print_json
from slipway.errors import UsageError
from slipway.features.layout import FeatureSetLayout
from slipway.features.load import load_definitions
from slipway.features.model_data import ModelData
from slipway.features.packing import HEADER, Status
from slipway.features.redis_online import RedisOnline
from slipway.project import Project
from slipway.settings import PostgresSettings, RedisSettings

# What needs pandas, DuckDB or PostgreSQL is imported by the command that uses it: `get` answers at once.

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_show_locals=False)

Model = Annotated[str, typer.Option(help="Folder below models/: its [data] and [features] tables say what is meant.")]
Out = Annotated[Path | None, typer.Option(help="Folder for the results; default: .slipway/features/MODEL.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print data as JSON on standard output.")]


@app.command(epilog="Example: slipway features ingest customers.csv --model churn")
def ingest(
    file: Annotated[Path, typer.Argument(help="A CSV file.")],
    *,
    model: Model = "churn",
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Check a raw file against its contract; write clean.parquet, quarantine.csv and quality.json, and version it."""
    from slipway.features.ingest import ingest as run  # noqa: PLC0415  heavy

    project = Project.find()
    data = ModelData.load(project, model).data
    folder = out or _folder(project, model)
    report = run(
        file,
        load_definitions(project).source(data.source),
        label=data.label,
        max_bad_share=data.max_bad_share,
        out=folder,
        dvc_dir=project.home / "dvc",
    )
    if as_json:
        print_json(report.to_json())
        return
    console.print(f"{report.accepted:,} of {report.rows:,} rows accepted, {report.quarantined:,} quarantined")
    for repair in report.repairs:
        console.print(f"  repaired: {repair.column} in {repair.rows:,} rows, {repair.note}", markup=False)
    for reason in report.reasons:
        console.print(f"  refused: {reason.column} {reason.reason} in {reason.rows:,} rows", markup=False)
    console.print(f"version {report.version.hash if report.version else '-'}; results in {project.relative(folder)}")


@app.command("training-set", epilog="Example: slipway features training-set --model churn")
def training_set(*, model: Model = "churn", out: Out = None) -> None:
    """Make the training set of a model from what `ingest` left: point in time, a row per label."""
    from slipway.features.offline import training_set as run  # noqa: PLC0415  heavy

    project = Project.find()
    wanted = ModelData.load(project, model)
    definitions = load_definitions(project)
    folder = out or _folder(project, model)
    path = run(
        _clean_file(project, folder),
        definitions.source(wanted.data.source),
        definitions.feature_set(wanted.features.set),
        label=wanted.data.label,
        positive=wanted.data.positive,
        out=folder,
    )
    console.print(f"written: {project.relative(path)}")


@app.command(epilog="Example: slipway features apply")
def apply(*, as_json: AsJson = False) -> None:
    """Record all definitions in the registry; versions that exist already are left alone."""
    from slipway.features.registry import Registry  # noqa: PLC0415  heavy

    project = Project.find()
    applied = Registry.migrated(PostgresSettings.load(project)).apply(load_definitions(project))
    if as_json:
        print_json({"revision": applied.revision, "changed": applied.changed})
        return
    for name in applied.changed:
        console.print(f"  recorded: {name}")
    console.print(f"revision {applied.revision}{'' if applied.changed else ', nothing changed'}")


@app.command(epilog="Example: slipway features materialize --model churn")
def materialize(*, model: Model = "churn", out: Out = None) -> None:
    """Write the newest values of a model's features from what `ingest` left to Redis."""
    from slipway.features.materialize import materialize as run  # noqa: PLC0415  heavy

    project = Project.find()
    definitions = load_definitions(project)
    feature_set = definitions.feature_set(ModelData.load(project, model).features.set)
    layout = FeatureSetLayout.of(feature_set, project=project.name)
    clean = _clean_file(project, out or _folder(project, model))
    with RedisOnline(RedisSettings.load(project)) as online:
        written = run(clean, feature_set.view, layout, online, now_ms=_now_ms())
    console.print(
        f"{layout.view}.{layout.view_version}: {written.stored:,} written, {written.older:,} older than what is there, "
        f"{written.expired:,} expired"
    )


@app.command(epilog="Example: slipway features get customer=7590-VHVEG --set churn")
def get(
    entity: Annotated[str, typer.Argument(metavar="ENTITY=KEY", help="Whose features.")],
    *,
    name: Annotated[str, typer.Option("--set", help="A feature set.")] = "churn",
    as_json: AsJson = False,
) -> None:
    """Show what serving would read now: values, their status and age, and the version of the view."""
    project = Project.find()
    layout = FeatureSetLayout.of(load_definitions(project).feature_set(name), project=project.name)
    key = _key(entity, layout)
    now_ms = _now_ms()
    with RedisOnline(RedisSettings.load(project)) as online:
        decoded = online.read(layout, [key], now_ms=now_ms)
    (status,), (values,) = decoded.statuses, decoded.values
    found = status in {Status.OK, Status.STALE}
    event_ms = HEADER.unpack_from(decoded.rows.tobytes())[0] if found else None
    if as_json:
        print_json(
            {
                "entity": layout.entity,
                "key": key,
                "status": status,
                "view": layout.view,
                "version": layout.view_version,
                "event_time": None if event_ms is None else _time(event_ms).isoformat(),
                "age_s": None if event_ms is None else (now_ms - event_ms) / 1000,
                "values": values if found else None,
            }
        )
    elif not found:
        console.print(f"{layout.entity} {key}: {status}; 'slipway features materialize' fills the store", markup=False)
    else:
        assert event_ms is not None  # noqa: S101  found says so
        table = Table(title=f"{layout.entity} {key}: {status}, {layout.view}.{layout.view_version}, {_time(event_ms)}")
        table.add_column("feature")
        table.add_column("value")
        for feature, value in values.items():
            table.add_row(feature, "" if value is None else str(value))
        console.print(table)
    if not found:
        raise typer.Exit(1)


@app.command(epilog="Example: slipway features synthesize customers.csv --rows 10000 --seed 7")
def synthesize(
    file: Annotated[Path, typer.Argument(help="The CSV file to write.")],
    *,
    rows: Annotated[int, typer.Option(min=1, help="How many customers.")] = 10_000,
    seed: Annotated[int, typer.Option(help="The same seed gives the same customers.")] = 7,
) -> None:
    """Write Telco-like customers with a known truth, to try things out without data of your own."""
    from slipway.features.synthetic import generate  # noqa: PLC0415  heavy

    generate(rows, seed).to_csv(file, index=False)
    console.print(f"written: {file}, {rows:,} rows")


def _folder(project: Project, model: str) -> Path:
    return project.home / "features" / model


def _clean_file(project: Project, folder: Path) -> Path:
    path = folder / "clean.parquet"
    if not path.is_file():
        raise UsageError(f"{project.relative(path)} does not exist; run 'slipway features ingest FILE' first")
    return path


def _key(entity: str, layout: FeatureSetLayout) -> str:
    name, sign, key = entity.partition("=")
    if not sign or not key:
        raise UsageError(f"{entity!r} is not ENTITY=KEY; write it like {layout.entity}=7590-VHVEG")
    if name != layout.entity:
        raise UsageError(f"feature set {layout.name!r} is about {layout.entity!r}, not {name!r}")
    return key


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _time(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)
