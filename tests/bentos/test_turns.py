import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from slipway.bentos.contract import Row
from slipway.bentos.errors import ServiceUnreadable
from slipway.bentos.instruments import Instruments
from slipway.bentos.policy import Missing, Policy, Stale
from slipway.bentos.ports import FeaturesUnavailable
from slipway.bentos.problem import Refused
from slipway.bentos.turns import Scored, Turns
from slipway.features.layout import FeatureSetLayout

NOW_MS = 1_700_000_000_000


class SumScorer:
    """Scores a row with the sum of its columns, and remembers how many rows each call had."""

    def __init__(self) -> None:
        self.calls: list[int] = []

    def score(self, matrix: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        self.calls.append(len(matrix))
        return matrix.sum(axis=1)


class SlowStore:
    """An in-memory store whose answers take a moment, and fail while ``broken``."""

    def __init__(self, values: Mapping[bytes, bytes]) -> None:
        self.values = values
        self.calls: list[int] = []
        self.broken = False

    async def get(self, keys: Sequence[bytes]) -> Sequence[bytes | None]:
        self.calls.append(len(keys))
        await asyncio.sleep(0.01)
        if self.broken:
            msg = "the store is gone"
            raise FeaturesUnavailable(msg, late=False)
        return [self.values.get(key) for key in keys]

    async def close(self) -> None:
        pass


class Bench:
    """Turns over a store with three entities, and everything that they touch."""

    def __init__(self, layout: FeatureSetLayout, rows: Sequence[Any], policy: Policy | None = None) -> None:
        self.layout = layout
        self.rows = rows
        self.scorer: Any = SumScorer()
        self.instruments = Instruments()
        packed = [layout.rows([row], event_ms=NOW_MS).tobytes() for row in rows]
        self.store = SlowStore({layout.redis_key(f"a{n}"): value for n, value in enumerate(packed)})
        self.turns = Turns(
            layout=layout,
            scorer=self.scorer,
            store=self.store,
            policy=policy or Policy(),
            instruments=self.instruments,
            now_ms=lambda: NOW_MS,
        )

    def by_id(self, number: int, **changes: Any) -> Row:
        return Row(self.layout.redis_key(f"a{number}"), changes or None)

    def given(self, number: int) -> Row:
        return Row(None, None, self.layout.rows([self.rows[number]]).tobytes())

    def expected(self, number: int, **changes: Any) -> float:
        row = self.rows[number] | changes
        return float(self.layout.matrix(self.layout.rows([row])).sum(axis=1)[0])


@pytest.fixture
def bench(layout: FeatureSetLayout, rows: Any) -> Bench:
    # The second row has a null, whose sum is no number.
    return Bench(layout, [row | {"income": 1.0} for row in rows])


def test_requests_share_look_up_and_call_when_they_wait_in_one_turn(bench: Bench) -> None:
    async def ask() -> list[list[Scored]]:
        return await asyncio.gather(*(bench.turns.submit([bench.by_id(n % 3)]) for n in range(9)))

    answers = asyncio.run(ask())
    assert [answer[0] for answer in answers] == [Scored(pytest.approx(bench.expected(n % 3)), "ok") for n in range(9)]
    assert bench.store.calls == [9]
    assert bench.scorer.calls == [9]


def test_requests_gather_for_the_next_turn_when_a_look_up_is_under_way(bench: Bench) -> None:
    async def ask() -> None:
        first = bench.turns.submit([bench.by_id(0)])
        await asyncio.sleep(0.005)
        later = [bench.turns.submit([bench.by_id(1)]) for _ in range(5)]
        await asyncio.gather(first, *later)

    asyncio.run(ask())
    assert bench.store.calls == [1, 5]


def test_nothing_is_looked_up_when_all_is_given(bench: Bench) -> None:
    async def ask() -> list[Scored]:
        return await bench.turns.submit([bench.given(0), bench.given(2)])

    answer = asyncio.run(ask())
    assert answer == [Scored(pytest.approx(bench.expected(n)), "given") for n in (0, 2)]
    assert bench.store.calls == []


def test_rows_keep_their_order_when_given_and_looked_up_ones_are_mixed(bench: Bench) -> None:
    async def ask() -> list[Scored]:
        rows = [bench.by_id(2), bench.given(0), bench.by_id(1, tenure=9, plan="silver"), bench.by_id(0)]
        return await bench.turns.submit(rows)

    answer = asyncio.run(ask())
    assert answer == [
        Scored(pytest.approx(bench.expected(2)), "ok"),
        Scored(pytest.approx(bench.expected(0)), "given"),
        Scored(pytest.approx(bench.expected(1, tenure=9, plan="silver")), "ok"),
        Scored(pytest.approx(bench.expected(0)), "ok"),
    ]


def test_turns_stay_short_when_very_many_rows_wait(bench: Bench) -> None:
    async def ask() -> None:
        await asyncio.gather(*(bench.turns.submit([bench.by_id(0)] * 200) for _ in range(5)))
        await bench.turns.submit([bench.by_id(0)] * 700)

    asyncio.run(ask())
    assert bench.store.calls == [400, 400, 200, 700]


def refusal_of(bench: Bench, *rows: Row) -> Refused:
    async def ask() -> Refused:
        with pytest.raises(Refused) as caught:
            await bench.turns.submit(rows)
        return caught.value

    return asyncio.run(ask())


def test_an_unknown_entity_is_refused_by_its_row_when_the_policy_is_fail(bench: Bench) -> None:
    problem = refusal_of(bench, bench.by_id(0), bench.by_id(77)).problem
    assert (problem.status, problem.field) == (422, "rows[1].entity_id")
    assert "no stored features" in problem.detail


def test_another_request_of_the_turn_is_answered_when_one_is_refused(bench: Bench) -> None:
    async def ask() -> list[Any]:
        requests = [bench.turns.submit([bench.by_id(n)]) for n in (77, 1)]
        return await asyncio.gather(*requests, return_exceptions=True)

    refused, answered = asyncio.run(ask())
    assert isinstance(refused, Refused)
    assert answered == [Scored(pytest.approx(bench.expected(1)), "ok")]


def test_a_value_of_another_layout_is_refused_when_found(bench: Bench) -> None:
    bench.store.values = {bench.layout.redis_key("a0"): b"\0" * 64}
    assert "another layout" in refusal_of(bench, bench.by_id(0)).problem.detail


@pytest.fixture
def defaults() -> dict[str, Any]:
    return {"plan": "basic", "home city": "Rome", "senior": False, "tenure": 12, "charges": 5.0, "income": 2.0}


def test_an_unknown_entity_is_scored_on_defaults_when_the_policy_is_default(
    layout_with: Callable[..., FeatureSetLayout], rows: Any, defaults: dict[str, Any]
) -> None:
    bench = Bench(layout_with(defaults=defaults), [defaults, *rows[:1]], Policy(missing=Missing.DEFAULT))

    async def ask() -> list[Scored]:
        return await bench.turns.submit([bench.by_id(1), bench.by_id(77), bench.by_id(78, tenure=600)])

    assert asyncio.run(ask()) == [
        Scored(pytest.approx(bench.expected(1)), "ok"),
        Scored(pytest.approx(bench.expected(0)), "missing"),
        Scored(pytest.approx(bench.expected(0, tenure=600)), "missing"),
    ]


def test_defaults_are_refused_at_the_start_when_a_feature_has_none(layout: FeatureSetLayout, rows: Any) -> None:
    with pytest.raises(ServiceUnreadable, match="plan, home city, senior, tenure, charges have none"):
        Bench(layout, rows, Policy(missing=Missing.DEFAULT))


@pytest.mark.parametrize("stale", list(Stale))
def test_stale_features_follow_the_policy_when_past_their_time(
    layout_with: Callable[..., FeatureSetLayout], rows: Any, stale: Stale
) -> None:
    bench = Bench(layout_with(ttl=timedelta(hours=1)), rows, Policy(stale=stale))
    old = NOW_MS - 2 * 3_600_000
    bench.store.values = {bench.layout.redis_key("a0"): bench.layout.rows([rows[0]], event_ms=old).tobytes()}
    if stale is Stale.FAIL:
        assert "past their time to live" in refusal_of(bench, bench.by_id(0)).problem.detail
    else:
        answer = asyncio.run(_submit(bench, bench.by_id(0)))
        assert answer == [Scored(pytest.approx(bench.expected(0)), "stale")]


async def _submit(bench: Bench, *rows: Row) -> list[Scored]:
    return await bench.turns.submit(rows)


def test_requests_are_refused_for_now_when_the_store_is_gone(bench: Bench) -> None:
    bench.store.broken = True
    problem = refusal_of(bench, bench.by_id(0)).problem
    assert (problem.status, problem.retry_after_s) == (503, 1)
    assert "the store is gone" in problem.detail


def test_requests_are_answered_again_when_the_store_is_back(bench: Bench) -> None:
    async def ask() -> list[Scored]:
        bench.store.broken = True
        with pytest.raises(Refused):
            await bench.turns.submit([bench.by_id(0)])
        bench.store.broken = False
        return await bench.turns.submit([bench.by_id(0)])

    assert asyncio.run(ask())[0].features == "ok"


def test_defaults_stand_in_when_the_store_is_gone_and_the_policy_is_default(
    layout_with: Callable[..., FeatureSetLayout], defaults: dict[str, Any]
) -> None:
    bench = Bench(layout_with(defaults=defaults), [defaults], Policy(missing=Missing.DEFAULT))
    bench.store.broken = True
    assert asyncio.run(_submit(bench, bench.by_id(0))) == [Scored(pytest.approx(bench.expected(0)), "unavailable")]


def test_a_request_is_turned_away_when_too_many_rows_wait(layout: FeatureSetLayout, rows: Any) -> None:
    bench = Bench(layout, rows, Policy(waiting_rows=10))

    async def ask() -> list[Scored]:
        waiting = bench.turns.submit([bench.by_id(0)] * 8)
        with pytest.raises(Refused, match="8 rows are waiting, allowed are 10") as refusal:
            bench.turns.submit([bench.by_id(0)] * 3)
        assert (refusal.value.problem.status, refusal.value.problem.retry_after_s) == (503, 1)
        await waiting
        # A queue that is empty takes a request of any length that the contract allows.
        return await bench.turns.submit([bench.by_id(0)] * 11)

    assert len(asyncio.run(ask())) == 11


def test_a_score_that_is_no_number_is_an_error_when_the_model_gives_one(bench: Bench) -> None:
    problem = refusal_of(bench, bench.by_id(0), bench.by_id(1, income=None)).problem
    assert (problem.status, problem.field) == (500, "rows[1]")


def test_each_request_of_a_turn_fails_and_the_next_works_when_the_model_breaks(bench: Bench) -> None:
    def broken(matrix: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        msg = f"no memory for {len(matrix)} rows"
        raise MemoryError(msg)

    works, bench.scorer.score = bench.scorer.score, broken

    async def ask() -> list[Any]:
        requests = [bench.turns.submit([bench.by_id(0)]), bench.turns.submit([bench.given(0)])]
        results = await asyncio.gather(*requests, return_exceptions=True)
        bench.scorer.score = works
        return [*results, await bench.turns.submit([bench.by_id(0)])]

    first, second, third = asyncio.run(ask())
    assert isinstance(first, MemoryError)
    assert isinstance(second, MemoryError)
    assert third[0].features == "ok"


def test_nothing_breaks_when_a_client_left_before_its_turn(bench: Bench) -> None:
    async def ask() -> list[Scored]:
        left, stays = bench.turns.submit([bench.by_id(0)]), bench.turns.submit([bench.by_id(1)])
        refused = bench.turns.submit([bench.by_id(77)])
        left.cancel()
        refused.cancel()
        return await stays

    assert asyncio.run(ask()) == [Scored(pytest.approx(bench.expected(1)), "ok")]


def test_close_waits_for_answers_when_a_look_up_is_under_way(bench: Bench) -> None:
    async def ask() -> bool:
        answer = bench.turns.submit([bench.by_id(0)])
        await asyncio.sleep(0)
        await bench.turns.close()
        return answer.done()

    assert asyncio.run(ask())
