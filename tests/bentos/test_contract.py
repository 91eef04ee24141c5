import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.bentos.contract import Contract, defaults_of
from slipway.bentos.policy import Policy
from slipway.bentos.problem import Refused
from slipway.features.layout import FeatureSetLayout

NOW_MS = 1_700_000_000_000


@pytest.fixture
def contract(layout: FeatureSetLayout) -> Contract:
    return Contract(layout, Policy(max_rows=3))


def body(*rows: Any) -> bytes:
    return json.dumps({"rows": rows}).encode()


def test_a_row_is_a_key_when_only_an_entity_is_given(contract: Contract, layout: FeatureSetLayout) -> None:
    (row,) = contract.parse(body({"entity_id": "a1"}), now_ms=NOW_MS)
    assert (row.key, row.changes, row.packed) == (layout.redis_key("a1"), None, None)


def test_a_row_is_packed_when_all_features_are_given(contract: Contract, layout: FeatureSetLayout, rows: Any) -> None:
    for source in rows:
        (row,) = contract.parse(body({"features": source}), now_ms=NOW_MS)
        assert row.packed == layout.rows([source], event_ms=NOW_MS).tobytes()
        assert row.key is None


def test_no_look_up_is_needed_when_all_features_of_an_entity_are_given(contract: Contract, rows: Any) -> None:
    (row,) = contract.parse(body({"entity_id": "a1", "features": rows[0]}), now_ms=NOW_MS)
    assert row.key is None
    assert row.packed is not None


def test_given_features_are_changes_when_some_of_an_entity_are_given(contract: Contract) -> None:
    (row,) = contract.parse(body({"entity_id": "a1", "features": {"plan": "gold", "income": None}}), now_ms=NOW_MS)
    assert row.changes == {"plan": "gold", "income": None}
    assert row.key is not None


@pytest.mark.parametrize("flag", [0, 1, True, False])
def test_a_flag_may_be_a_number_or_a_truth_value_when_given(contract: Contract, rows: Any, flag: Any) -> None:
    (row,) = contract.parse(body({"features": rows[0] | {"senior": flag}}), now_ms=NOW_MS)
    assert row.packed is not None


@pytest.mark.parametrize(
    ("content", "field", "words"),
    [
        ({"rows": []}, "rows", "length >= 1"),
        ({"rows": [{"entity_id": "a"}] * 4}, "rows", "length <= 3"),
        ({"rows": {}}, "rows", "Expected `array`"),
        ({"row": []}, "row", "unknown field `row`"),
        ({}, "rows", "missing required field `rows`"),
        ([], "", "Expected `object`"),
        (None, "", "Expected `object`"),
        ({"rows": [{}]}, "rows[0]", "Give `entity_id`, `features` or both"),
        ({"rows": [{"entity_id": "a"}, {"entity_id": ""}]}, "rows[1].entity_id", "length >= 1"),
        ({"rows": [{"entity_id": "x" * 201}]}, "rows[0].entity_id", "length <= 200"),
        ({"rows": [{"entity_id": 7}]}, "rows[0].entity_id", "got `int`"),
        ({"rows": [{"entity_id": "a", "feature": {}}]}, "rows[0].feature", "unknown field `feature`"),
        ({"rows": [{"features": {"tenure": 3}}]}, "rows[0].features", "missing are plan, home city, senior"),
        ({"rows": [{"entity_id": "a", "features": {"tenur": 3}}]}, "rows[0].features.tenur", "unknown field `tenur`"),
        ({"rows": [{"entity_id": "a", "features": {"tenure": "3"}}]}, "rows[0].features.tenure", "got `str`"),
        ({"rows": [{"entity_id": "a", "features": {"tenure": 3.5}}]}, "rows[0].features.tenure", "got `float`"),
        ({"rows": [{"entity_id": "a", "features": {"tenure": 601}}]}, "rows[0].features.tenure", "<= 600"),
        ({"rows": [{"entity_id": "a", "features": {"tenure": True}}]}, "rows[0].features.tenure", "got `bool`"),
        ({"rows": [{"entity_id": "a", "features": {"charges": -1}}]}, "rows[0].features.charges", ">= 0"),
        ({"rows": [{"entity_id": "a", "features": {"charges": 1e39}}]}, "rows[0].features.charges", "<= 3.4"),
        ({"rows": [{"entity_id": "a", "features": {"charges": None}}]}, "rows[0].features.charges", "got `null`"),
        ({"rows": [{"entity_id": "a", "features": {"senior": 2}}]}, "rows[0].features.senior", "Invalid enum value 2"),
        (
            {"rows": [{"entity_id": "a", "features": {"home city": "Bonn"}}]},
            "rows[0].features.home city",
            "Invalid enum value 'Bonn'; allowed are Oslo, Rome",
        ),
    ],
)
def test_a_body_is_refused_with_its_field_when_it_breaks_the_contract(
    contract: Contract, content: Any, field: str, words: str
) -> None:
    with pytest.raises(Refused) as refusal:
        contract.parse(json.dumps(content).encode(), now_ms=NOW_MS)
    problem = refusal.value.problem
    assert (problem.status, problem.field) == (422, field)
    assert words in problem.detail


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b'{"rows":[{"entity_id":"a"}]}x',
        b'{"rows":[{"entity_id":"\xff"}]}',
        b"\xef\xbb\xbf{}",
        '{"rows":[]}'.encode("utf-16"),
        b'{"rows":[{"entity_id":"a","features":{"charges":NaN}}]}',
        b'{"rows":[{"entity_id":"a","features":{"charges":Infinity}}]}',
    ],
)
def test_a_body_is_malformed_when_it_is_no_json(contract: Contract, content: bytes) -> None:
    with pytest.raises(Refused) as refusal:
        contract.parse(content, now_ms=NOW_MS)
    assert refusal.value.problem.status == 400


@pytest.mark.parametrize("start", [b"[", b'{"rows":', b'{"x":', b'{"rows":[{"features":{"plan":'])
def test_a_body_is_refused_when_it_is_nested_without_end(contract: Contract, start: bytes) -> None:
    with pytest.raises(Refused) as refusal:
        contract.parse(start + b"[" * 100_000, now_ms=NOW_MS)
    assert refusal.value.problem.status in {400, 422}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["rows", "entity_id", "features", "plan", "tenure", "x"]), inner, max_size=4)
    ),
    max_leaves=12,
)


def check_any_body(make: Callable[[], FeatureSetLayout], content: bytes) -> None:
    try:
        found: Any = Contract(make(), Policy()).parse(content, now_ms=NOW_MS)
    except Refused as refusal:
        found = refusal.problem.status in {400, 422}
    assert found


def test_any_json_is_rows_or_a_problem_when_parsed(layout_with: Callable[[], FeatureSetLayout]) -> None:
    @given(JSON | st.fixed_dictionaries({"rows": st.lists(st.dictionaries(st.sampled_from(["features"]), JSON))}))
    def check(content: Any) -> None:
        check_any_body(layout_with, json.dumps(content).encode())

    check()


def test_any_bytes_are_rows_or_a_problem_when_parsed(layout_with: Callable[[], FeatureSetLayout]) -> None:
    @given(st.binary(max_size=60))
    def check(content: bytes) -> None:
        check_any_body(layout_with, content)

    check()


def test_features_that_need_a_default_are_named_when_they_have_none(
    layout_with: Callable[..., FeatureSetLayout],
) -> None:
    assert defaults_of(layout_with(defaults={"plan": "gold", "senior": False}))[1] == ["home city", "tenure", "charges"]
