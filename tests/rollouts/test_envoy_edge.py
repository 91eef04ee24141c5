"""The edge against a real Envoy: assignment, fallback, expiring weights, swaps under load, the access log."""

import http.client
import os
import signal
import time
from collections.abc import Callable, Iterator

import pytest
from envoys import RunningEnvoy, Upstream, Users, ask_many, asked, wait_until, weight_server

from slipway.rollouts import envoy
from slipway.rollouts.envoy import fallback_cluster, stable_cluster
from slipway.rollouts.errors import EdgeUnavailable
from slipway.rollouts.observer import parse
from slipway.rollouts.ports import Split
from slipway.rollouts.routes import takes_candidate
from slipway.rollouts.rtds import TTL_S, WeightServer

PREDICT = "/churn/v1/predict"


@pytest.fixture(scope="module")
def proxy(tmp_path_factory) -> Iterator[RunningEnvoy]:
    running = RunningEnvoy(tmp_path_factory.mktemp("edge"))
    running.weights.start()
    yield running
    running.close()


@pytest.fixture
def upstream() -> Iterator[Callable[..., Upstream]]:
    made: list[Upstream] = []

    def start(name: str, behaviour: str = "ok") -> Upstream:
        made.append(Upstream(name, behaviour))
        return made[-1]

    yield start
    for one in made:
        one.stop()


def test_envoy_gives_each_unit_the_arm_that_python_computes(proxy, upstream):
    proxy.route(upstream("stable"), upstream("candidate"), salt="golden-1")
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port)
    for weight in (500, 2500):
        with proxy.held(weight):
            for unit in (f"visitor-{number}" for number in range(1000)):
                takes = takes_candidate(unit, salt="golden-1", weight=weight)
                assert asked(proxy.port, PREDICT, unit, connection)[1] == ("candidate" if takes else "stable")
    connection.close()


@pytest.mark.parametrize("behaviour", ["fail", "reset"])
def test_users_see_no_failure_when_every_request_of_the_candidate_fails(proxy, upstream, behaviour):
    bad = upstream("bad", behaviour)
    proxy.route(upstream("stable"), bad)
    with proxy.held(10_000):
        assert ask_many(proxy.port, 2000) == {(200, "stable"): 2000}
    assert bad.seen == 2000


def test_users_see_no_failure_when_the_candidate_is_not_there(proxy, upstream):
    gone = upstream("gone")
    proxy.route(upstream("stable"), gone)
    gone.stop()
    with proxy.held(10_000):
        assert ask_many(proxy.port, 200) == {(200, "stable"): 200}


def test_users_wait_no_longer_than_the_time_limit_of_one_try_when_the_candidate_hangs(proxy, upstream):
    proxy.route(upstream("stable"), upstream("hanging", "hang"), timeout_ms=100)
    with proxy.held(10_000):
        begun = time.monotonic()
        assert ask_many(proxy.port, 5) == {(200, "stable"): 5}
        assert 0.5 <= time.monotonic() - begun <= 1.5


def test_log_says_who_was_asked_and_who_answered(proxy, upstream):
    stable, bad = upstream("stable"), upstream("bad", "fail")
    proxy.route(stable, bad)
    start = proxy.log_position()
    with proxy.held(5000):
        ask_many(proxy.port, 100, prefix="logged")
    wait_until(lambda: len(proxy.edge.read_log(start).lines) >= 100)
    lines, broken = parse(proxy.edge.read_log(start).lines)
    assert (len(lines), broken) == (100, 0)
    for line in lines:
        asked_candidate = takes_candidate(line.unit or "", salt="r-1", weight=5000)
        assert line.cluster == (fallback_cluster("churn") if asked_candidate else stable_cluster("churn"))
        assert line.attempts == (2 if asked_candidate else 1)
        assert (line.host, line.status, line.service) == (str(stable.address), 200, "churn")
        assert line.ms is not None
        assert abs(line.started_s - time.time()) < 60
        assert line.id


def test_log_is_read_from_a_position_in_whole_lines(proxy, upstream):
    proxy.route(upstream("stable"), None)
    start = proxy.log_position()
    ask_many(proxy.port, 3)
    wait_until(lambda: len(proxy.edge.read_log(start).lines) == 3)
    chunk = proxy.edge.read_log(start)
    assert chunk.position == proxy.edge.end_of_log()
    assert proxy.edge.read_log(chunk.position).lines == ()
    assert len(proxy.edge.read_log(start + len(chunk.lines[0]) + 1).lines) == 2


def test_log_begins_anew_when_it_has_grown_too_long(proxy, upstream):
    proxy.route(upstream("stable"), None)
    ask_many(proxy.port, 3)
    wait_until(lambda: proxy.edge.end_of_log() > 0)
    assert not proxy.edge.rotate_log(above_bytes=10**9)
    assert proxy.edge.rotate_log(above_bytes=0)
    ask_many(proxy.port, 3)
    wait_until(lambda: len(proxy.edge.read_log(10**9).lines) == 3)


def test_requests_are_mirrored_to_the_candidate_in_shadow_and_its_failures_reach_nobody(proxy, upstream):
    bad = upstream("bad", "fail")
    proxy.route(upstream("stable"), bad)
    with proxy.held(0):
        ask_many(proxy.port, 50)
    assert bad.seen == 0
    with proxy.held(0, shadow_percent=100):
        time.sleep(0.1)  # the weight was 0 before: nothing says when the mirror is on
        assert ask_many(proxy.port, 200) == {(200, "stable"): 200}
        wait_until(lambda: bad.seen >= 200)


def test_request_carries_the_edges_mark_and_the_callers_id(proxy, upstream):
    stable = upstream("stable")
    proxy.route(stable, None)
    answer = asked(proxy.port, PREDICT, "u", x_request_id="my-id", x_slipway_edge="forged")
    assert answer[2]["x-request-id"] == "my-id"
    assert "x-slipway-edge: 1" in stable.headers
    assert "x-request-id: my-id" in stable.headers
    assert stable.headers[0].startswith("post /v1/predict ")


def test_visitor_without_a_unit_keeps_an_arm_by_cookie(proxy, upstream):
    proxy.route(upstream("stable"), upstream("candidate"))
    start = proxy.log_position()
    with proxy.held(5000):
        _, first, headers = asked(proxy.port, PREDICT, None)
        cookie = headers["set-cookie"].split(";")[0]
        again = [asked(proxy.port, PREDICT, None, cookie=f"a=b; {cookie}") for _ in range(5)]
    assert {answer[1] for answer in again} == {first}
    assert all("set-cookie" not in answer[2] for answer in again)
    wait_until(lambda: len(proxy.edge.read_log(start).lines) == 6)
    units = {line.unit for line in parse(proxy.edge.read_log(start).lines)[0]}
    assert units == {cookie.removeprefix("slipway-unit=")}
    assert takes_candidate(units.pop() or "", salt="r-1", weight=5000) == (first == "candidate")


def test_unknown_service_is_not_found_as_a_problem(proxy):
    status, body, headers = asked(proxy.port, "/fraud/v1/predict", "u")
    assert (status, headers["content-type"]) == (404, "application/problem+json")
    assert "no such service" in body


def test_no_request_fails_while_stable_is_swapped_and_its_old_process_ends(proxy, upstream):
    current, candidate = upstream("stable-0"), upstream("candidate")
    proxy.route(current, candidate)
    with Users(proxy.port) as users:
        for number in range(1, 7):
            following = upstream(f"stable-{number}")
            proxy.route(following, candidate)
            with proxy.held(5000 if number % 2 else 0):
                current.stop()
                current = following
                time.sleep(0.3)
    assert {status for status, _ in users.seen} == {200}
    assert sum(users.seen.values()) > 500
    assert {f"stable-{number}" for number in range(7)} <= {body for _, body in users.seen}


def test_no_request_fails_when_the_candidate_is_killed_in_the_middle(proxy, upstream):
    candidate = upstream("candidate")
    proxy.route(upstream("stable"), candidate)
    with Users(proxy.port) as users, proxy.held(5000):
        time.sleep(0.3)
        candidate.stop()
        time.sleep(0.5)
    assert {status for status, _ in users.seen} == {200}
    assert users.seen[200, "candidate"] > 0


def test_weights_reach_the_proxy_by_a_push(proxy, upstream):
    proxy.route(upstream("stable"), upstream("candidate"))
    with proxy.held(0):
        pass
    proxy.edge.split({"churn": Split(weight=10_000)})
    wait_until(lambda: proxy.weight() == 10_000, timeout_s=TTL_S)


def test_weights_expire_when_the_controllers_loop_hangs(proxy, upstream):
    """The gRPC server lives and nobody extends its lease: as good as dead."""
    proxy.route(upstream("stable"), upstream("candidate"))
    with proxy.held(10_000):
        assert ask_many(proxy.port, 20) == {(200, "candidate"): 20}
    took_s = wait_until(lambda: ask_many(proxy.port, 20) == {(200, "stable"): 20}, timeout_s=8)
    assert took_s <= TTL_S + 3.5
    assert proxy.edge.exposures("churn")[-1].until_s <= time.time()


def test_weights_expire_within_three_seconds_when_the_controller_is_killed(tmp_path, upstream):
    proxy = RunningEnvoy(tmp_path)
    controller = weight_server(proxy.rtds)
    try:
        proxy.route(upstream("stable"), upstream("candidate"))
        wait_until(lambda: ask_many(proxy.port, 20) == {(200, "candidate"): 20})
        time.sleep(1)
        os.kill(controller.pid, signal.SIGKILL)
        controller.wait()
        with Users(proxy.port, pause_s=0.01) as users:
            took_s = wait_until(lambda: ask_many(proxy.port, 20) == {(200, "stable"): 20}, timeout_s=8)
        assert took_s <= TTL_S + 3
        assert {status for status, _ in users.seen} == {200}
        # A proxy that starts with no controller at all has everything on stable, from its files.
        proxy.kill()
        proxy.start()
        assert ask_many(proxy.port, 20) == {(200, "stable"): 20}
    finally:
        controller.kill()
        proxy.close()


def test_nothing_is_certain_between_a_proxys_death_and_its_return(tmp_path, upstream):
    proxy = RunningEnvoy(tmp_path)
    proxy.weights.start()
    try:
        proxy.route(upstream("stable"), upstream("candidate"))
        with proxy.held(5000):
            proxy.kill()
            wait_until(lambda: not proxy.weights.connected)
            noticed_s = time.time()
            assert proxy.edge.exposures("churn")[-1].until_s <= noticed_s
            proxy.start()
            wait_until(lambda: proxy.weight() == 5000)
        before, after = proxy.edge.exposures("churn")[-2:]
        assert before.until_s <= noticed_s < after.since_s
    finally:
        proxy.close()


def test_slots_are_not_in_use_while_the_proxy_is_away(tmp_path, upstream):
    proxy = RunningEnvoy(tmp_path)
    try:
        proxy.route(upstream("stable"), None)
        proxy.kill()
        other = upstream("other")
        assert not proxy.edge.route([proxy.one_route(other, None)])
        assert not proxy.edge.route([proxy.one_route(other, None)])
        proxy.start()
        proxy.route(other, None)
        wait_until(lambda: ask_many(proxy.port, 5) == {(200, "other"): 5})
    finally:
        proxy.close()


def test_second_weight_server_on_a_port_is_refused_in_words(proxy):
    with pytest.raises(EdgeUnavailable, match="another controller may hold the port"):
        WeightServer(resource=envoy.RTDS_RESOURCE, address=f"127.0.0.1:{proxy.rtds}").start()
