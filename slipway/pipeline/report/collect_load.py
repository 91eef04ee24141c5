"""The load test for the report, from what Locust's run left and the service's objectives."""

import csv
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from slipway.loadtests import slo_gate
from slipway.loadtests.report import AGGREGATED, LoadReport
from slipway.loadtests.report import LoadPoint as FilePoint
from slipway.monitoring.slo import Slo
from slipway.pipeline.report import material
from slipway.pipeline.report.collect_model import GATES, VERDICTS
from slipway.pipeline.report.errors import MaterialUnreadable
from slipway.pipeline.report.values import Gate, LoadPoint, LoadTest

FILE = "report.json"
LOCUST = "locust.html"
HISTORY = "locust_stats_history.csv"


def load_test(folder: Path, slo: Slo, *, run_folder: Path) -> LoadTest:
    """Return the section on the load test; Locust's page is named by its path from the run's folder."""
    found = material.read(folder / FILE, LoadReport)
    points = tuple(_points(folder / HISTORY, found.timeline))
    if not any(point.p99_ms for point in points):
        raise MaterialUnreadable(f"{folder / HISTORY} has no second with an answer in it to draw; {material.AGAIN}")
    page = folder / LOCUST
    return LoadTest(
        users=found.users,
        seconds=found.seconds,
        requests=found.requests,
        failures=found.failed,
        rps=found.rps,
        p50_ms=found.p50_ms,
        p95_ms=found.p95_ms,
        p99_ms=found.p99_ms,
        slo_p99_ms=slo.p99_ms,
        slo_error_rate=slo.error_rate,
        slo_min_rps=slo.min_rps,
        points=points,
        gates=tuple(
            Gate(
                name=GATES.get(result.name, result.name),
                tone=VERDICTS[result.verdict][0],
                verdict=VERDICTS[result.verdict][1],
                words=result.words,
            )
            for result in slo_gate.check(found, slo)
        ),
        failed_because=tuple(f"{failure.words}, {failure.count:,} times" for failure in found.failures),
        locust_link=page.relative_to(run_folder).as_posix() if page.is_relative_to(run_folder) else page.as_uri(),
    )


def _points(history: Path, timeline: Sequence[FilePoint]) -> Iterator[LoadPoint]:
    """Yield the seconds of a test, with requests from Locust's totals: its own rate is a mean over twelve seconds."""
    totals = _totals(history)
    if len(totals) != len(timeline):
        raise MaterialUnreadable(f"{history} has {len(totals)} points, {FILE} has {len(timeline)}; {material.AGAIN}")
    for (before, after), point in zip(pairwise(totals), timeline[1:], strict=True):
        seconds = max(after.at - before.at, 1)
        yield LoadPoint(
            at_s=point.at_s,
            rps=(after.requests - before.requests) / seconds,
            failures_per_s=(after.failures - before.failures) / seconds,
            # Locust writes 0 while it has no quantile yet.
            p50_ms=point.p50_ms or None,
            p95_ms=point.p95_ms or None,
            p99_ms=point.p99_ms or None,
        )


class _Total(NamedTuple):
    at: int
    requests: int
    failures: int


def _totals(history: Path) -> list[_Total]:
    try:
        with history.open(encoding="utf-8", newline="") as file:
            return [
                _Total(int(row["Timestamp"]), int(row["Total Request Count"]), int(row["Total Failure Count"]))
                for row in csv.DictReader(file)
                if row["Name"] == AGGREGATED
            ]
    except OSError as error:
        raise MaterialUnreadable(f"{history} can't be read: {error.strerror}; {material.AGAIN}") from None
    except (KeyError, TypeError, ValueError) as error:
        raise MaterialUnreadable(f"{history} does not hold what it should: {error!r}; {material.AGAIN}") from None
