import dataclasses

import pytest

from slipway.loadtests.report import LoadReport
from slipway.loadtests.slo_gate import Verdict, check, passed
from slipway.monitoring.slo import InvalidSlo, Slo

SLO = Slo(p99_ms=50, error_rate=0.001, min_rps=270)
GOOD = LoadReport(
    service="churn",
    against="http://h",
    users=50,
    asked_rps=300,
    seconds=10.0,
    requests=3000,
    failed=3,
    rps=299.7,
    p50_ms=2,
    p95_ms=9,
    p99_ms=50,
    max_ms=80,
    failures=(),
    timeline=(),
)


def test_a_load_test_passes_when_each_objective_is_met_exactly() -> None:
    results = check(GOOD, SLO)
    assert passed(results)
    assert [result.words for result in results] == [
        "p99 50 ms, at most 50 ms",
        "errors 0.100 % (3 of 3000 requests), at most 0.100 %",
        "throughput 300 good answers a second, at least 270",
    ]


@pytest.mark.parametrize(
    ("change", "name"),
    [({"p99_ms": 51.0}, "p99"), ({"failed": 4}, "error_rate"), ({"rps": 269.9}, "throughput")],
)
def test_one_objective_fails_by_name_when_it_is_missed(change: dict[str, float], name: str) -> None:
    results = check(dataclasses.replace(GOOD, **change), SLO)
    assert not passed(results)
    assert [result.name for result in results if result.verdict is Verdict.FAIL] == [name]


def test_few_requests_are_no_evidence_when_all_was_well() -> None:
    results = check(dataclasses.replace(GOOD, requests=99, failed=0), SLO)
    assert not passed(results)
    assert {result.verdict for result in results} == {Verdict.NOT_ENOUGH_EVIDENCE}
    assert "99 requests show too little, 100 are needed" in results[0].words


def test_few_requests_still_fail_when_they_were_bad() -> None:
    results = check(dataclasses.replace(GOOD, requests=99, failed=99, rps=0.0), SLO)
    assert [result.verdict for result in results] == [Verdict.NOT_ENOUGH_EVIDENCE, Verdict.FAIL, Verdict.FAIL]


def test_nothing_passes_when_nothing_was_judged() -> None:
    assert not passed(())


@pytest.mark.parametrize(
    "table",
    [{}, {"p99_ms": 0, "error_rate": 0, "min_rps": 1}, {"p99_ms": 1, "error_rate": 2, "min_rps": 1}, {"p95_ms": 1}],
)
def test_objectives_are_refused_when_the_table_is_wrong(table: dict[str, float]) -> None:
    with pytest.raises(InvalidSlo, match=r"bento\.toml \[slo\]: .*allowed keys are p99_ms, error_rate, min_rps"):
        Slo.parse(table)
