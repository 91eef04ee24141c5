"""The gate behind a load test: its figures against the service's objectives. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from slipway.loadtests.report import LoadReport
from slipway.monitoring.slo import Slo

# A 99th percentile needs at least one request above it, and an error rate of 0.1 % is not seen in fewer either.
MIN_REQUESTS = 100


class Verdict(StrEnum):
    PASS = "pass"  # noqa: S105  a verdict, not a password
    FAIL = "fail"
    NOT_ENOUGH_EVIDENCE = "not_enough_evidence"


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectiveResult:
    """One objective: what was seen, what is allowed, and both in words."""

    name: str
    verdict: Verdict
    seen: float
    allowed: float
    words: str


def check(report: LoadReport, slo: Slo) -> tuple[ObjectiveResult, ...]:
    """Judge a load test; too few requests are never a pass.

    >>> from slipway.loadtests.report import LoadReport
    >>> report = LoadReport(service="s", against="http://h", users=1, asked_rps=300, seconds=10.0, requests=3000,
    ...     failed=6, rps=299.4, p50_ms=2, p95_ms=5, p99_ms=12, max_ms=40, failures=(), timeline=())
    >>> [result.words for result in check(report, Slo(p99_ms=50, error_rate=0.001, min_rps=270))][:2]
    ['p99 12 ms, at most 50 ms', 'errors 0.200 % (6 of 3000 requests), at most 0.100 %']
    """
    return (
        _judge(
            "p99",
            seen=report.p99_ms,
            allowed=slo.p99_ms,
            good=report.p99_ms <= slo.p99_ms,
            words=f"p99 {report.p99_ms:g} ms, at most {slo.p99_ms:g} ms",
            requests=report.requests,
        ),
        _judge(
            "error_rate",
            seen=report.error_rate,
            allowed=slo.error_rate,
            good=report.error_rate <= slo.error_rate,
            words=(
                f"errors {report.error_rate:.3%}".replace("%", " %")
                + f" ({report.failed} of {report.requests} requests), at most {slo.error_rate:.3%}".replace("%", " %")
            ),
            requests=report.requests,
        ),
        _judge(
            "throughput",
            seen=report.rps,
            allowed=slo.min_rps,
            good=report.rps >= slo.min_rps,
            words=f"throughput {report.rps:.0f} good answers a second, at least {slo.min_rps:g}",
            requests=report.requests,
        ),
    )


def passed(results: Sequence[ObjectiveResult]) -> bool:
    """Return whether every objective was shown to be met; no results show nothing."""
    return bool(results) and all(result.verdict is Verdict.PASS for result in results)


def _judge(name: str, *, seen: float, allowed: float, good: bool, words: str, requests: int) -> ObjectiveResult:
    verdict = Verdict.PASS if good else Verdict.FAIL
    if good and requests < MIN_REQUESTS:
        verdict = Verdict.NOT_ENOUGH_EVIDENCE
        words = f"{words}; {requests} requests show too little, {MIN_REQUESTS} are needed"
    return ObjectiveResult(name=name, verdict=verdict, seen=seen, allowed=allowed, words=words)
