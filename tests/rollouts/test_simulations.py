"""Simulated rollouts: the truth goes in, the same core decides, and what comes out is reproducible."""

import json

import pytest
from typer.testing import CliRunner

from slipway.rollouts.cli import app
from slipway.rollouts.errors import InvalidPlan
from slipway.rollouts.plan import RolloutPlan
from slipway.rollouts.simulations import load, run
from slipway.rollouts.truth import Truth

PLAN = RolloutPlan()


def outcome(replications: int = 20, *, plan: RolloutPlan = PLAN, **truth):
    return run(plan, Truth.model_validate(truth), replications=replications, seed=1, workers=1)


def test_healthy_candidates_are_promoted_by_the_default_plan():
    found = outcome()

    assert found["promoted"] >= 19
    assert found["failed_requests_seen_by_users"] == 0


def test_failing_candidates_are_taken_back_soon_and_no_user_sees_it():
    found = outcome(errors={"candidate": 0.2})

    assert (found["rolled_back"], found["failed_requests_seen_by_users"]) == (20, 0)
    assert found["candidate_requests"]["p95"] <= 150


def test_slow_candidates_are_not_promoted():
    found = outcome(latency={"candidate": {"kind": "lognormal", "median_ms": 50.0}})

    assert (found["promoted"], found["rolled_back"]) == (0, 20)
    assert set(found["deciding"]) <= {"p95", "p99", "latency"}


def test_little_traffic_holds():
    assert outcome(5, rps=5.0)["held"] == 5


@pytest.mark.parametrize(
    "truth",
    [
        {"drift": {"course": "sine"}, "errors": {"stable": 0.02, "candidate": 0.02}},
        {"drift": {"course": "step"}, "errors": {"stable": 0.02, "candidate": 0.02}},
        {"drift": {"course": "random_walk"}, "errors": {"stable": 0.02, "candidate": 0.02}},
        {"clustering": 0.2, "errors": {"stable": 0.02, "candidate": 0.02}, "users": 2_000},
        {"activity": {"kind": "pareto", "shape": 1.2}, "users": 5_000, "errors": {"stable": 0.02, "candidate": 0.02}},
        {"correlation": 0.8, "errors": {"stable": 0.02, "candidate": 0.02}},
        {"latency": {arm: {"kind": "pareto"} for arm in ("stable", "candidate")}},
        {"latency": {arm: {"slow_share": 0.05} | {"kind": "lognormal"} for arm in ("stable", "candidate")}},
        {"pause_above_log_e": 0.5, "errors": {"stable": 0.02, "candidate": 0.02}},
    ],
)
def test_equal_candidates_are_seldom_taken_back_whatever_the_traffic_is_like(truth):
    assert outcome(**truth)["rolled_back"] <= 1


def test_candidate_requests_that_never_reach_the_log_show_in_the_sample_ratio():
    assert set(outcome(5, lost=0.5)["deciding"]) == {"sample_ratio"}


def test_the_same_seed_gives_the_same_rollouts_with_any_number_of_workers():
    truth = Truth.model_validate({"errors": {"stable": 0.01, "candidate": 0.02}})

    one, two = (run(PLAN, truth, replications=30, seed=7, workers=workers) for workers in (1, 2))

    assert one == two != run(PLAN, truth, replications=30, seed=8, workers=1)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[truht]\n", r"unknown table \[truht\]; a simulation has \[rollout\] and \[truth\]"),
        ("[truth]\nrps = 0\n", r"\[truth\] rps = 0: Input should be greater than 0"),
        ("[truth]\nerorrs = 1\n", r"\[truth\] erorrs = 1: Extra inputs"),
        ("[truth.drift]\ncourse = 'step'\nsize = 1.0\n[truth.errors]\nstable = 0.6\n", r"that move by 1.0 .* pass 1"),
        ("[rollout]\nalpha = 2\n", r"\[rollout\] alpha = 2"),
    ],
)
def test_wrong_file_is_refused_with_the_key(tmp_path, text, words):
    file = tmp_path / "simulation.toml"
    file.write_text(text)

    with pytest.raises(InvalidPlan, match=words):
        load(file)


def test_command_prints_what_came_of_it(tmp_path):
    file = tmp_path / "simulation.toml"
    file.write_text("[truth]\nerrors = { candidate = 1.0 }\n")

    told = CliRunner().invoke(app, ["simulate", str(file), "--replications", "3", "--json"])

    found = json.loads(told.stdout)
    assert (told.exit_code, found["replications"], found["rolled_back"]) == (0, 3, 3)
    assert "3 (100.00%)" in CliRunner().invoke(app, ["simulate", str(file), "--replications", "3"]).stderr
