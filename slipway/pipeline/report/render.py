"""One run's values as one HTML file: no script, no request to anywhere, readable on paper and on a phone."""

from itertools import groupby
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

import slipway
from slipway.pipeline.report import words
from slipway.pipeline.report.values import Absent, LoadTest, ModelComparison, Report, Rollout, Search

HERE = Path(__file__).parent


def page(report: Report) -> str:
    """Return the page of a run."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=False
    )
    environment.filters.update(
        count=words.count,
        seconds=words.seconds,
        memory=words.memory,
        ms=words.milliseconds,
        share=words.share,
        day=words.day,
        clock=words.clock,
        family=words.family,
        metric_name=words.metric_name,
        sentence=words.sentence,
        percent=lambda part: f"{100 * part:.2f}%",
    )
    environment.tests["absent"] = lambda section: isinstance(section, Absent)
    plots, evidence = _plots(report)
    return environment.get_template("template.html.j2").render(
        report=report,
        contents=_contents(report),
        quality=report.quality,
        search=report.search,
        comparison=report.comparison,
        load=report.load,
        rollout=report.rollout,
        plots=plots,
        evidence=evidence,
        decisions=[list(group) for _, group in groupby(report.decisions, key=lambda moment: (moment.at, moment.step))],
        lower_is_better=words.LOWER_IS_BETTER,
        no_steps=Absent(why="The run ended before its first step."),
        no_decisions=Absent(why="The run ended before anything was decided."),
        version=slipway.__version__,
    )


def _contents(report: Report) -> tuple[tuple[str, str, bool], ...]:
    sections: tuple[tuple[str, str, Any], ...] = (
        ("timeline", "Timeline", None),
        ("data", "Data quality", report.quality),
        ("search", "Search", report.search),
        ("model", "Model against champion", report.comparison),
        ("load", "Load test", report.load),
        ("rollout", "Rollout", report.rollout),
        ("decisions", "Decisions", None),
        ("lineage", "Lineage", None),
    )
    return tuple((anchor, title, not isinstance(section, Absent)) for anchor, title, section in sections)


def _plots(report: Report) -> tuple[dict[str, Markup], list[tuple[Any, Markup]]]:
    sections = (report.search, report.comparison, report.load, report.rollout)
    if all(isinstance(section, Absent) for section in sections):
        return {}, []
    from slipway.pipeline.report import plots, rollout_plots, svg  # noqa: PLC0415  a page without plots is there at once

    drawn: dict[str, Markup] = {}
    evidence: list[tuple[Any, Markup]] = []
    with svg.style():
        if isinstance(report.search, Search):
            drawn["search"] = plots.search(report.search)
        if isinstance(report.comparison, ModelComparison):
            models = report.comparison
            drawn |= {
                "roc": plots.roc(models),
                "pr": plots.precision_recall(models),
                "calibration": plots.calibration(models),
                "slices": plots.slices(models),
            }
            if models.difference is not None:
                drawn["difference"] = plots.difference(models)
        if isinstance(report.load, LoadTest):
            drawn |= {"throughput": plots.throughput(report.load), "latency": plots.latency(report.load)}
        if isinstance(report.rollout, Rollout):
            rollout = report.rollout
            drawn["traffic_wide"] = rollout_plots.traffic(rollout, width=rollout_plots.WIDE)
            drawn["traffic_narrow"] = rollout_plots.traffic(rollout, width=rollout_plots.NARROW)
            evidence = [(guardrail, rollout_plots.evidence(guardrail, rollout)) for guardrail in rollout.guardrails]
    return drawn, evidence
