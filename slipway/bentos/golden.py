"""Golden rows: held-out rows with known scores; a service answers them as at registration or gets no traffic.

The service asks itself at its start, through its own contract, packing and model, and is not ready before it passed;
:func:`check` asks from outside, over HTTP, and needs no readiness: a wrong model is named at once.
"""

import math
import time
from collections.abc import Sequence
from typing import Any

import httpx
import msgspec

from slipway.bentos.errors import GoldenUnreachable
from slipway.models.bundle import GoldenRow, Manifest

# ONNX Runtime adds in another order on another CPU; registration's parity gate allows the same.
ALLOWED = 1e-5

PREDICT = "/v1/predict"
GOLDEN = "/v1/golden"
POLL_S = 0.1
REQUEST_TIMEOUT_S = 5.0


class GoldenResult(msgspec.Struct, frozen=True, kw_only=True):
    """What the golden rows said; ``worst_row`` counts from 0, ``words`` is the verdict for people."""

    passed: bool
    rows: int
    max_difference: float
    allowed: float
    worst_row: int
    words: str


def compare(golden: Sequence[GoldenRow], scores: Sequence[float]) -> GoldenResult:
    """Compare the scores of the golden rows with those that they had at registration.

    No rows prove nothing, and a score that is no number is infinitely wrong: both fail.

    >>> compare([GoldenRow(features={}, score=0.5)], [0.7]).words
    'golden row 0 scores 0.700000 here and 0.500000 at registration: 0.2 apart, allowed are 1e-05 (1 of 1 rows differ)'
    """
    if not golden or len(golden) != len(scores):
        return GoldenResult(
            passed=False,
            rows=len(golden),
            max_difference=math.inf if golden else 0.0,
            allowed=ALLOWED,
            worst_row=0,
            words=f"{len(scores)} scores for {len(golden)} golden rows: nothing can be compared",
        )
    differences = [
        abs(score - row.score) if math.isfinite(score) else math.inf for row, score in zip(golden, scores, strict=True)
    ]
    worst = max(range(len(differences)), key=differences.__getitem__)
    apart = differences[worst]
    wrong = sum(difference > ALLOWED for difference in differences)
    if wrong:
        words = (
            f"golden row {worst} scores {scores[worst]:.6f} here and {golden[worst].score:.6f} at registration: "
            f"{apart:.3g} apart, allowed are {ALLOWED:g} ({wrong} of {len(golden)} rows differ)"
        )
    else:
        words = f"all {len(golden)} golden rows score as at registration (largest difference {apart:.1g})"
    return GoldenResult(
        passed=not wrong, rows=len(golden), max_difference=apart, allowed=ALLOWED, worst_row=worst, words=words
    )


def body(golden: Sequence[GoldenRow]) -> bytes:
    """Return the golden rows as a request's body."""
    return msgspec.json.encode({"rows": [{"features": row.features} for row in golden]})


def check(base_url: str, manifest: Manifest, *, timeout_s: float = 30.0) -> GoldenResult:
    """Ask a service for its golden rows over HTTP and compare; wait up to ``timeout_s`` until it answers at all.

    A service that is up and refuses its golden rows, or answers for another model version, fails.

    Raises:
        GoldenUnreachable: nothing answered in time, so nothing was learned.
    """
    give_up = time.monotonic() + timeout_s
    with httpx.Client(base_url=base_url, timeout=REQUEST_TIMEOUT_S, trust_env=False) as client:
        while True:
            try:
                answer = client.post(PREDICT, content=body(manifest.golden))
                break
            except httpx.TransportError as error:
                if time.monotonic() > give_up:
                    msg = f"{base_url} did not answer its golden rows within {timeout_s:g} s: {error!r}; see its log"
                    raise GoldenUnreachable(msg) from None
                time.sleep(POLL_S)
    return judge(manifest, answer.status_code, answer.content)


def judge(manifest: Manifest, status: int, content: bytes) -> GoldenResult:
    """Return the verdict on the answer to :func:`body`: pure, so that both roads to a service share it."""
    golden = manifest.golden
    try:
        answer: Any = msgspec.json.decode(content)
        if status != httpx.codes.OK:
            return failed(golden, f"golden rows were answered with {status}: {answer['detail']}")
        if (seen := (answer["model"], answer["model_version"])) != (manifest.model, manifest.model_version):
            return failed(golden, f"{seen[0]} {seen[1]} answers, not {manifest.model} {manifest.model_version}")
        scores = [float(prediction["score"]) for prediction in answer["predictions"]]
    except (msgspec.DecodeError, KeyError, TypeError, ValueError):
        return failed(golden, f"golden rows were answered with {status} and no predictions: {content[:200]!r}")
    return compare(golden, scores)


def failed(golden: Sequence[GoldenRow], words: str) -> GoldenResult:
    return GoldenResult(
        passed=False, rows=len(golden), max_difference=math.inf, allowed=ALLOWED, worst_row=0, words=words
    )
