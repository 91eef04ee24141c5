"""Figures of the rollout: what happened to traffic, and the evidence climbing to its lines."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from slipway.pipeline.report import svg
from slipway.pipeline.report.plots import HALF, LIMIT, STEPS
from slipway.pipeline.report.values import ArmWindow, Climb, Guardrail, Look, Rollout

# Over the whole page, and again for a phone.
WIDE, NARROW = 1040.0, 440.0
LEFT, RIGHT = 52.0, 74.0

# A character of the page's font at 11 px, about; names of stages that would not fit are left to the table.
CHARACTER = 6.4

# Seconds of the preparation that stay in view: it lasts as long as the load test, and nothing moves.
BEFORE_S = 3.0
PREPARATION = frozenset({"PENDING", "PREPARING"})

ACTS = {"no harm": "promote", "harm": "roll back"}

ALL_PERCENT = 100
FEW_FAILURES = 4
FEW_LOOKS = 12


def traffic(rollout: Rollout, *, width: float) -> Markup:
    """Return weights, requests, failures and latency over time, one above the other on one clock."""
    panels: list[tuple[float, Callable[[Axes, Rollout], None]]] = [
        (130.0, _weights),
        (118.0, _requests),
        (94.0, _failures),
        (118.0, _latency),
    ]
    gap, above = 40.0, 44.0
    canvas = svg.Canvas.of(width, above + sum(height + gap for height, _ in panels) + 6)
    for place, (height, paint) in enumerate(panels):
        axes = canvas.axes(left=LEFT, right=RIGHT, top=above, bottom=canvas.height - above - height)
        _stages(axes, rollout, names_in=width - LEFT - RIGHT if place == 0 else 0)
        paint(axes, rollout)
        _clock(axes, rollout, labels=place == len(panels) - 1)
        above += height + gap
    label = (
        f"The rollout over {rollout.seconds:.0f} seconds: share of traffic, requests per second, failed attempts and "
        f"p95 latency of both arms. {rollout.requests:,} requests, {rollout.candidate_requests:,} of them sent to the "
        f"candidate; {rollout.failed_requests_seen_by_users} failed for users."
    )
    return canvas.markup("traffic-wide" if width == WIDE else "traffic-narrow", label)


def evidence(guardrail: Guardrail, rollout: Rollout) -> Markup:
    """Return the log e-values of one guardrail for both sides, with the line at which each decides."""
    canvas = svg.Canvas.of(HALF, 280)
    axes = canvas.axes(left=44, top=16, right=74, bottom=44)
    sides = [
        (climb, told, colour)
        for climb, told, colour in (
            (guardrail.promote, "no harm", svg.GOOD),
            (guardrail.roll_back, "harm", svg.BAD),
        )
        if climb is not None
    ]
    _stages(axes, rollout, names_in=0)
    highest_line = max(climb.line for climb, *_ in sides)
    # A harmful candidate's evidence runs away within seconds, to either side; the lines must stay in the picture.
    top = min(max(climb.highest for climb, *_ in sides), 2.5 * highest_line)
    top, low = 1.18 * max(top, highest_line), -0.6 * highest_line
    axes.set_ylim(low, top)
    ends = []
    for climb, told, colour in sides:
        values = np.clip(climb.log_e, low * 0.98, top * 0.98)
        dashes = "-" if told == "no harm" else (0, (5, 2))
        axes.plot(climb.at_s, values, color=colour, linewidth=2.2, linestyle=dashes, **_dots(values))
        _crossing(axes, climb, colour, top=top * 0.98)
        ends.append((told, float(values[-1]), colour))
    lower = min(climb.line for climb, *_ in sides)
    for climb, told, colour in sides:
        below = climb.line == lower and len(sides) > 1
        axes.axhline(climb.line, color=colour, linewidth=1.2, linestyle=LIMIT)
        axes.annotate(
            f"{ACTS[told]} at {np.exp(climb.line):,.0f} to 1",
            (0, climb.line),
            xycoords=("axes fraction", "data"),
            xytext=(4, -4 if below else 4),
            textcoords="offset points",
            va="top" if below else "bottom",
            color=colour,
            fontsize=svg.TICK,
        )
    axes.axhline(0, color=svg.MUTED, linewidth=0.8)
    svg.label_ends(axes, ends)
    axes.set_ylabel("log e-value")
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    _clock(axes, rollout, labels=True)
    told = "; ".join(f"evidence of {told} reached {climb.highest:.1f} of {climb.line:.1f}" for climb, told, _ in sides)
    return canvas.markup(f"evidence-{guardrail.name}", f"{guardrail.title}: log e-values over time; {told}.")


def _crossing(axes: Axes, climb: Climb, colour: str, *, top: float) -> None:
    """Mark the look that found the line crossed."""
    at = climb.crossed_at_s
    if at is not None:
        height = min(climb.log_e[climb.at_s.index(at)], top)
        axes.scatter([at], [height], s=70, color=colour, edgecolors=svg.PAPER, linewidths=1.5, zorder=5)


def _window(rollout: Rollout) -> tuple[float, float]:
    """Return the stretch of time to draw: from shortly before the candidate met requests, or all of it."""
    moved = [stage for stage in rollout.stages if stage.state not in PREPARATION]
    start = max(0.0, moved[0].start_s - BEFORE_S) if moved else 0.0
    return start, max(rollout.stages[-1].end_s, start + 1)


def _stages(axes: Axes, rollout: Rollout, *, names_in: float) -> None:
    """Shade every other stage; name those that are wide enough, where the axes are ``names_in`` pixels wide."""
    start, end = _window(rollout)
    for place, stage in enumerate(rollout.stages):
        left, right = max(stage.start_s, start), min(stage.end_s, end)
        if right <= left:
            continue
        if place % 2:
            axes.axvspan(left, right, color=svg.BAND, linewidth=0, zorder=0)
        if (right - left) / (end - start) * names_in >= CHARACTER * len(stage.name):
            axes.annotate(
                stage.name,
                ((left + right) / 2, 1),
                xycoords=("data", "axes fraction"),
                xytext=(0, 7),
                textcoords="offset points",
                ha="center",
                color=svg.MUTED,
                fontsize=svg.TICK,
            )


def _weights(axes: Axes, rollout: Rollout) -> None:
    edges = [stage.start_s for stage in rollout.stages] + [rollout.stages[-1].end_s]
    weights = [ALL_PERCENT * stage.weight for stage in rollout.stages]
    weights.append(weights[-1])
    axes.fill_between(edges, weights, ALL_PERCENT, step="post", color=svg.STABLE, alpha=0.22, linewidth=0)
    axes.fill_between(edges, weights, 0, step="post", color=svg.CANDIDATE, alpha=0.45, linewidth=0)
    axes.step(edges, weights, where="post", color=svg.CANDIDATE)
    axes.set_ylim(0, ALL_PERCENT)
    axes.set_yticks([0, 25, 50, 75, 100], ["0", "", "50", "", "100 %"])
    height = weights[-1]
    entries = [(rollout.candidate_name, height / 2, svg.CANDIDATE)] if height else []
    entries += [(rollout.stable_name, (ALL_PERCENT + height) / 2, svg.STABLE)] if height < ALL_PERCENT else []
    svg.label_ends(axes, entries)
    axes.set_title("Share of traffic", pad=24)


def _requests(axes: Axes, rollout: Rollout) -> None:
    ends = []
    top = 1.0
    for name, colour, arm in _both(rollout):
        at, values = _series(rollout.looks, lambda look, arm=arm: arm(look).requests / look.seconds)  # type: ignore[misc]
        axes.plot(at, values, color=colour, linewidth=1.5, **_dots(values))
        top = max(top, *values)
        ends.append((name, values[-1], colour))
    axes.set_ylim(0, 1.15 * top)
    axes.yaxis.set_major_locator(MaxNLocator(3, integer=True, steps=STEPS))
    svg.label_ends(axes, ends)
    axes.set_title("Requests per second, by version")


def _failures(axes: Axes, rollout: Rollout) -> None:
    top = FEW_FAILURES
    for name, colour, arm in _both(rollout):
        failed = [(look.at_s, arm(look).failures) for look in rollout.looks if arm(look).failures]
        if failed:
            at, values = zip(*failed, strict=True)
            shift = 0.0 if name == rollout.candidate_name else 0.25
            axes.vlines(np.array(at) + shift, 0, values, color=colour, linewidth=3)
            top = max(top, *values)
    axes.axhline(0, color=svg.MUTED, linewidth=1)
    axes.set_ylim(0, 1.2 * top)
    axes.yaxis.set_major_locator(MaxNLocator(2, integer=True, steps=STEPS))
    if rollout.stable.failures + rollout.candidate.failures == 0:
        axes.annotate("none", (0.5, 0.5), xycoords="axes fraction", ha="center", va="center", color=svg.MUTED)
    axes.set_title("Failed attempts in each look, by version")


def _latency(axes: Axes, rollout: Rollout) -> None:
    ends = []
    top = 1.0
    for name, colour, arm in _both(rollout):
        at, values = _series(rollout.looks, lambda look, arm=arm: arm(look).p95_ms)  # type: ignore[misc]
        if values:
            axes.plot(at, values, color=colour, linewidth=1.5, **_dots(values))
            # One stall of a second must not press everything else flat.
            top = max(top, float(np.quantile(values, 0.98)))
            ends.append((name, values[-1], colour))
    axes.set_ylim(0, 1.25 * top)
    axes.yaxis.set_major_locator(MaxNLocator(3, steps=STEPS))
    svg.label_ends(axes, ends)
    axes.set_title("p95 latency in each look, ms, by version")


def _both(rollout: Rollout) -> tuple[tuple[str, str, Callable[[Look], ArmWindow]], ...]:
    return (
        (rollout.stable_name, svg.STABLE, lambda look: look.stable),
        (rollout.candidate_name, svg.CANDIDATE, lambda look: look.candidate),
    )


def _series(looks: Sequence[Look], value: Callable[[Look], float | None]) -> tuple[list[float], list[float]]:
    found = [(look.at_s, seen) for look in looks if (seen := value(look)) is not None]
    return [at for at, _ in found], [seen for _, seen in found]


def _dots(values: Sequence[float] | NDArray[np.float64]) -> dict[str, Any]:
    """Return dots for a line of few points: one of a single look would not be seen at all."""
    return {"marker": "o", "markersize": 4} if len(values) <= FEW_LOOKS else {}


def _clock(axes: Axes, rollout: Rollout, *, labels: bool) -> None:
    axes.set_xlim(*_window(rollout))
    axes.grid(visible=False, axis="x")
    axes.xaxis.set_major_locator(MaxNLocator(7, integer=True))
    if labels:
        axes.set_xlabel("seconds since the rollout was opened")
    else:
        axes.tick_params(labelbottom=False)
