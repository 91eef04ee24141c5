"""Search, comparison with the champion and load test for the report, from the files of their steps."""

from collections.abc import Sequence

from slipway.pipeline.report import gate_file, words
from slipway.pipeline.report.gate_file import Evaluated, GateFile, Judged
from slipway.pipeline.report.values import (
    CalibrationBin,
    Curve,
    Difference,
    Gate,
    ModelComparison,
    Scored,
    SliceScore,
    Tone,
)
from slipway.pipeline.run import Run

VERDICTS = {
    "pass": (Tone.GOOD, "pass"),
    "fail": (Tone.BAD, "fail"),
    "not_enough_evidence": (Tone.HELD, "not enough evidence"),
}
GATES = {
    "champion": "not worse than the champion",
    "parity": "same answers after conversion",
    "size": "size of the converted model",
    "p99": "p99 latency",
    "error_rate": "error rate",
}


def comparison(found: GateFile, run: Run) -> ModelComparison:
    """Return the section that sets the candidate against the champion."""
    evaluation = found.candidate.evaluation
    named = "candidate" if run.version is None else f"{run.model} {run.version}"
    champion = found.champion
    return ModelComparison(
        rows=evaluation.rows,
        base_rate=evaluation.positives / evaluation.rows,
        candidate=_scored(found.candidate, named),
        champion=None if champion is None else _scored(champion, f"{run.model} {champion.version or 'champion'}"),
        difference=_difference(found),
        slice_metric=words.metric_name(found.slice_metric),
        slice_whole=_whole(evaluation, found.slice_metric),
        slices=_slices(found),
        gates=tuple(
            Gate(
                name=_gate_name(gate.name),
                tone=VERDICTS[gate.verdict][0],
                verdict=VERDICTS[gate.verdict][1],
                words=gate.words.removeprefix(f"{gate.name}: "),
            )
            for gate in found.gates
        ),
        passed_over=tuple(f"{words.family(other.family)}: {other.why}" for other in found.passed_over),
    )


def _gate_name(name: str) -> str:
    if name.startswith("slices."):
        return f"fairness: {name.removeprefix('slices.')}"
    return GATES.get(name, words.metric_name(name))


def _scored(judged: Judged, name: str) -> Scored:
    found = judged.evaluation
    return Scored(
        name=name,
        family=judged.family,
        metrics={name: found.metrics[name] for name in sorted(found.metrics, key=_rank)},
        roc=_curve(found.roc),
        pr=_curve(found.precision_recall),
        calibration=tuple(
            CalibrationBin(predicted=part.mean_score, observed=part.share_positive, rows=part.rows)
            for part in found.calibration
        ),
    )


def _rank(metric: str) -> tuple[int, str]:
    known = list(words.METRICS)
    return (known.index(metric), "") if metric in known else (len(known), metric)


def _curve(points: Sequence[gate_file.Point]) -> Curve:
    return Curve(x=tuple(x for x, _ in points), y=tuple(y for _, y in points))


def _difference(found: GateFile) -> Difference | None:
    seen = found.difference
    if seen is None:
        return None
    return Difference(
        key="roc_auc",
        metric="ROC-AUC",
        estimate=seen.difference,
        low=seen.low,
        high=seen.high,
        confidence=seen.confidence,
        margin=found.margin,
    )


def _slices(found: GateFile) -> tuple[SliceScore, ...]:
    others = {} if found.champion is None else _by_group(found.champion.evaluation, found.slice_metric)
    return tuple(
        SliceScore(
            column=part.column,
            value=part.value,
            rows=part.rows,
            candidate=value,
            champion=others.get((part.column, part.value)),
        )
        for part in found.candidate.evaluation.slices
        if (value := getattr(part, found.slice_metric)) is not None
    )


def _by_group(evaluation: Evaluated, metric: str) -> dict[tuple[str, str], float | None]:
    return {(part.column, part.value): getattr(part, metric) for part in evaluation.slices}


def _whole(evaluation: Evaluated, metric: str) -> float | None:
    """Return the slice metric over all rows, put together from the groups of one column where it is a rate."""
    if metric in evaluation.metrics:
        return evaluation.metrics[metric]
    column = evaluation.slices[0].column if evaluation.slices else ""
    parts = [part for part in evaluation.slices if part.column == column]
    negatives = metric == "false_positive_rate"
    weighted = [
        (getattr(part, metric), part.rows - part.positives if negatives else part.rows)
        for part in parts
        if getattr(part, metric) is not None
    ]
    total = sum(rows for _, rows in weighted)
    return sum(value * rows for value, rows in weighted) / total if total else None
