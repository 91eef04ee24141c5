"""The offline engine: point-in-time training sets over Parquet files, by DuckDB."""

import errno
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow.parquet

from slipway.features.asof import asof_join, quoted
from slipway.features.definitions import ENTITY_KEY, EVENT_TIME, LABEL, DType, FeatureSet, Source
from slipway.features.errors import DefinitionError, FeatureValueError, OfflineError
from slipway.features.layout import FeatureSetLayout

TRAINING_SET_FILE = "training_set.parquet"

_SQL_TYPES = {DType.FLOAT64: "DOUBLE", DType.INT64: "BIGINT", DType.BOOL: "BOOLEAN", DType.CATEGORY: "VARCHAR"}
_ROW = "file_row_number"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSet:
    """A training set in memory; ``columns`` has the features by name, as :meth:`FeatureSetLayout.encode` takes them."""

    entity_keys: npt.NDArray[np.object_]
    event_times: npt.NDArray[np.datetime64]
    labels: npt.NDArray[np.int8]
    columns: dict[str, npt.NDArray[Any]]


def training_set(clean: Path, source: Source, feature_set: FeatureSet, *, label: str, positive: str, out: Path) -> Path:
    """Write ``out/training_set.parquet``: a row for each labelled row of the clean file, in its order.

    Columns: ``entity_key``, ``event_time`` (of the label), ``label`` (1 where it is the word ``positive``), then the
    set's features, each as it was known at the label's time. The same inputs give the same bytes.
    """
    _refuse_label(source, feature_set, label, positive)
    view = feature_set.view
    features = [view.feature(name) for name in feature_set.features]
    named = ", ".join(
        f"CAST({quoted(f.column.name)} AS {_SQL_TYPES[f.column.dtype]}) AS {quoted(f.name)}" for f in features
    )
    join = asof_join(
        events="known", labels="labelled", row_number=_ROW, tie_break=_ROW, columns=[f.name for f in features]
    )
    positive_value = positive == "1" if source.column(label).dtype is DType.BOOL else positive
    out.mkdir(parents=True, exist_ok=True)
    target = out / TRAINING_SET_FILE
    try:
        _write(clean, target, named=named, join=join, label=label, positive=positive_value)
    except duckdb.Error as error:
        target.unlink(missing_ok=True)
        if os.strerror(errno.ENOSPC) in str(error):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target)) from error
        told = str(error).partition("\n")[0]
        raise OfflineError(f"no training set from {clean}: {told}; make that file again from the raw data") from error
    return target


def _write(clean: Path, target: Path, *, named: str, join: str, label: str, positive: str | bool) -> None:
    with duckdb.connect() as database:
        file = database.read_parquet(str(clean), file_row_number=True)
        file.create_view("clean")
        database.execute(
            f"CREATE TEMP TABLE known AS SELECT {ENTITY_KEY}, {EVENT_TIME}, {_ROW}, {named} FROM clean"  # noqa: S608  declared, quoted names
        )
        database.execute(
            f"CREATE TEMP TABLE labelled AS SELECT {ENTITY_KEY}, {EVENT_TIME}, {_ROW}, "  # noqa: S608  declared, quoted names
            f"CAST({quoted(label)} = ? AS TINYINT) AS {LABEL} FROM clean WHERE {quoted(label)} IS NOT NULL",
            [positive],
        )
        database.sql(
            f"SELECT labelled.{ENTITY_KEY}, labelled.{EVENT_TIME}, labelled.{LABEL}, joined.* EXCLUDE (label_row) "  # noqa: S608  declared, quoted names
            f"FROM ({join}) AS joined JOIN labelled ON labelled.{_ROW} = joined.label_row ORDER BY joined.label_row"
        ).write_parquet(str(target), compression="zstd")


def load_training_set(path: Path, layout: FeatureSetLayout) -> TrainingSet:
    """Read a training set for a layout; one that was made for other features is refused."""
    table = pyarrow.parquet.read_table(path)
    if absent := [name for name in layout.features if name not in table.column_names]:
        raise FeatureValueError(
            f"{path} lacks the features {absent} of set {layout.name!r}; make it again from the current definitions"
        )
    return TrainingSet(
        entity_keys=table.column(ENTITY_KEY).to_numpy(),
        event_times=table.column(EVENT_TIME).to_numpy(),
        labels=table.column(LABEL).to_numpy(),
        columns={name: table.column(name).to_numpy() for name in layout.features},
    )


def _refuse_label(source: Source, feature_set: FeatureSet, label: str, positive: str) -> None:
    words = source.column(label).words
    if positive not in words:
        raise DefinitionError(
            f"label {label!r}: the positive word {positive!r} is none of {list(words)}; correct [data] in model.toml"
        )
    if leaks := [name for name in feature_set.features if feature_set.view.feature(name).column.name == label]:
        raise DefinitionError(f"feature set {feature_set.name!r} contains the label {label!r} as {leaks}; take it out")
