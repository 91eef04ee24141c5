"""Real Locust runs against real servers."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from slipway.loadtests.errors import LoadProfileUnreadable, LoadRunFailed, TargetUnreachable
from slipway.loadtests.profile import LoadProfile
from slipway.loadtests.report import LoadReport
from slipway.loadtests.run import run
from slipway.loadtests.slo_gate import check, passed
from slipway.monitoring.slo import Slo
from slipway.project import Project

IDLE = """
from locust import User, constant, task
class Idle(User):
    wait_time = constant(1)
    @task
    def nothing(self): pass
"""
RAISES = """
from slipway.loadtests.users import PredictById
class Broken(PredictById):
    def on_start(self):
        super().on_start()
        raise RuntimeError("a broken user")
"""
SLO = Slo(p99_ms=250, error_rate=0.001, min_rps=80)
SHORT = LoadProfile(users=10, rps=150, duration_s=2)


def test_a_good_service_passes_and_leaves_locusts_page_when_tested(
    service: Callable[[str], str], ids: Path, own_project: Project, tmp_path: Path
) -> None:
    url = service("good")
    report = run("churn", url, SHORT, ids, tmp_path / "out", project=own_project)
    assert passed(check(report, SLO)), check(report, SLO)
    assert report.failed == 0
    assert 100 <= report.requests <= 310
    assert report.timeline
    page = Path(report.html).read_text()
    assert "<html" in page
    assert not {'http-equiv="refresh"'} & set(page.split())
    assert LoadReport.from_json(json.loads((tmp_path / "out" / "report.json").read_text())) == report
    seen = httpx.get(f"{url}/seen").json()
    assert seen["requests"] == report.requests
    assert seen["ids"] == sorted(ids.read_text().split())


@pytest.mark.parametrize(
    ("behaviour", "objective", "words"),
    [
        ("errors", "error_rate", '500: {"detail":"broken on purpose"}'),
        ("nonsense", "error_rate", "200 without one prediction"),
        ("dies", "error_rate", ""),
    ],
)
def test_a_bad_service_fails_its_objective_when_tested(
    service: Callable[[str], str],
    ids: Path,
    own_project: Project,
    tmp_path: Path,
    behaviour: str,
    objective: str,
    words: str,
) -> None:
    report = run("churn", service(behaviour), SHORT, ids, tmp_path / "out", project=own_project)
    assert objective in [result.name for result in check(report, SLO) if result.verdict == "fail"]
    assert any(words in failure.words for failure in report.failures) or not words


def test_a_dead_target_is_an_error_and_no_report_when_tested(
    free_port: int, ids: Path, own_project: Project, tmp_path: Path
) -> None:
    with pytest.raises(TargetUnreachable, match="nothing answers at"):
        run("churn", f"http://127.0.0.1:{free_port}", SHORT, ids, tmp_path / "out", project=own_project)


def test_a_target_is_an_error_when_it_is_not_ready(
    service: Callable[[str], str], ids: Path, own_project: Project, tmp_path: Path
) -> None:
    with pytest.raises(TargetUnreachable, match="answers 503, not 200"):
        run("churn", service("not_ready"), SHORT, ids, tmp_path / "out", project=own_project)


@pytest.mark.parametrize(
    ("scenario", "words"),
    [
        ("raise RuntimeError('a broken scenario')\n", "a broken scenario"),
        ("", "No User class found"),
        (IDLE, "made no request"),
        (RAISES, "own code raised.*a broken user"),
    ],
)
def test_locusts_own_failure_is_an_error_and_no_report_when_the_scenario_is_broken(
    service: Callable[[str], str], ids: Path, own_project: Project, tmp_path: Path, scenario: str, words: str
) -> None:
    (own_project.loadtests_dir / "churn.py").write_text(scenario)
    with pytest.raises(LoadRunFailed, match=f"(?s){words}"):
        run("churn", service("good"), LoadProfile(duration_s=1), ids, tmp_path / "out", project=own_project)


def test_a_load_test_that_does_not_exist_is_refused_by_its_path(
    ids: Path, own_project: Project, tmp_path: Path
) -> None:
    with pytest.raises(LoadProfileUnreadable, match=r"other\.py does not exist"):
        run("other", "http://127.0.0.1:1", SHORT, ids, tmp_path / "out", project=own_project)


def test_locust_and_gevent_stay_out_of_this_process_when_the_package_is_used() -> None:
    script = """
import sys
from slipway.loadtests import cli, generator, run, traffic
assert not {"locust", "gevent"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", script], check=True)
