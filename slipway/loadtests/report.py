"""A load test's figures, read from what Locust wrote. Pure."""

import csv
import io
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import msgspec

from slipway.loadtests.errors import LoadRunFailed
from slipway.loadtests.profile import LoadProfile

AGGREGATED = "Aggregated"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadFailure:
    """One kind of failure and how often it was seen."""

    words: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadPoint:
    """One second of a load test; rates and times are over the last ten seconds, as Locust shows them."""

    at_s: float
    users: int
    rps: float
    failures_per_s: float
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadReport:
    """What a load test saw. ``rps`` counts good answers a second; times are in whole milliseconds up to 100 ms."""

    service: str
    against: str
    users: int
    asked_rps: float
    seconds: float
    requests: int
    failed: int
    rps: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float
    failures: tuple[LoadFailure, ...]
    timeline: tuple[LoadPoint, ...]
    html: str = ""

    @property
    def error_rate(self) -> float:
        """Return the share of requests that failed."""
        return self.failed / self.requests

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        return msgspec.convert(value, cls)


class _Outcome(msgspec.Struct, frozen=True):
    failures: tuple[LoadFailure, ...]
    exceptions: tuple[LoadFailure, ...]


def quantile(counts: Mapping[float, int], share: float) -> float:
    """Return the nearest-rank quantile of a histogram of values.

    >>> quantile({1.0: 98, 40.0: 1, 900.0: 1}, 0.99)
    40.0
    """
    rank = math.ceil(share * sum(counts.values()))
    seen = 0
    for value in sorted(counts):
        seen += counts[value]
        if seen >= rank:
            return value
    msg = "a quantile of no values was asked for"
    raise LoadRunFailed(msg)


def parse(
    *, stats: bytes, history: str, outcome: bytes, service: str, against: str, profile: LoadProfile
) -> LoadReport:
    """Return the figures of a run from Locust's JSON of statistics, its CSV of history, and ``locust_process``'s JSON.

    Raises:
        LoadRunFailed: the files are not what Locust writes, the scenario itself raised, or no request was made: there
            is nothing to judge.
    """
    try:
        entries = msgspec.json.decode(stats)
        ended = msgspec.json.decode(outcome, type=_Outcome)
        if ended.exceptions:
            msg = f"the load test's own code raised, {ended.exceptions[0].count} times:\n{ended.exceptions[0].words}"
            raise LoadRunFailed(msg)
        requests = sum(entry["num_requests"] for entry in entries)
        if not requests:
            msg = f"the load test made no request to {against}; see Locust's log"
            raise LoadRunFailed(msg)
        failed = sum(entry["num_failures"] for entry in entries)
        times: dict[float, int] = {}
        for entry in entries:
            for value, count in entry["response_times"].items():
                times[float(value)] = times.get(float(value), 0) + count
        seconds = max(e["last_request_timestamp"] for e in entries) - min(e["start_time"] for e in entries)
        return LoadReport(
            service=service,
            against=against,
            users=profile.users,
            asked_rps=profile.rps,
            seconds=seconds,
            requests=requests,
            failed=failed,
            rps=(requests - failed) / seconds,
            p50_ms=quantile(times, 0.50),
            p95_ms=quantile(times, 0.95),
            p99_ms=quantile(times, 0.99),
            max_ms=max(entry["max_response_time"] for entry in entries),
            failures=tuple(sorted(ended.failures, key=lambda failure: -failure.count)),
            timeline=_timeline(history),
        )
    except (msgspec.DecodeError, KeyError, TypeError, ValueError, AttributeError, ZeroDivisionError) as error:
        if isinstance(error, LoadRunFailed):
            raise
        msg = f"Locust's results can't be read: {type(error).__name__}: {error}; is this another version of Locust?"
        raise LoadRunFailed(msg) from error


def _timeline(history: str) -> tuple[LoadPoint, ...]:
    rows = [row for row in csv.DictReader(io.StringIO(history)) if row["Name"] == AGGREGATED]
    if not rows:
        return ()
    start = int(rows[0]["Timestamp"])
    return tuple(
        LoadPoint(
            at_s=float(int(row["Timestamp"]) - start),
            users=int(row["User Count"]),
            rps=float(row["Requests/s"]),
            failures_per_s=float(row["Failures/s"]),
            p50_ms=_number(row["50%"]),
            p95_ms=_number(row["95%"]),
            p99_ms=_number(row["99%"]),
        )
        for row in rows
    )


def _number(text: str) -> float | None:
    return None if text in {"", "N/A"} else float(text)
