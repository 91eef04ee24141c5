import math
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.features.definitions import DType
from slipway.features.errors import FeatureValueError
from slipway.features.packing import RowFormat, Status, TypedFeature

WORDS = tuple(f"w{number}" for number in range(300))
FEATURES = (
    TypedFeature(name="flag", dtype=DType.BOOL),
    TypedFeature(name="amount", dtype=DType.FLOAT64),
    TypedFeature(name="plan", dtype=DType.CATEGORY, vocabulary=("free", "paid", "trial")),
    TypedFeature(name="count", dtype=DType.INT64),
    TypedFeature(name="city", dtype=DType.CATEGORY, vocabulary=WORDS),
)
FORMAT = RowFormat(FEATURES, layout_id=0xABCDEF012345)
ROW = {"flag": True, "amount": 1.5, "plan": "trial", "count": -7, "city": "w299"}
NULLS = dict.fromkeys(ROW)

rows = st.fixed_dictionaries(
    {
        "flag": st.none() | st.booleans(),
        "amount": st.none() | st.floats(width=32, allow_nan=False, allow_infinity=False),
        "plan": st.none() | st.sampled_from(FEATURES[2].vocabulary),
        "count": st.none() | st.integers(-(2**63), 2**63 - 1),
        "city": st.none() | st.sampled_from(WORDS),
    }
)


def columns_of(values):
    return {f.name: np.array([row[f.name] for row in values], object) for f in FEATURES}


@given(st.lists(rows, min_size=1, max_size=5), st.integers(-(2**40), 2**45))
def test_values_come_back_when_they_were_packed_by_row_or_by_column(values, event_ms):
    by_row = b"".join(FORMAT.pack_one(row, event_ms) for row in values)
    by_column = FORMAT.pack(columns_of(values), event_ms)
    assert by_column.tobytes() == by_row
    assert FORMAT.values(by_column) == values


def test_layout_of_a_row_is_what_the_format_says():
    packed = FORMAT.pack_one({**ROW, "plan": None}, 1_700_000_000_123)
    event_ms, tag = struct.unpack_from("<qQ", packed)
    assert event_ms == 1_700_000_000_123
    assert tag == (0xABCDEF012345 << 16) | (1 << 8) | 1
    assert packed[16:24] == bytes([0b00100, 0, 0, 0, 0, 0, 0, 0])
    assert struct.unpack_from("<dqHBB", packed, 24) == (1.5, -7, 299, 1, 0)
    assert len(packed) == FORMAT.size == 48


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("plan", "gold", r"'plan': 'gold' is not one of \['free', 'paid', 'trial'\]"),
        ("plan", 1, "1 is not one of"),
        ("flag", "Yes", "'Yes' is not true or false"),
        ("flag", 2, "2 is not true or false"),
        ("flag", 1.0, "1.0 is not true or false"),
        ("amount", "1", "'1' is not a finite number"),
        ("amount", True, "True is not a finite number"),
        ("amount", math.inf, "inf is not a finite number"),
        ("amount", 1e39, "is not a finite number"),
        ("count", 1.5, "1.5 is not a whole number of 64 bits"),
        ("count", 2**63, "is not a whole number of 64 bits"),
        ("count", 10**30, "is not a whole number of 64 bits"),
    ],
)
def test_value_is_refused_when_its_feature_cant_take_it(name, value, told):
    with pytest.raises(FeatureValueError, match=told):
        FORMAT.pack_one({**ROW, name: value}, 0)
    with pytest.raises(FeatureValueError, match=told):
        FORMAT.pack(columns_of([{**ROW, name: value}]), 0)


@pytest.mark.parametrize(
    ("name", "column", "told"),
    [
        ("plan", np.array([0, 3]), "3 is not one of .* nor a code from 0 to 2"),
        ("plan", np.array([0.0, 1.0]), "0.0 is not one of"),
        ("flag", np.array([0.0, 2.0]), "2.0.* is not true or false"),
        ("count", np.array([0.0, 0.5]), "0.5.* is not a whole number"),
        ("amount", np.array([0.0, math.inf]), "inf.* is not a finite number"),
    ],
)
def test_column_is_refused_when_one_value_does_not_fit(name, column, told):
    good = columns_of([ROW, ROW])
    with pytest.raises(FeatureValueError, match=f"'{name}': .*{told}"):
        FORMAT.pack({**good, name: column}, 0)


def test_typed_arrays_pack_like_the_values_that_they_stand_for():
    values = [ROW, NULLS]
    typed = {
        "flag": np.array([1.0, math.nan]),
        "amount": np.array([1.5, math.nan]),
        "plan": np.array([2, -1], np.int16),
        "count": np.ma.masked_array(np.array([-7, 9]), mask=[False, True]),
        "city": np.array(["w299", None], object),
    }
    assert FORMAT.pack(typed, 5).tobytes() == FORMAT.pack(columns_of(values), 5).tobytes()
    whole = {"flag": np.array([True, False]), "count": np.array([3.0, math.nan]), "amount": np.array([1, 2])}
    assert FORMAT.values(FORMAT.pack({**typed, **whole}, 5))[0] == {**ROW, "count": 3, "amount": 1.0}


def test_status_tells_what_was_found_when_values_are_read():
    fresh = FORMAT.pack_one(ROW, 1_000)
    other = RowFormat(FEATURES, layout_id=7).pack_one(ROW, 1_000)
    newer = bytearray(fresh)
    newer[9] += 1  # the format's number
    read, statuses = FORMAT.unpack(
        [fresh, None, other, bytes(newer), b"", fresh[:-1], fresh + b"x"], now_ms=2_000, ttl_ms=1_000
    )
    mismatch = Status.LAYOUT_MISMATCH
    assert statuses == [Status.OK, Status.MISSING, *[mismatch] * 5]
    assert FORMAT.values(read) == [ROW, *[NULLS] * 6]


@pytest.mark.parametrize(("now_ms", "status"), [(2_000, Status.OK), (2_001, Status.STALE)])
def test_row_is_stale_when_it_is_older_than_its_ttl(now_ms, status):
    read, statuses = FORMAT.unpack([FORMAT.pack_one(ROW, 1_000)], now_ms=now_ms, ttl_ms=1_000)
    assert statuses == [status]
    assert FORMAT.values(read) == [ROW]


def test_nothing_is_read_when_nothing_was_asked():
    read, statuses = FORMAT.unpack([], now_ms=0, ttl_ms=None)
    assert (len(read), statuses) == (0, [])
