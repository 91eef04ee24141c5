"""Figures of training, evaluation and load test; those of the rollout are in ``rollout_plots``."""

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator, MultipleLocator
from numpy.typing import NDArray

from slipway.pipeline.report import svg
from slipway.pipeline.report.values import LoadTest, ModelComparison, Scored, Search
from slipway.pipeline.report.words import family as family_name

# The natural width of a plot that stands beside another one.
HALF = 500.0
SQUARE = 400.0

STEPS = [1, 2, 2.5, 5, 10]
DASHED = (0, (3, 3))
LIMIT = (0, (4, 3))


def roc(models: ModelComparison) -> Markup:
    """Return the ROC curves on the held-out rows."""
    canvas, axes = _square("false positive rate", "true positive rate")
    axes.plot([0, 1], [0, 1], color=svg.MUTED, linewidth=1, linestyle=DASHED)
    for model, colour, width in _arms(models):
        axes.plot(model.roc.x, model.roc.y, color=colour, linewidth=width)
    areas = _areas(models, "roc_auc")
    _legend(axes, areas, heading="area under the curve", at=(0.97, 0.06), bottom=True)
    told = "; ".join(named for named, _ in areas)
    return canvas.markup("roc", f"ROC curves on {models.rows} held-out rows. Area under the curve: {told}.")


def precision_recall(models: ModelComparison) -> Markup:
    """Return the precision-recall curves, with the share of positives that guessing would reach."""
    canvas, axes = _square("recall", "precision")
    axes.axhline(models.base_rate, color=svg.MUTED, linewidth=1, linestyle=DASHED)
    axes.text(0.02, models.base_rate + 0.02, f"guessing {models.base_rate:.2f}", color=svg.MUTED, fontsize=svg.TICK)
    for model, colour, width in _arms(models):
        axes.plot(model.pr.x, model.pr.y, color=colour, linewidth=width)
    areas = _areas(models, "pr_auc")
    _legend(axes, areas, heading="area under the curve", at=(0.97, 0.94))
    told = "; ".join(named for named, _ in areas)
    return canvas.markup("pr", f"Precision and recall on {models.rows} held-out rows. Area under the curve: {told}.")


def calibration(models: ModelComparison) -> Markup:
    """Return mean scores against observed shares; a dot's area is its number of rows."""
    canvas, axes = _square("mean score of the bin", "share that was positive")
    axes.plot([0, 1], [0, 1], color=svg.MUTED, linewidth=1, linestyle=DASHED)
    for model, colour, width in _arms(models):
        bins = model.calibration
        largest = max(found.rows for found in bins)
        x, y = [found.predicted for found in bins], [found.observed for found in bins]
        sizes = [18 + 60 * found.rows / largest for found in bins]
        axes.plot(x, y, color=colour, linewidth=width * 0.7)
        axes.scatter(x, y, s=sizes, color=colour, edgecolors=svg.PAPER, linewidths=1, zorder=3, clip_on=False)
    names = [(model.name, colour) for model, colour, _ in _arms(models)]
    _legend(axes, names, heading="bins of held-out rows", at=(0.04, 0.95), left=True)
    return canvas.markup("calibration", "Calibration: mean score of each bin against the share that was positive.")


def slices(models: ModelComparison) -> Markup:
    """Return a dot for each slice and model, the candidate over all rows as a line."""
    rows, whole = models.slices, models.slice_whole
    canvas = svg.Canvas.of(HALF, 90 + 44 * len(rows))
    axes = canvas.axes(left=150, top=34, right=24, bottom=44)
    if whole is not None:
        axes.axvline(whole, color=svg.CANDIDATE, linewidth=1, linestyle=DASHED)
        _above(axes, whole, "all rows", svg.CANDIDATE)
    for place, row in enumerate(rows):
        if row.champion is not None:
            axes.plot([row.champion, row.candidate], [place, place], color=svg.MUTED, linewidth=1.4, alpha=0.6)
            axes.scatter([row.champion], [place], s=54, color=svg.STABLE, marker="s", linewidths=0, zorder=3)
        axes.scatter([row.candidate], [place], s=64, color=svg.CANDIDATE, linewidths=0, zorder=4)
    _names(axes, [f"{row.column} = {row.value}\n{row.rows:,} rows" for row in rows])
    seen = [value for row in rows for value in (row.candidate, row.champion, whole) if value is not None]
    middle, half = (max(seen) + min(seen)) / 2, max(0.03, (max(seen) - min(seen)) * 0.62)
    axes.set_xlim(middle - half, middle + half)
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=STEPS))
    axes.set_xlabel(models.slice_metric)
    told = "; ".join(f"{row.column} {row.value}: {row.candidate:.3f}" for row in rows)
    return canvas.markup("slices", f"{models.slice_metric} of the candidate by slice: {told}.")


def difference(models: ModelComparison) -> Markup:
    """Return the interval of candidate minus champion, beside what the margin still allows."""
    found = models.difference
    assert found is not None  # noqa: S101  the caller draws it only where there is one
    canvas = svg.Canvas.of(HALF, 132)
    axes = canvas.axes(left=16, top=30, right=16, bottom=44)
    reach = 1.25 * max(found.margin, abs(found.low), abs(found.high))
    axes.axvspan(-reach, -found.margin, color=svg.BAD, alpha=0.12, linewidth=0)
    axes.axvline(-found.margin, color=svg.BAD, linewidth=1.2)
    axes.axvline(0, color=svg.MUTED, linewidth=1, linestyle=DASHED)
    axes.plot([found.low, found.high], [0, 0], color=svg.CANDIDATE, linewidth=5, alpha=0.45, solid_capstyle="butt")
    axes.scatter([found.estimate], [0], s=80, color=svg.CANDIDATE, linewidths=0, zorder=3)
    _above(axes, -found.margin, "worse than allowed", svg.BAD)
    if reach <= 8 * found.margin:  # else the two words would touch
        _above(axes, 0.0, "equal", svg.MUTED)
    axes.set_xlim(-reach, reach)
    axes.set_ylim(-1, 1)
    axes.set_yticks([])
    axes.xaxis.set_major_locator(MaxNLocator(7, symmetric=True, steps=STEPS))
    axes.xaxis.set_major_formatter(FuncFormatter(_signed))
    axes.set_xlabel(f"{found.metric}: candidate minus champion, {found.confidence:.0%} interval")
    told = f"{found.estimate:+.4f}, from {found.low:+.4f} to {found.high:+.4f}; the margin is {-found.margin:+.3f}"
    return canvas.markup("difference", f"{found.metric} of candidate minus champion: {told}.")


def search(found: Search) -> Markup:
    """Return every trial as a dot by family; the best of each family is named."""
    families = found.families
    canvas = svg.Canvas.of(HALF, 70 + 58 * len(families))
    axes = canvas.axes(left=140, top=14, right=60, bottom=44)
    names = []
    for place, family in enumerate(families):
        scores = [trial.cv_roc_auc for trial in found.trials if trial.family == family]
        chosen, best = family == found.chosen, max(scores)
        colour = svg.CANDIDATE if chosen else svg.MUTED
        axes.scatter(scores, place + _apart(len(scores)), s=26, color=colour, alpha=0.4, linewidths=0)
        axes.scatter([best], [place], s=80, color=colour, linewidths=0, zorder=3)
        axes.annotate(
            f"{best:.4f}",
            (best, place),
            xytext=(9, -4),
            textcoords="offset points",
            color=colour,
            fontweight="bold" if chosen else "normal",
            annotation_clip=False,
        )
        names.append(f"{family_name(family)}\n{len(scores)} trial{'s' * (len(scores) != 1)}")
    _names(axes, names)
    scores = [trial.cv_roc_auc for trial in found.trials]
    # A search may draw hopeless parameters; the picture is about the trials near the best one.
    left = max(min(scores), max(scores) - 0.06)
    span = max(max(scores) - left, 0.002)
    axes.set_xlim(left - 0.05 * span, max(scores) + 0.03 * span)
    axes.xaxis.set_major_locator(MaxNLocator(4, steps=STEPS))
    axes.set_xlabel(f"cross-validated ROC-AUC, {found.folds} folds")
    told = "; ".join(f"{family_name(family)} {found.best(family).cv_roc_auc:.4f}" for family in families)
    return canvas.markup("search", f"{len(scores)} trials; best cross-validated ROC-AUC by family: {told}.")


def throughput(test: LoadTest) -> Markup:
    """Return requests and failures of each second of the load test."""
    canvas = svg.Canvas.of(HALF, 260)
    axes = canvas.axes(left=52, top=34, right=56, bottom=44)
    at, rps = [point.at_s for point in test.points], [point.rps for point in test.points]
    failures = [point.failures_per_s for point in test.points]
    axes.fill_between(at, rps, color=svg.CANDIDATE, alpha=0.16, linewidth=0)
    axes.plot(at, rps, color=svg.CANDIDATE)
    axes.plot(at, failures, color=svg.BAD, linestyle=(0, (5, 2)))
    axes.set_ylim(0, 1.2 * max(*rps, test.slo_min_rps, 1))
    _limit(axes, test.slo_min_rps, f"at least {test.slo_min_rps:,.0f} good ones", below=True)
    svg.label_ends(axes, [("all", rps[-1], svg.CANDIDATE), ("failed", failures[-1], svg.BAD)])
    _seconds(axes, at)
    axes.set_title("Requests per second")
    axes.yaxis.set_major_locator(MaxNLocator(4, steps=STEPS))
    axes.yaxis.set_major_formatter(FuncFormatter(_thousands))
    return canvas.markup("throughput", f"Requests per second over the load test, {test.rps:,.0f} good ones on average.")


def latency(test: LoadTest) -> Markup:
    """Return the latency quantiles over the load test, with the objective where it is near enough to be drawn."""
    canvas = svg.Canvas.of(HALF, 260)
    axes = canvas.axes(left=52, top=34, right=56, bottom=44)
    seen = [
        (point.at_s, point.p50_ms, point.p95_ms, point.p99_ms)
        for point in test.points
        if point.p50_ms is not None and point.p95_ms is not None and point.p99_ms is not None
    ]
    at, p50, p95, p99 = (list(values) for values in zip(*seen, strict=True))
    for values, width in ((p99, 2.2), (p95, 1.5), (p50, 1.0)):
        axes.plot(at, values, color=svg.CANDIDATE, linewidth=width, alpha=max(width / 2.2, 0.65))
    highest = max(p99)
    near = test.slo_p99_ms <= 4 * highest
    axes.set_ylim(0, 1.2 * max(highest, test.slo_p99_ms if near else 0))
    if near:
        _limit(axes, test.slo_p99_ms, f"p99 at most {test.slo_p99_ms:,.0f} ms")
    svg.label_ends(
        axes, [(name, values[-1], svg.CANDIDATE) for name, values in (("p99", p99), ("p95", p95), ("p50", p50))]
    )
    _seconds(axes, [point.at_s for point in test.points])
    axes.set_title("Latency over the last ten seconds, ms")
    axes.yaxis.set_major_locator(MaxNLocator(4, steps=STEPS))
    told = f"p50 {test.p50_ms:.0f}, p95 {test.p95_ms:.0f}, p99 {test.p99_ms:.0f} ms"
    return canvas.markup("latency", f"Latency over the load test: {told}; p99 may be {test.slo_p99_ms:.0f} ms.")


def _arms(models: ModelComparison) -> list[tuple[Scored, str, float]]:
    drawn = [(models.champion, svg.STABLE, 1.6)] if models.champion is not None else []
    return [*drawn, (models.candidate, svg.CANDIDATE, 2.2)]


def _areas(models: ModelComparison, metric: str) -> list[tuple[str, str]]:
    return [(f"{model.name}: {model.metrics[metric]:.3f}", colour) for model, colour, _ in _arms(models)]


def _square(x: str, y: str) -> tuple[svg.Canvas, Axes]:
    canvas = svg.Canvas.of(HALF, SQUARE)
    axes = canvas.axes(left=44, top=12, right=16, bottom=44)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MultipleLocator(0.25))
        axis.set_major_formatter(FuncFormatter(lambda value, _place: f"{value:g}"))
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    return canvas, axes


def _legend(
    axes: Axes,
    entries: Sequence[tuple[str, str]],
    *,
    heading: str,
    at: tuple[float, float],
    bottom: bool = False,
    left: bool = False,
) -> None:
    """Name the lines inside the axes, in their own colours, below a heading."""
    lines = [(heading, svg.MUTED, "normal"), *((told, colour, "bold") for told, colour in entries)]
    for place, (told, colour, weight) in enumerate(reversed(lines) if bottom else lines):
        axes.annotate(
            told,
            at,
            xycoords="axes fraction",
            xytext=(0, (18 if bottom else -18) * place),
            textcoords="offset points",
            color=colour,
            fontweight=weight,
            ha="left" if left else "right",
            va="bottom" if bottom else "top",
        )


def _names(axes: Axes, names: Sequence[str]) -> None:
    """Make the y axis one of names, the first on top."""
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")


def _above(axes: Axes, x: float, told: str, colour: str) -> None:
    axes.annotate(
        told,
        (x, 1),
        xycoords=("data", "axes fraction"),
        xytext=(0, 5),
        textcoords="offset points",
        color=colour,
        ha="center",
        fontsize=svg.TICK,
    )


def _apart(n: int) -> NDArray[np.float64]:
    """Return offsets that keep equal trials apart; the same ones each time."""
    offsets: NDArray[np.float64] = 0.26 * np.sin(np.arange(n) * 2.4)
    return offsets


def _limit(axes: Axes, y: float, told: str, *, below: bool = False) -> None:
    axes.axhline(y, color=svg.INK, linewidth=1.2, linestyle=LIMIT)
    axes.annotate(
        told,
        (0, y),
        xycoords=("axes fraction", "data"),
        xytext=(4, -4 if below else 4),
        textcoords="offset points",
        va="top" if below else "bottom",
        fontsize=svg.TICK,
    )


def _seconds(axes: Axes, at: Sequence[float]) -> None:
    axes.set_xlim(min(at), max(*at, min(at) + 1))
    axes.grid(visible=False, axis="x")
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.set_xlabel("seconds")


def _thousands(value: float, _place: int) -> str:
    return f"{value:,.0f}" if value == round(value) else f"{value:g}"


def _signed(value: float, _place: int) -> str:
    told = f"{value:+.3f}"
    return "0" if float(told) == 0 else told
