"""A loaded bundle: contract, features and model of one service, ready to answer bodies.

Imports numpy and ONNX Runtime; the application imports it when it starts, not before.
"""

import time
from pathlib import Path
from typing import Self

import msgspec

from slipway.bentos import golden
from slipway.bentos.baked import Baked
from slipway.bentos.contract import Contract
from slipway.bentos.golden import GoldenResult
from slipway.bentos.instruments import Instruments
from slipway.bentos.ports import StoredFeatures
from slipway.bentos.problem import Refused
from slipway.bentos.sabotage import Sabotage, ThousandfoldCharges
from slipway.bentos.scorer import Scorer
from slipway.bentos.turns import USABLE, Scored, Turns
from slipway.features.layout import FeatureSetLayout
from slipway.models import bundle
from slipway.models.bundle import Manifest
from slipway.models.runtime import OnnxScorer


class Prediction(msgspec.Struct, frozen=True, gc=False):
    """One row of an answer."""

    score: float
    label: str
    features: str


class Answer(msgspec.Struct, frozen=True, gc=False):
    """The answer to a predict request."""

    model: str
    model_version: int
    request_id: str
    predictions: list[Prediction]


class Predictor:
    """Answers bodies of predict requests."""

    def __init__(self, manifest: Manifest, contract: Contract, turns: Turns) -> None:
        self.manifest = manifest
        self._contract = contract
        self._turns = turns
        self._encode = msgspec.json.Encoder().encode

    @classmethod
    def load(cls, folder: Path, *, baked: Baked, store: StoredFeatures, instruments: Instruments) -> Self:
        """Load a bundle; an altered one, or a policy that its features can't keep, is refused."""
        loaded = bundle.load(folder)
        layout = FeatureSetLayout.from_json(loaded.manifest.feature_set)
        scorer: Scorer = OnnxScorer(loaded.onnx)
        if baked.sabotage == Sabotage.QUALITY:
            scorer = ThousandfoldCharges(scorer, layout)
        turns = Turns(
            layout=layout,
            scorer=scorer,
            store=store,
            policy=baked.policy,
            instruments=instruments,
            now_ms=_now_ms,
        )
        return cls(loaded.manifest, Contract(layout, baked.policy), turns)

    async def predict(self, body: bytes) -> list[Scored]:
        """Return the scores for a body, or raise :class:`~slipway.bentos.problem.Refused`."""
        return await self._turns.submit(self._contract.parse(body, now_ms=_now_ms()))

    def answer(self, scored: list[Scored], request_id: str) -> bytes:
        """Return the answer's JSON."""
        manifest = self.manifest
        predictions = [Prediction(row.score, manifest.label(row.score), row.features) for row in scored]
        return self._encode(Answer(manifest.model, manifest.model_version, request_id, predictions))

    def about(self, scored: list[Scored]) -> tuple[tuple[bytes, bytes], ...]:
        """Return the headers that the edge logs: the first row's score, and whether any row was scored on defaults."""
        kind = b"fallback" if any(row.features not in USABLE for row in scored) else b"ok"
        return (b"x-slipway-score", b"%.6g" % scored[0].score), (b"x-slipway-prediction", kind)

    async def golden(self) -> GoldenResult:
        """Score the golden rows as if a client had sent them, and compare."""
        rows = self.manifest.golden
        try:
            scored = await self.predict(golden.body(rows))
        except Refused as refusal:
            return golden.failed(rows, f"the service refuses its golden rows: {refusal.problem.detail}")
        return golden.compare(rows, [row.score for row in scored])

    async def close(self) -> None:
        await self._turns.close()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
