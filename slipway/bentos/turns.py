"""Turns: requests that wait in the same turn of the event loop share one look-up and one call of the model.

While a look-up is under way, new requests gather for the next one; so the busier the process, the larger its turns
and the less each row costs. Nothing waits for a timer.
"""

import asyncio
import logging
import math
import time
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from slipway.bentos.contract import Row, defaults_of
from slipway.bentos.errors import ServiceUnreadable
from slipway.bentos.instruments import Instruments
from slipway.bentos.policy import Missing, Policy, Stale
from slipway.bentos.ports import FeaturesUnavailable, StoredFeatures
from slipway.bentos.problem import Refused, refused
from slipway.bentos.scorer import Scorer
from slipway.features.layout import FeatureSetLayout
from slipway.features.packing import Status

logger = logging.getLogger(__name__)

# Past this a turn holds up the event loop for longer than a look-up takes.
TURN_ROWS = 512

GIVEN = "given"
UNAVAILABLE = "unavailable"


class Scored(NamedTuple):
    """A row's score, and where its features came from or in what state they were."""

    score: float
    features: str


Answer = asyncio.Future[list[Scored]]


class _Work(NamedTuple):
    rows: Sequence[Row]
    answer: Answer


class Turns:
    """Scores the rows of requests, many requests at a time."""

    def __init__(
        self,
        *,
        layout: FeatureSetLayout,
        scorer: Scorer,
        store: StoredFeatures,
        policy: Policy,
        instruments: Instruments,
        now_ms: Callable[[], int],
    ) -> None:
        self._layout = layout
        self._scorer = scorer
        self._store = store
        self._policy = policy
        self._instruments = instruments
        self._now_ms = now_ms
        self._given: list[_Work] = []
        self._waiting: list[_Work] = []
        self._waiting_rows = 0
        self._runner: asyncio.Task[None] | None = None
        self._default = _default_of(layout) if policy.missing is Missing.DEFAULT else None
        instruments.waiting_rows.set_function(lambda: self._waiting_rows)

    def submit(self, rows: Sequence[Row]) -> Answer:
        """Return a future of the rows' scores; the turn it takes part in begins after the current one.

        Raises:
            Refused: 503, when more rows wait than the policy allows.
        """
        loop = asyncio.get_running_loop()
        if self._waiting_rows + len(rows) > self._policy.waiting_rows and self._waiting_rows:
            detail = f"{self._waiting_rows} rows are waiting, allowed are {self._policy.waiting_rows}"
            raise refused(503, "overloaded", "Overloaded", detail, retry_after_s=1)
        work = _Work(rows, loop.create_future())
        self._waiting_rows += len(rows)
        if any(row.key is not None for row in rows):
            self._waiting.append(work)
            if self._runner is None:
                self._runner = loop.create_task(self._run())
        else:
            if not self._given:
                loop.call_soon(self._score_given)
            self._given.append(work)
        return work.answer

    async def close(self) -> None:
        """Wait for the turn under way, then let go of the store."""
        while self._runner is not None:
            await asyncio.wait([self._runner])
        await self._store.close()

    def _score_given(self) -> None:
        turn, self._given = self._given, []
        self._score(turn, ())

    async def _run(self) -> None:
        try:
            while self._waiting:
                turn = self._take()
                keys = [row.key for work in turn for row in work.rows if row.key is not None]
                started = time.perf_counter()
                try:
                    values = await self._store.get(keys)
                except FeaturesUnavailable as error:
                    self._instruments.lookup_failed(late=error.late)
                    self._score_without_store(turn, error)
                else:
                    self._instruments.lookup_seconds.observe(time.perf_counter() - started)
                    self._score(turn, values)
        finally:
            self._runner = None

    def _take(self) -> list[_Work]:
        """Remove from the queue as many requests as make a turn: at least one, however long."""
        rows = 0
        for count, work in enumerate(self._waiting):
            rows += len(work.rows)
            if rows > TURN_ROWS and count:
                turn, self._waiting = self._waiting[:count], self._waiting[count:]
                return turn
        turn, self._waiting = self._waiting, []
        return turn

    def _score_without_store(self, turn: Sequence[_Work], error: FeaturesUnavailable) -> None:
        if self._default is not None:
            self._score(turn, None)
            return
        problem = refused(503, "features-unavailable", "Features unavailable", str(error), retry_after_s=1)
        for work in turn:
            self._waiting_rows -= len(work.rows)
            self._instruments.rows[UNAVAILABLE].inc(len(work.rows))
            _fail(work.answer, problem)

    def _score(self, turn: Sequence[_Work], values: Iterable[bytes | None] | None) -> None:
        """Score one turn; ``values`` are those of its keys in order, or ``None`` where the store gave nothing."""
        for work in turn:
            self._waiting_rows -= len(work.rows)
        try:
            self._answer(turn, values)
        except Exception as error:
            # The boundary of a turn: whatever broke, each request in it gets its answer, and the loop goes on.
            logger.exception("serving.turn_failed", extra={"requests": len(turn)})
            for work in turn:
                _fail(work.answer, error)

    def _answer(self, turn: Sequence[_Work], values: Iterable[bytes | None] | None) -> None:
        stored = None if values is None else iter(values)
        packed: list[bytes | None] = []
        sources: list[str | None] = []
        for work in turn:
            for row in work.rows:
                if row.packed is not None:
                    packed.append(row.packed)
                    sources.append(GIVEN)
                else:
                    packed.append(None if stored is None else next(stored))
                    sources.append(UNAVAILABLE if stored is None else None)
        decoded = self._layout.decode(packed, now_ms=self._now_ms())
        states = [source or status.value for source, status in zip(sources, decoded.statuses, strict=True)]
        rows = decoded.rows
        if self._default is not None and not USABLE.issuperset(states):
            packed = [value if state in USABLE else self._default for value, state in zip(packed, states, strict=True)]
            rows = self._layout.decode(packed, now_ms=0).rows
        changes = {n: row.changes for n, row in enumerate(row for work in turn for row in work.rows) if row.changes}
        if changes:
            rows = rows.copy()
            rows[list(changes)] = self._layout.override(rows[list(changes)], list(changes.values()))
        scores = self._scorer.score(self._layout.matrix(rows)).tolist()
        self._instruments.turn_rows.observe(len(scores))
        position = 0
        for work in turn:
            end = position + len(work.rows)
            try:
                answer = self._judge(scores[position:end], states[position:end])
            except Refused as problem:
                _fail(work.answer, problem)
            else:
                if not work.answer.done():
                    work.answer.set_result(answer)
            position = end

    def _judge(self, scores: Sequence[float], states: Sequence[str]) -> list[Scored]:
        """Return what one request is told, by the policy on features that are not there."""
        result = []
        for number, (score, state) in enumerate(zip(scores, states, strict=True)):
            self._instruments.rows[state].inc()
            if state == Status.STALE and self._policy.stale is Stale.FAIL:
                detail = "the stored features of this entity are past their time to live"
                raise refused(422, "stale-features", "Stale features", detail, field=f"rows[{number}].entity_id")
            if state not in USABLE and self._default is None:
                detail = WORDS[state]
                raise refused(422, "unknown-entity", "Unknown entity", detail, field=f"rows[{number}].entity_id")
            if not math.isfinite(score):
                detail = "the model has no score for this row"
                raise refused(500, "no-score", "No score", detail, field=f"rows[{number}]")
            result.append(Scored(score, state))
        return result


USABLE = frozenset({GIVEN, Status.OK.value, Status.STALE.value})
WORDS = {
    Status.MISSING.value: "there are no stored features of this entity; give them in the request, or materialize them",
    Status.LAYOUT_MISMATCH.value: "the stored features of this entity have another layout; materialize them again",
}


def _default_of(layout: FeatureSetLayout) -> bytes:
    values, lacking = defaults_of(layout)
    if lacking:
        msg = (
            f'[contract] missing = "default" needs a default of each feature that may not be null; '
            f'{", ".join(lacking)} have none: give them one in features/, or write missing = "fail"'
        )
        raise ServiceUnreadable(msg)
    packed: bytes = layout.rows([values]).tobytes()
    return packed


def _fail(answer: Answer, error: BaseException) -> None:
    if not answer.done():
        answer.set_exception(error)
