import json
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from slipway.features import Column, DType, Entity, FeatureSet, RowView, Source, features_of
from slipway.features.errors import FeatureValueError, LayoutError
from slipway.features.layout import FeatureSetLayout
from slipway.features.packing import Status

USERS = Source(
    name="users",
    key="id",
    snapshot_time=datetime(2026, 1, 1, tzinfo=UTC),
    columns=(
        Column(name="age", dtype=DType.INT64, nullable=True),
        Column.category("sex", {"f": 0.5, "m": 0.5}),
        Column.category("plan", {"free": 0.6, "paid": 0.3, "trial": 0.1}),
        Column(name="spent", dtype=DType.FLOAT64, nullable=True, at_least=0),
        Column(name="active", dtype=DType.BOOL),
        Column.category("city", {f"c{number}": 1 / 300 for number in range(300)}),
    ),
)
PROFILE = RowView(
    name="profile",
    entity=Entity(name="user"),
    source=USERS,
    features=features_of(USERS, [column.name for column in USERS.columns], defaults={"age": 30}),
    ttl=timedelta(hours=1),
)
# Another order than the view's, and not all of it.
SET = FeatureSet(name="fraud", view=PROFILE, features=("plan", "spent", "active", "age", "sex"))
LAYOUT = FeatureSetLayout.of(SET, project="shop")
ROW = {"plan": "trial", "spent": 2.5, "active": True, "age": 40, "sex": "f"}


def test_matrix_has_a_column_per_word_when_a_category_has_more_than_two():
    assert LAYOUT.matrix_columns == ("plan=free", "plan=paid", "plan=trial", "spent", "active", "age", "sex=m")
    matrix = LAYOUT.matrix(LAYOUT.rows([ROW, {**ROW, "plan": "free", "sex": "m", "active": False}]))
    assert matrix.dtype == np.float32
    assert matrix.tolist() == [[0, 0, 1, 2.5, 1, 40, 0], [1, 0, 0, 2.5, 0, 40, 1]]


def test_matrix_is_nan_when_a_value_is_null():
    matrix = LAYOUT.matrix(LAYOUT.rows([ROW, dict.fromkeys(ROW)]))
    assert np.isnan(matrix).all(axis=1).tolist() == [False, True]
    assert not np.isnan(matrix[0]).any()
    (row,) = LAYOUT.matrix(LAYOUT.rows([{**ROW, "age": None, "plan": None}]))
    assert np.isnan(row).tolist() == [True, True, True, False, False, True, False]


def test_wide_vocabularies_reach_the_matrix_too():
    cities = FeatureSetLayout.of(replace(SET, features=("city", "age")))
    matrix = cities.encode({"city": np.array(["c0", "c299"]), "age": np.array([1, 2])})
    assert matrix.shape == (2, 301)
    assert np.flatnonzero(matrix[1]).tolist() == [299, 300]


def test_every_way_gives_the_same_matrix_when_the_values_are_the_same():
    values = [ROW, {**ROW, "plan": "paid", "age": None, "spent": 0.1}]
    by_values = LAYOUT.matrix(LAYOUT.rows(values))
    columns = {name: np.array([row[name] for row in values], object) for name in LAYOUT.features}
    read, statuses = LAYOUT.decode_matrix([row.tobytes() for row in LAYOUT.rows(values)])
    decoded = LAYOUT.decode([row.tobytes() for row in LAYOUT.pack(columns)])
    np.testing.assert_array_equal(by_values, LAYOUT.encode(columns))
    np.testing.assert_array_equal(by_values, read)
    np.testing.assert_array_equal(by_values, LAYOUT.encode(decoded.columns))
    assert decoded.values == values
    assert statuses == decoded.statuses == [Status.OK, Status.OK]


def test_row_is_all_nan_when_it_is_missing_and_keeps_its_values_when_it_is_stale():
    stored = LAYOUT.rows([ROW], event_ms=1_000)[0].tobytes()
    matrix, statuses = LAYOUT.decode_matrix([stored, None], now_ms=1_000 + 3_600_000 + 1)
    assert statuses == [Status.STALE, Status.MISSING]
    assert matrix[0].tolist() == [0, 0, 1, 2.5, 1, 40, 0]
    assert np.isnan(matrix[1]).all()


def test_key_holds_project_entity_and_version_when_it_is_made():
    assert LAYOUT.redis_key("a:1") == f"f:{{shop:user:a:1}}:profile.{PROFILE.version}".encode()


def test_given_values_replace_stored_ones_when_a_request_has_both():
    stored = LAYOUT.decode([LAYOUT.rows([ROW])[0].tobytes(), None])
    changed = LAYOUT.override(stored.rows, [{"age": None, "plan": "free"}, ROW])
    assert LAYOUT.values(changed) == [{**ROW, "age": None, "plan": "free"}, ROW]
    assert LAYOUT.values(stored.rows) == [ROW, dict.fromkeys(ROW)]
    np.testing.assert_array_equal(LAYOUT.matrix(changed)[1], LAYOUT.matrix(LAYOUT.rows([ROW]))[0])


def test_null_leaves_no_trace_when_it_is_replaced_in_every_feature_of_the_view():
    everything = FeatureSetLayout.of(replace(SET, features=tuple(f.name for f in PROFILE.features)))
    full = {**ROW, "city": "c7"}
    missing = everything.decode([None])
    assert everything.override(missing.rows, [full])[0].tobytes() == everything.rows([full])[0].tobytes()


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({**ROW, "city": "c1"}, r"features \['city'\] are not in set 'fraud'; it has \['plan'"),
        ({**ROW, "colour": "red"}, r"features \['colour'\] are not in set"),
        ({"plan": "free"}, r"features \['spent', 'active', 'age', 'sex'\] are missing"),
        ({**ROW, "plan": "gold"}, "'gold' is not one of"),
    ],
)
def test_values_are_refused_when_they_are_not_those_of_the_set(values, told):
    with pytest.raises(FeatureValueError, match=told):
        LAYOUT.rows([values])


def test_override_is_refused_when_it_names_a_feature_outside_the_set():
    with pytest.raises(FeatureValueError, match=r"features \['city'\] are not in set"):
        LAYOUT.override(LAYOUT.rows([ROW]), [{"city": "c1"}])


def test_columns_are_named_when_one_is_missing():
    with pytest.raises(FeatureValueError, match=r"columns \['plan', 'active', 'age', 'sex'\] are missing; set 'fraud'"):
        LAYOUT.encode({"spent": np.array([1.0])})


def test_default_is_refused_when_the_feature_cant_take_it():
    view = replace(PROFILE, features=features_of(USERS, ["plan"], defaults={"plan": "gold"}))
    with pytest.raises(FeatureValueError, match="feature 'plan': 'gold' is not one of"):
        FeatureSetLayout.of(FeatureSet(name="plans", view=view, features=("plan",)))


def test_layout_comes_back_when_it_went_through_json():
    read = FeatureSetLayout.from_json(json.loads(json.dumps(LAYOUT.to_json())))
    assert read == LAYOUT
    assert read.typed_features[3].default == 30
    assert read.ttl_ms == 3_600_000
    assert read.matrix_columns == LAYOUT.matrix_columns


def test_hash_stays_when_only_serving_limits_and_names_of_projects_change():
    looser = replace(PROFILE, ttl=None, description="other")
    assert FeatureSetLayout.of(replace(SET, view=looser), project="other").hash == LAYOUT.hash


def test_hash_changes_when_order_changes_while_packed_values_stay_readable():
    turned = FeatureSetLayout.of(replace(SET, features=SET.features[::-1]), project="shop")
    assert turned.hash != LAYOUT.hash
    assert turned.decode([LAYOUT.rows([ROW])[0].tobytes()]).values == [ROW]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"format": 2}, "layout has format 2, this Slipway reads 1"),
        ({"hash": "sha256:0"}, "has hash sha256:.* and says sha256:0"),
        ({"features": LAYOUT.to_json()["features"][:-1]}, "has hash"),
        ({"views": []}, "can't be read: ValueError"),
        ({"views": [{}]}, "can't be read: KeyError: 'name'"),
    ],
)
def test_layout_is_refused_when_it_was_changed(change, told):
    with pytest.raises(LayoutError, match=told):
        FeatureSetLayout.from_json(LAYOUT.to_json() | change)


def test_serving_needs_numpy_only_when_it_imports_the_layout():
    code = (
        "import sys, slipway.features.layout as _;"
        "print(sorted({m.partition('.')[0] for m in sys.modules} - sys.stdlib_module_names))"
    )
    done = subprocess.run([sys.executable, "-S", "-c", f"import sys; sys.path[:] = {sys.path!r}; {code}"],
                          capture_output=True, text=True, check=True)  # fmt: skip
    third_party = {name for name in json.loads(done.stdout.replace("'", '"')) if not name.startswith("_")}
    assert third_party == {"numpy", "slipway"}
