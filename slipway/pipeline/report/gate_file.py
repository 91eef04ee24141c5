"""``gate.json``: what the gates judged, so that the report can draw it without loading the training libraries again.

The fields are those of ``models.evaluate.Evaluation``, ``models.gates.GateResult`` and
``experiments.paired.PairedDifference``; :func:`write` takes their objects as they are.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from slipway.pipeline.report import material

FILE = "gate.json"

Point = tuple[float, float]


class Bin(msgspec.Struct, frozen=True, kw_only=True):
    """A calibration bin."""

    mean_score: float
    share_positive: float
    rows: int


class Slice(msgspec.Struct, frozen=True, kw_only=True):
    """Decisions within one group of rows."""

    column: str
    value: str
    rows: int
    positives: int
    accuracy: float
    selection_rate: float
    recall: float | None
    false_positive_rate: float | None
    roc_auc: float | None


class Evaluated(msgspec.Struct, frozen=True, kw_only=True):
    """A model's results on the held-out rows."""

    rows: int
    positives: int
    threshold: float
    metrics: dict[str, float]
    roc: tuple[Point, ...]
    precision_recall: tuple[Point, ...]
    calibration: tuple[Bin, ...]
    slices: tuple[Slice, ...]


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """A model and its results; ``version`` is absent while it is not registered."""

    family: str
    version: int | None
    evaluation: Evaluated


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """ROC-AUC of the candidate minus that of the champion on the same rows."""

    first: float
    second: float
    difference: float
    low: float
    high: float
    confidence: float
    rows: int


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """One gate's answer."""

    name: str
    verdict: Literal["pass", "fail", "not_enough_evidence"]
    words: str


class PassedOver(msgspec.Struct, frozen=True, kw_only=True):
    """A better ranked family that was not taken, and why."""

    family: str
    why: str


class GateFile(msgspec.Struct, frozen=True, kw_only=True):
    """Everything in ``gate.json``."""

    candidate: Judged
    champion: Judged | None
    difference: Compared | None
    margin: float
    slice_metric: str
    gates: tuple[Answer, ...]
    passed_over: tuple[PassedOver, ...] = ()


def judged(evaluation: Any, *, family: str, version: int | None = None) -> Judged:
    """Return a model with its ``models.evaluate.Evaluation``."""
    return Judged(family=family, version=version, evaluation=_convert(evaluation, Evaluated))


def write(
    folder: Path,
    *,
    candidate: Judged,
    gates: Sequence[Any],
    margin: float,
    slice_metric: str,
    champion: Judged | None = None,
    difference: Any = None,
    passed_over: Sequence[PassedOver] = (),
) -> Path:
    """Write ``gate.json`` into the gate step's folder.

    ``gates`` are ``models.gates.GateResult`` objects, ``difference`` is an ``experiments.paired.PairedDifference``;
    ``margin`` and ``slice_metric`` are those of ``model.toml``.
    """
    content = GateFile(
        candidate=candidate,
        champion=champion,
        difference=None if difference is None else _convert(difference, Compared),
        margin=margin,
        slice_metric=slice_metric,
        gates=tuple(_convert(gate, Answer) for gate in gates),
        passed_over=tuple(passed_over),
    )
    return material.write(folder / FILE, content)


def read(folder: Path) -> GateFile:
    """Read what :func:`write` wrote."""
    return material.read(folder / FILE, GateFile)


def _convert(value: Any, kind: Any) -> Any:
    return msgspec.convert(value, kind, from_attributes=True)
