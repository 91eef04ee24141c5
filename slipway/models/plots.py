"""Pictures of a candidate and of a search, as PNG files; drawn without a display and without global state."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from slipway.models.evaluate import Evaluation
from slipway.models.importance import Importance
from slipway.models.trials import Trial

INK, MUTED, LINE = "#1f2933", "#9aa5b1", "#2563eb"
FAMILY_COLOURS = ("#2563eb", "#d97706", "#059669", "#9333ea", "#dc2626", "#0891b2")
TOP_FEATURES = 15


def candidate(folder: Path, evaluation: Evaluation, importance: Sequence[Importance], *, title: str) -> None:
    """Draw ROC, precision and recall, calibration, and importance of one candidate on its hold-out."""
    folder.mkdir(parents=True, exist_ok=True)
    _roc(folder / "roc.png", evaluation, title)
    _precision_recall(folder / "precision_recall.png", evaluation, title)
    _calibration(folder / "calibration.png", evaluation, title)
    _importance(folder / "importance.png", importance, title)


def search(file: Path, trials: Sequence[Trial], *, title: str) -> None:
    """Draw the cross-validated ROC-AUC of every trial, by family."""
    file.parent.mkdir(parents=True, exist_ok=True)
    figure, axes = _axes(title, across="trial", up="cross-validated ROC-AUC", width=7.0, left=0.1)
    for number, family in enumerate(dict.fromkeys(trial.family for trial in trials)):
        own = [trial for trial in trials if trial.family == family]
        colour = FAMILY_COLOURS[number % len(FAMILY_COLOURS)]
        axes.plot([t.number for t in own], [t.roc_auc for t in own], "o", color=colour, markersize=5, label=family)
    best = max(trials, key=lambda trial: trial.roc_auc)
    axes.axhline(best.roc_auc, color=MUTED, linewidth=0.8, linestyle="--")
    axes.annotate(
        f"best {best.roc_auc:.4f}", (best.number, best.roc_auc), xytext=(0, 5), textcoords="offset points", color=INK
    )
    axes.margins(y=0.15)
    axes.legend(frameon=False, fontsize=8)
    _save(figure, file)


def _roc(file: Path, evaluation: Evaluation, title: str) -> None:
    figure, axes = _axes(title, across="false positive rate", up="true positive rate")
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=0.8, linestyle="--")
    axes.plot(*zip(*evaluation.roc, strict=True), color=LINE)
    axes.text(0.97, 0.05, f"ROC-AUC {evaluation.metrics['roc_auc']:.4f}", ha="right", color=INK)
    _save(figure, file)


def _precision_recall(file: Path, evaluation: Evaluation, title: str) -> None:
    figure, axes = _axes(title, across="recall", up="precision")
    axes.axhline(evaluation.positives / evaluation.rows, color=MUTED, linewidth=0.8, linestyle="--")
    axes.plot(*zip(*evaluation.precision_recall, strict=True), color=LINE)
    recall, precision = evaluation.metrics["recall"], evaluation.metrics["precision"]
    axes.plot([recall], [precision], "o", color=INK, label=f"threshold {evaluation.threshold:g}")
    axes.text(0.97, 0.93, f"average precision {evaluation.metrics['pr_auc']:.4f}", ha="right", color=INK)
    axes.set_ylim(0, 1.02)
    axes.legend(frameon=False, fontsize=8, loc="lower left")
    _save(figure, file)


def _calibration(file: Path, evaluation: Evaluation, title: str) -> None:
    figure, axes = _axes(title, across="mean score", up="share of positives")
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=0.8, linestyle="--")
    bins = evaluation.calibration
    axes.plot([b.mean_score for b in bins], [b.share_positive for b in bins], "o-", color=LINE, markersize=5)
    axes.text(0.97, 0.05, f"calibration error {evaluation.metrics['calibration_error']:.4f}", ha="right", color=INK)
    _save(figure, file)


def _importance(file: Path, importance: Sequence[Importance], title: str) -> None:
    figure, axes = _axes(title, across="loss of ROC-AUC when shuffled", up="", left=0.3)
    top = list(importance[:TOP_FEATURES])[::-1]
    axes.barh([i.feature for i in top], [i.mean for i in top], xerr=[i.sd for i in top], color=LINE, ecolor=MUTED)
    axes.tick_params(axis="y", labelsize=8)
    _save(figure, file)


def _axes(title: str, *, across: str, up: str, width: float = 4.6, left: float = 0.13) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, 3.8))
    # Fixed margins: an automatic layout draws every picture twice.
    figure.subplots_adjust(left=left, right=0.97, bottom=0.13, top=0.92)
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_title(title, fontsize=10, color=INK, loc="left")
    axes.set_xlabel(across, fontsize=9)
    axes.set_ylabel(up, fontsize=9)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _save(figure: Figure, file: Path) -> None:
    # Without the version of matplotlib in it, the same picture is the same bytes.
    figure.savefig(file, dpi=110, metadata={"Software": None})
