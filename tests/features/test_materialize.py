import numpy as np
import pyarrow.parquet
import pytest

from slipway.features.in_memory_online import InMemoryOnline
from slipway.features.ingest import ingest
from slipway.features.materialize import materialize
from slipway.features.offline import load_training_set, training_set
from slipway.features.packing import HEADER
from slipway.features.ports import Written
from slipway.features.redis_online import RedisOnline
from slipway.features.synthetic import generate

NOW = 1_900_000_000_000


@pytest.fixture(scope="module")
def clean(tmp_path_factory, definitions):
    folder = tmp_path_factory.mktemp("clean")
    generate(1_000, seed=3).to_csv(folder / "raw.csv", index=False)
    source = definitions.source("telco")
    ingest(folder / "raw.csv", source, label="Churn", max_bad_share=0, out=folder, dvc_dir=folder / "dvc")
    return folder / "clean.parquet"


def test_served_matrix_is_the_training_matrix_bit_for_bit(clean, definitions, layout, redis_settings, tmp_path):
    feature_set = definitions.feature_set("churn")
    path = training_set(clean, definitions.source("telco"), feature_set, label="Churn", positive="Yes", out=tmp_path)
    read = load_training_set(path, layout)
    with RedisOnline(redis_settings) as online:
        seen: list[int] = []
        written = materialize(clean, feature_set.view, layout, online, now_ms=NOW, on_rows=seen.append)
        served = online.read(layout, read.entity_keys.tolist(), now_ms=NOW)
    assert written == Written(stored=1_000)
    assert seen == [1_000]
    np.testing.assert_array_equal(layout.matrix(served.rows), layout.encode(read.columns), strict=True)


def test_rows_carry_the_source_s_time_when_they_are_stored(clean, definitions, layout):
    online = InMemoryOnline()
    materialize(clean, definitions.view("customer_profile"), layout, online, now_ms=NOW)
    key = pyarrow.parquet.read_table(clean).column("entity_key")[0].as_py()
    row = online.read(layout, [key], now_ms=NOW).rows[0]
    snapshot = definitions.source("telco").snapshot_time
    assert HEADER.unpack_from(row.tobytes())[0] == int(snapshot.timestamp() * 1000)


def test_nothing_changes_when_it_runs_again(clean, definitions, layout):
    online = InMemoryOnline()
    view = definitions.view("customer_profile")
    materialize(clean, view, layout, online, now_ms=NOW)
    keys = pyarrow.parquet.read_table(clean).column("entity_key").to_pylist()
    first = online.read(layout, keys, now_ms=NOW).rows.tobytes()
    materialize(clean, view, layout, online, now_ms=NOW)
    assert online.read(layout, keys, now_ms=NOW).rows.tobytes() == first
