import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.loadtests.errors import LoadRunFailed
from slipway.loadtests.profile import LoadProfile
from slipway.loadtests.report import LoadFailure, LoadReport, parse, quantile

# Written by Locust 2.47.
HISTORY = """\
Timestamp,User Count,Type,Name,Requests/s,Failures/s,50%,95%,99%,Total Request Count
1795233405,0,,Aggregated,0.000000,0.000000,N/A,N/A,N/A,0
1795233406,50,POST,predict by id,300.0,1.5,3,9,12,300
1795233406,50,,Aggregated,300.0,1.5,3,9,12,300
"""
OUTCOME = {
    "failures": [{"words": "500: broken", "count": 2}, {"words": "ConnectionResetError(104, 'reset')", "count": 4}],
    "exceptions": [],
}


def entry(**changes: object) -> dict[str, object]:
    return {
        "name": "predict by id",
        "num_requests": 1000,
        "num_failures": 6,
        "start_time": 100.0,
        "last_request_timestamp": 110.0,
        "max_response_time": 812.4,
        "response_times": {"2": 900, "9": 89, "40": 10, "810": 1},
    } | changes


def parsed(*entries: object, outcome: object = OUTCOME) -> LoadReport:
    return parse(
        stats=json.dumps(entries).encode(),
        history=HISTORY,
        outcome=json.dumps(outcome).encode(),
        service="churn",
        against="http://h",
        profile=LoadProfile(),
    )


def test_figures_are_read_when_locust_has_written_them() -> None:
    report = parsed(entry())
    assert (report.requests, report.failed, report.seconds, report.rps) == (1000, 6, 10.0, 99.4)
    assert (report.p50_ms, report.p95_ms, report.p99_ms, report.max_ms) == (2.0, 9.0, 40.0, 812.4)
    assert report.error_rate == 0.006
    assert report.failures == (
        LoadFailure(words="ConnectionResetError(104, 'reset')", count=4),
        LoadFailure(words="500: broken", count=2),
    )
    assert [(point.at_s, point.users, point.rps, point.p99_ms) for point in report.timeline] == [
        (0.0, 0, 0.0, None),
        (1.0, 50, 300.0, 12.0),
    ]
    assert LoadReport.from_json(json.loads(json.dumps(report.to_json()))) == report


def test_kinds_of_requests_are_added_when_there_are_several() -> None:
    report = parsed(
        entry(), entry(name="batch", num_requests=10, num_failures=0, response_times={"900": 10}, start_time=95.0)
    )
    assert (report.requests, report.seconds, report.p99_ms) == (1010, 15.0, 810.0)


def test_no_request_is_an_error_when_nothing_was_sent() -> None:
    for entries in ((), (entry(num_requests=0, num_failures=0, response_times={}),)):
        with pytest.raises(LoadRunFailed, match="made no request to http://h"):
            parsed(*entries)


def test_a_scenario_that_raised_is_an_error_when_other_requests_were_good() -> None:
    raised = OUTCOME | {"exceptions": [{"words": "Traceback: KeyError 'score'", "count": 3}]}
    with pytest.raises(LoadRunFailed, match=r"own code raised, 3 times:\nTraceback: KeyError"):
        parsed(entry(), outcome=raised)


@pytest.mark.parametrize(
    "change", [{"response_times": None}, {"num_requests": None}, {"last_request_timestamp": 100.0}]
)
def test_results_are_an_error_when_locust_writes_them_otherwise(change: dict[str, object]) -> None:
    with pytest.raises(LoadRunFailed, match="another version of Locust"):
        parsed(entry(**change))


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=200), st.floats(0.01, 1))
def test_a_quantile_is_that_of_the_sorted_values(values: list[int], share: float) -> None:
    counts = {float(value): values.count(value) for value in values}
    found = quantile(counts, share)
    assert sum(value <= found for value in values) >= share * len(values)
    assert sum(value < found for value in values) < share * len(values)


def test_a_quantile_of_nothing_is_an_error() -> None:
    with pytest.raises(LoadRunFailed):
        quantile({}, 0.5)
