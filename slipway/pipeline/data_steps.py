"""Steps on data: ingest, and features for training and for serving."""

import json
import time
from pathlib import Path

from slipway.features import FeatureSet, RowView, Source
from slipway.features.ingest import CLEAN_FILE, QUARANTINE_FILE, ingest
from slipway.features.layout import FeatureSetLayout
from slipway.features.load import load_definitions
from slipway.features.materialize import materialize
from slipway.features.offline import training_set
from slipway.features.quality import IngestReport
from slipway.features.redis_online import RedisOnline
from slipway.features.registry import Registry
from slipway.features.synthetic import generate
from slipway.models import config as model_config
from slipway.pipeline import inputs
from slipway.pipeline.context import Ship
from slipway.settings import PostgresSettings, RedisSettings

LAYOUT_FILE = "layout.json"


def make_synthetic(ship: Ship) -> None:
    """Write the synthetic set where it isn't there yet."""
    path = inputs.synthetic_file(ship)
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        generate().to_csv(partial, index=False)
        partial.replace(path)


def run_ingest(ship: Ship, folder: Path) -> None:
    """Validate the raw file against its contract and put it under version control."""
    config = model_config.load(ship.project, ship.options.model)
    source = load_definitions(ship.project, ship.options.model).source(config.data.source)
    raw = inputs.raw_file(ship)
    report = ingest(
        raw,
        source,
        label=config.data.label,
        max_bad_share=config.data.max_bad_share,
        out=folder,
        dvc_dir=ship.project.home / "dvc",
    )
    for words in in_words(report):
        ship.say(words)


def in_words(report: IngestReport) -> list[str]:
    """Return what happened to a file's rows, a sentence each."""
    words = [f"{report.file}: {report.rows:,} rows read, {report.accepted:,} accepted"]
    words += [f"repaired {repair.rows} rows of {repair.column}: {repair.note}" for repair in report.repairs]
    if report.quarantined:
        words.append(
            f"{report.quarantined} rows in quarantine ({report.bad_share:.1%}, at most {report.max_bad_share:.1%}), "
            f"each with its reason in {QUARANTINE_FILE}"
        )
    if report.version is not None:
        words.append(f"the file is kept under version {report.version.hash}")
    return words


def run_features(ship: Ship, folder: Path) -> None:
    """Make the training set, and the layout that training and serving share."""
    config = model_config.load(ship.project, ship.options.model)
    source, feature_set, view = _definitions(ship)
    clean = ship.outputs["ingest"] / CLEAN_FILE
    made = training_set(clean, source, feature_set, label=config.data.label, positive=config.data.positive, out=folder)
    layout = FeatureSetLayout.of(feature_set, project=ship.project.name)
    (folder / LAYOUT_FILE).write_text(json.dumps(layout.to_json(), indent=1), encoding="utf-8")
    ship.say(
        f"{len(layout.features)} features of {view.name} version {layout.view_version}, "
        f"{len(layout.matrix_columns)} columns for the model, in {made.name}"
    )


def run_materialize(ship: Ship, folder: Path) -> None:
    """Write the same values to Redis, and the definitions to the registry; repeating it changes nothing."""
    _, feature_set, view = _definitions(ship)
    layout = FeatureSetLayout.of(feature_set, project=ship.project.name)
    applied = Registry(PostgresSettings.load(ship.project)).apply(load_definitions(ship.project, ship.options.model))
    if applied.changed:
        ship.say(f"registered {', '.join(applied.changed)} (revision {applied.revision})")
    with RedisOnline(RedisSettings.load(ship.project)) as online:
        written = materialize(
            ship.outputs["ingest"] / CLEAN_FILE,
            view,
            layout,
            online,
            now_ms=time.time_ns() // 1_000_000,
            on_rows=lambda rows: ship.progress(f"{rows:,} rows written to Redis"),
        )
    (folder / "written.json").write_text(json.dumps({"stored": written.stored, "older": written.older}))
    ship.say(f"{written.stored:,} customers' values in Redis ({written.older} older ones left alone)")


def layout_of(ship: Ship) -> FeatureSetLayout:
    """Return the layout that the features step wrote."""
    return FeatureSetLayout.from_json(json.loads((ship.outputs["features"] / LAYOUT_FILE).read_text(encoding="utf-8")))


def _definitions(ship: Ship) -> tuple[Source, FeatureSet, RowView]:
    config = model_config.load(ship.project, ship.options.model)
    definitions = load_definitions(ship.project, ship.options.model)
    feature_set = definitions.feature_set(config.features.set)
    return definitions.source(config.data.source), feature_set, feature_set.view
