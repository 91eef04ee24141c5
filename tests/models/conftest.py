"""A small labelled table with a known truth, and the configuration of a model of it."""

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from slipway.features.definitions import Column, DType, Entity, FeatureSet, RowView, Source, features_of
from slipway.features.layout import FeatureSetLayout
from slipway.models import bundle, search
from slipway.models import config as model_config
from slipway.models.dataset import Dataset
from slipway.models.families import gradient_boosting, logistic_regression, random_forest, xgboost

FEATURES = ("plan", "senior", "months", "charges")
FAMILIES = (logistic_regression(), random_forest(), gradient_boosting(), xgboost())


def definitions():
    customer = Entity(name="customer")
    columns = (
        Column.category("plan", {"free": 0.4, "basic": 0.4, "gold": 0.2}),
        Column(name="senior", dtype=DType.BOOL),
        Column(name="months", dtype=DType.INT64),
        Column(name="charges", dtype=DType.FLOAT64, nullable=True),
    )
    source = Source(name="small", key="id", snapshot_time=datetime(2026, 1, 1, tzinfo=UTC), columns=columns)
    view = RowView(name="profile", entity=customer, source=source, features=features_of(source, FEATURES))
    return FeatureSet(name="small", view=view, features=FEATURES)


def table(*, rows=1500, seed=1, missing_share=0.1):
    rng = np.random.default_rng(seed)
    plan = rng.choice(["free", "basic", "gold"], p=[0.4, 0.4, 0.2], size=rows)
    senior = rng.random(rows) < 0.3
    months = rng.integers(0, 72, rows)
    charges = rng.normal(60, 25, rows)
    logit = 1.2 * (plan == "free") - 1.0 * (plan == "gold") + 0.5 * senior - 0.05 * months + 0.02 * charges - 0.8
    charges = np.where(rng.random(rows) < missing_share, np.nan, charges)
    return {
        "entity_key": [f"c{number}" for number in range(rows)],
        "event_time": [datetime(2026, 1, 1, tzinfo=UTC)] * rows,
        "label": (rng.random(rows) < 1 / (1 + np.exp(-logit))).astype(np.int8),
        "plan": plan,
        "senior": senior,
        "months": months,
        "charges": pa.array(charges, from_pandas=True),
    }


def write(path: Path, columns) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


@pytest.fixture(scope="session")
def layout():
    return FeatureSetLayout.of(definitions(), project="test")


@pytest.fixture(scope="session")
def training_set(tmp_path_factory):
    return write(tmp_path_factory.mktemp("small") / "training_set.parquet", table())


@pytest.fixture
def write_table(tmp_path):
    """Writes a table of its own: ``write_table(rows=200, change={"label": ...})`` returns the path."""

    def make(*, rows, change=None, drop=()):
        columns = table(rows=rows) | (change or {})
        kept = {name: values for name, values in columns.items() if name not in drop}
        return write(tmp_path / "training_set.parquet", kept)

    return make


@pytest.fixture(scope="session")
def config():
    return model_config.parse(
        {
            "name": "small",
            "owner": "tests",
            "purpose": "a table with a known truth",
            "limits": "not a real one",
            "data": {"source": "small", "label": "left"},
            "features": {"set": "small"},
            "search": {"budget_s": 20, "trials": 6, "folds": 3, "seed": 3},
            "slices": {"columns": ["senior"], "max_gap": 0.3},
        },
        where=Path("model.toml"),
    )


@pytest.fixture(scope="session")
def dataset(training_set, layout):
    return Dataset.load(training_set, layout)


@pytest.fixture
def renamed(tmp_path):
    """Copies a bundle under another model's name: ``renamed(folder, "other", threshold=0.4)`` returns the copy."""

    def copy(folder, name, **changes):
        loaded = bundle.load(folder)
        manifest = msgspec.structs.replace(loaded.manifest, model=name, **changes)
        return bundle.write(tmp_path / f"{name}-{manifest.identity[-8:]}", manifest=manifest, onnx=loaded.onnx)

    return copy


@pytest.fixture(scope="session")
def trained(training_set, layout, config, mlflow_uri, tmp_path_factory):
    """A whole training of six trials: the folder it filled, and its report."""
    out = tmp_path_factory.mktemp("trained")
    tags = {"git_commit": "0123abc"}
    return out, search.train(training_set, layout, config, FAMILIES, out, tracking_uri=mlflow_uri, tags=tags)
