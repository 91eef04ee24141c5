"""Gates between a trained model and the registry: each says yes, no or "can't tell", in words and with its numbers.

Pure: what was measured goes in, verdicts come out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

from slipway.experiments.paired import NonInferiority, PairedDifference
from slipway.models.config import ModelConfig
from slipway.models.evaluate import Evaluation, gap

MINIMA = ("accuracy", "f1_weighted")


class Verdict(StrEnum):
    PASS = "pass"  # noqa: S105  a verdict, no secret
    FAIL = "fail"
    NOT_ENOUGH_EVIDENCE = "not_enough_evidence"


@dataclass(frozen=True, slots=True, kw_only=True)
class GateResult:
    """What one gate saw, what it allows, and the sentence a person reads."""

    name: str
    verdict: Verdict
    seen: float | None
    allowed: float
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """The converted model against the estimator it came from."""

    max_difference: float
    decision_flips: int
    rows: int
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Incomparable:
    """There is a champion, but it can't score the same rows."""

    reason: str


def check(
    evaluation: Evaluation,
    converted: Converted,
    champion: PairedDifference | Incomparable | None,
    config: ModelConfig,
) -> tuple[GateResult, ...]:
    """Return one result per gate.

    ``champion`` is the candidate's ROC-AUC minus the champion's on the same rows; None where there is no champion.
    """
    return (
        *_minima(evaluation, config),
        *(() if champion is None else (_non_inferior(champion, config.gates.non_inferiority_margin),)),
        *(_fair(evaluation, column, config) for column in config.slices.columns),
        _parity(converted, config.gates.parity_max_difference),
        _size(converted, config.gates.max_model_mb),
    )


def overall(results: Sequence[GateResult]) -> Verdict:
    """Return the gravest verdict: one failure fails, one open question leaves the whole open.

    >>> overall([])
    <Verdict.NOT_ENOUGH_EVIDENCE: 'not_enough_evidence'>
    """
    verdicts = {result.verdict for result in results}
    if Verdict.FAIL in verdicts:
        return Verdict.FAIL
    return Verdict.PASS if verdicts == {Verdict.PASS} else Verdict.NOT_ENOUGH_EVIDENCE


def _minima(evaluation: Evaluation, config: ModelConfig) -> tuple[GateResult, ...]:
    results = []
    for name in MINIMA:
        seen, allowed = evaluation.metrics[name], float(getattr(config.gates, name))
        good = seen >= allowed
        words = f"{name}: {seen:.4f} on {evaluation.rows} held-out rows, at least {allowed} is asked"
        results.append(_result(name, good=good, seen=seen, allowed=allowed, words=words))
    return tuple(results)


def _non_inferior(seen: PairedDifference | Incomparable, margin: float) -> GateResult:
    if isinstance(seen, Incomparable):
        return GateResult(
            name="champion",
            verdict=Verdict.NOT_ENOUGH_EVIDENCE,
            seen=None,
            allowed=-margin,
            words=f"champion: it can't be compared with on the same rows: {seen.reason}",
        )
    shown = seen.non_inferiority(margin)
    interval = f"[{seen.low:+.4f}, {seen.high:+.4f}]"
    words = (
        f"champion: ROC-AUC {seen.first:.4f} against the champion's {seen.second:.4f} on the same {seen.rows} rows, "
        f"difference {seen.difference:+.4f} with {seen.confidence:.0%} interval {interval}; "
    )
    match shown:
        case NonInferiority.SHOWN:
            verdict, words = Verdict.PASS, words + f"at most {margin} worse is shown"
        case NonInferiority.REFUTED:
            verdict, words = Verdict.FAIL, words + f"more than {margin} worse is shown"
        case NonInferiority.OPEN:
            verdict, words = (
                Verdict.NOT_ENOUGH_EVIDENCE,
                words + f"{margin} worse can't be ruled out: more rows are needed",
            )
        case _:
            assert_never(shown)
    return GateResult(name="champion", verdict=verdict, seen=seen.low, allowed=-margin, words=words)


def _fair(evaluation: Evaluation, column: str, config: ModelConfig) -> GateResult:
    rules = config.slices
    found = gap(evaluation.slices, column, rules.metric, min_rows=rules.min_rows)
    name = f"slices.{column}"
    if found is None:
        sizes = {s.value: s.rows for s in evaluation.slices if s.column == column}
        words = (
            f"{name}: fewer than two groups have {rules.min_rows} held-out rows with a {rules.metric} (rows: {sizes}), "
            "so nothing can be said; lower [slices] min_rows or leave the column out"
        )
        return GateResult(name=name, verdict=Verdict.NOT_ENOUGH_EVIDENCE, seen=None, allowed=rules.max_gap, words=words)
    difference, worse, better = found
    words = (
        f"{name}: {rules.metric} {getattr(worse, rules.metric):.3f} for {worse.value} ({worse.rows} rows), "
        f"{getattr(better, rules.metric):.3f} for {better.value} ({better.rows} rows), "
        f"a gap of {difference:.3f}; at most {rules.max_gap} is allowed"
    )
    return _result(name, good=difference <= rules.max_gap, seen=difference, allowed=rules.max_gap, words=words)


def _parity(converted: Converted, allowed: float) -> GateResult:
    good = converted.max_difference <= allowed and converted.decision_flips == 0
    words = (
        f"parity: the converted model differs by at most {converted.max_difference:.1e} and flips "
        f"{converted.decision_flips} decisions over {converted.rows} rows (held-out, missing values, split values); "
        f"{allowed:.0e} and no flip are allowed"
    )
    return _result("parity", good=good, seen=converted.max_difference, allowed=allowed, words=words)


def _size(converted: Converted, allowed_mb: float) -> GateResult:
    seen = converted.size_bytes / 1e6
    words = f"size: {seen:.2f} MB of ONNX, at most {allowed_mb:g} MB is allowed"
    return _result("size", good=seen <= allowed_mb, seen=seen, allowed=allowed_mb, words=words)


def _result(name: str, *, good: bool, seen: float, allowed: float, words: str) -> GateResult:
    return GateResult(
        name=name, verdict=Verdict.PASS if good else Verdict.FAIL, seen=seen, allowed=allowed, words=words
    )
