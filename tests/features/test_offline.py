import errno
from dataclasses import replace
from datetime import UTC, datetime

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from slipway.features import Column, DType, Entity, FeatureSet, RowView, Source, features_of
from slipway.features.errors import DefinitionError, FeatureValueError, OfflineError, UnknownDefinitionError
from slipway.features.layout import FeatureSetLayout
from slipway.features.offline import load_training_set, training_set

SOURCE = Source(
    name="visits",
    key="id",
    snapshot_time=datetime(2026, 1, 1, tzinfo=UTC),
    columns=(
        Column(name="pages", dtype=DType.INT64, nullable=True),
        Column.category("Browser kind", {"a": 0.5, "b": 0.3, "c": 0.2}, nullable=True),
        Column(name="paid", dtype=DType.BOOL, nullable=True),
        Column.category("bought", {"no": 0.5, "yes": 0.5}, nullable=True),
    ),
)
VIEW = RowView(
    name="visit",
    entity=Entity(name="visitor"),
    source=SOURCE,
    features=features_of(SOURCE, ["pages", "Browser kind", "paid"]),
)
SET = FeatureSet(name="buyers", view=VIEW, features=("paid", "Browser kind", "pages"))
LAYOUT = FeatureSetLayout.of(SET)


@pytest.fixture
def clean(tmp_path):
    path = tmp_path / "clean.parquet"
    times = [datetime(2026, 1, 1, hour, tzinfo=UTC) for hour in (1, 2, 3, 2, 3)]
    table = pa.table(
        {
            "entity_key": ["x", "x", "x", "y", "y"],
            "event_time": pa.array(times, pa.timestamp("us", "UTC")),
            "pages": pa.array([1, 2, None, 4, 5], pa.int64()),
            "Browser kind": ["a", "b", "c", "a", None],
            "paid": [True, False, None, True, False],
            "bought": ["no", "yes", "yes", None, "no"],
        }
    )
    pyarrow.parquet.write_table(table, path)
    return path


def make(clean, **given):
    asked = {"label": "bought", "positive": "yes", "out": clean.parent} | given
    return training_set(clean, asked.pop("source", SOURCE), asked.pop("feature_set", SET), **asked)


def test_rows_are_the_labelled_ones_in_order_when_some_labels_are_null(clean):
    read = load_training_set(make(clean), LAYOUT)
    assert read.entity_keys.tolist() == ["x", "x", "x", "y"]
    assert read.labels.tolist() == [0, 1, 1, 0]
    assert read.event_times[1] == np.datetime64("2026-01-01T02:00:00")
    rows = LAYOUT.values(LAYOUT.pack(read.columns))
    assert rows == [
        {"paid": True, "Browser kind": "a", "pages": 1},
        {"paid": False, "Browser kind": "b", "pages": 2},
        {"paid": None, "Browser kind": "c", "pages": None},
        {"paid": False, "Browser kind": None, "pages": 5},
    ]


def test_columns_are_typed_and_ordered_when_they_are_written(clean):
    schema = pyarrow.parquet.read_schema(make(clean))
    assert schema.names == ["entity_key", "event_time", "label", "paid", "Browser kind", "pages"]
    assert [str(schema.field(name).type) for name in schema.names[2:]] == ["int8", "bool", "string", "int64"]


def test_bytes_are_equal_when_the_training_set_is_made_again(clean):
    first = make(clean).read_bytes()
    assert make(clean).read_bytes() == first


def test_flag_can_be_the_label_when_its_positive_word_is_one(clean):
    other = replace(SET, features=("pages",))
    read = load_training_set(make(clean, label="paid", positive="1", feature_set=other), FeatureSetLayout.of(other))
    assert read.labels.tolist() == [1, 0, 1, 0]


@pytest.mark.parametrize(
    ("given", "error", "told"),
    [
        ({"positive": "Yes"}, DefinitionError, r"positive word 'Yes' is none of \['no', 'yes'\]"),
        ({"label": "pages", "positive": "1"}, DefinitionError, r"positive word '1' is none of \[\]"),
        ({"label": "left"}, UnknownDefinitionError, "no column 'left'"),
        ({"label": "paid", "positive": "1"}, DefinitionError, r"set 'buyers' contains the label 'paid' as \['paid'\]"),
    ],
)
def test_label_is_refused_when_nothing_could_be_learned_from_it(clean, given, error, told):
    with pytest.raises(error, match=told):
        make(clean, **given)


def test_training_set_is_refused_when_it_was_made_for_other_features(clean):
    path = make(clean, feature_set=replace(SET, features=("pages",)))
    with pytest.raises(FeatureValueError, match=r"lacks the features \['paid', 'Browser kind'\] of set 'buyers'"):
        load_training_set(path, LAYOUT)


def test_file_is_told_when_it_was_cut_in_half(clean):
    clean.write_bytes(clean.read_bytes()[:900])
    with pytest.raises(OfflineError, match=r"no training set from .*clean.parquet: .*; make that file again"):
        make(clean)


def test_error_says_so_when_the_disk_is_full(clean):
    # /dev/full answers every write with "no space left on device".
    (clean.parent / "training_set.parquet").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left on device") as full:
        make(clean)
    assert full.value.errno == errno.ENOSPC
    assert not (clean.parent / "training_set.parquet").exists()


def test_same_rows_come_out_when_duckdb_joins_them_its_own_way(clean, tmp_path):
    ours = pyarrow.parquet.read_table(make(clean))
    theirs = duckdb.sql(
        f"""
        SELECT e.pages
        FROM (FROM '{clean}' WHERE bought IS NOT NULL) l
        ASOF LEFT JOIN '{clean}' e ON l.entity_key = e.entity_key AND l.event_time >= e.event_time
        ORDER BY l.entity_key, l.event_time
        """  # noqa: S608  the test's own file
    ).fetchall()
    assert [pages for (pages,) in theirs] == ours.column("pages").to_pylist()
