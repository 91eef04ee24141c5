"""What is read from a run's files: the rollout's story above all."""

import json
from datetime import timedelta
from itertools import pairwise

import pytest

from slipway.pipeline.report import collect_rollout
from slipway.pipeline.report.collect import collect
from slipway.pipeline.report.collect_data import ColumnProfile, profile
from slipway.pipeline.report.collect_search import read, search
from slipway.pipeline.report.values import Absent, Tone
from slipway.pipeline.run import Outcome, StepOutcome, StepRecord
from tests.pipeline import report_material
from tests.pipeline.report_material import STARTED, a_run


@pytest.fixture(scope="module")
def promoted(tmp_path_factory):
    made = a_run(tmp_path_factory.mktemp("promoted"))
    return collect(made.project, made.run)


@pytest.fixture(scope="module")
def rolled_back(tmp_path_factory):
    made = a_run(tmp_path_factory.mktemp("back"), Outcome.ROLLED_BACK, last="rollout")
    return collect(made.project, made.run)


def test_stages_follow_each_other_up_to_all_traffic_when_promoted(promoted):
    stages = promoted.rollout.stages
    assert [stage.name for stage in stages] == [
        "queue", "prepare", "shadow", "canary 5 %", "canary 25 %", "canary 50 %", "soak", "swap", "drain",
    ]  # fmt: skip
    assert all(before.end_s == after.start_s for before, after in pairwise(stages))
    assert [stage.weight for stage in stages] == [0, 0, 0, 0.05, 0.25, 0.5, 1, 1, 1]
    assert stages[-1].end_s == promoted.rollout.seconds


def test_requests_of_both_versions_are_all_requests(promoted):
    rollout = promoted.rollout
    assert rollout.stable.requests + rollout.candidate.requests == rollout.requests
    # Behind the stable slot the new release answers more than the log assigned to the candidate's slot.
    assert rollout.candidate.requests > rollout.candidate_requests
    assert rollout.looks[-1].stable.requests == 0


def test_evidence_reaches_its_line_on_the_side_that_decided(promoted, rolled_back):
    proofs = {guardrail.name: guardrail for guardrail in promoted.rollout.guardrails}
    assert proofs["errors"].promote.crossed_at_s is not None
    assert proofs["p95"].promote.crossed_at_s is not None
    assert proofs["errors_absolute"].promote is None
    assert all(guardrail.roll_back.crossed_at_s is None for guardrail in proofs.values())
    harm = {guardrail.name: guardrail.roll_back for guardrail in rolled_back.rollout.guardrails}
    assert harm[rolled_back.rollout.decided_by].crossed_at_s is not None


def test_failed_attempts_are_the_candidates_and_no_users_when_rolled_back(rolled_back):
    rollout = rolled_back.rollout
    assert rollout.candidate.failures > 0
    assert rollout.stable.failures == 0
    assert rollout.failed_requests_seen_by_users == 0
    assert rollout.tone is Tone.BAD


def test_reason_of_the_page_is_the_rollouts_without_its_arithmetic(rolled_back, promoted):
    assert rolled_back.verdict.why.startswith("Errors: ")
    assert "candidate first requests failed" in rolled_back.verdict.why
    assert "log e" not in rolled_back.verdict.why
    assert "log e" not in promoted.verdict.why
    assert "log e" in promoted.rollout.reason


def test_decisions_come_in_order_and_once(promoted):
    times = [moment.at for moment in promoted.decisions]
    assert times == sorted(times)
    rollout = [moment.words for moment in promoted.decisions if moment.step == "rollout"]
    assert len([words for words in rollout if words.startswith("waiting for gate load_test")]) <= 1
    assert [words for words in rollout if "no harm is proven" in words]


def test_words_of_the_rollout_step_are_left_out_when_the_journal_has_them(tmp_path):
    made = a_run(tmp_path)
    journal = collect_rollout.read(made.folder / "rollout")
    reason = next(reason for event in journal.events for reason in event.reasons if "no harm" in reason)
    made.run.step("rollout").words = [f"SOAKING: {reason}", "users sent 5,300 requests and saw 0 fail"]
    told = [moment.words for moment in collect(made.project, made.run).decisions]
    assert len([words for words in told if reason in words]) == 1
    assert "users sent 5,300 requests and saw 0 fail" in told


def test_rollout_that_ended_before_the_candidate_met_requests_is_a_sentence(tmp_path):
    made = a_run(tmp_path, Outcome.REJECTED, last="rollout")
    events = made.folder / "rollout" / "events.json"
    events.write_text(json.dumps(json.loads(events.read_text())[:3]))
    rollout = collect(made.project, made.run).rollout
    assert isinstance(rollout, Absent)
    assert "No user met the candidate" in rollout.why


def test_timeline_lies_within_the_run(promoted):
    assert [step.name for step in promoted.steps] == [name for name, *_ in report_material.STEPS]
    assert all(0 <= step.left <= step.left + step.width <= 1 for step in promoted.steps)
    assert max(step.memory_share for step in promoted.steps) == 1
    assert promoted.peak_mb == 1910


def test_report_step_is_not_on_its_own_timeline(tmp_path):
    made = a_run(tmp_path)
    now = (STARTED + timedelta(seconds=200)).isoformat()
    made.run.steps.append(StepRecord(name="report", started_at=now))
    found = collect(made.project, made.run)
    assert "report" not in [step.name for step in found.steps]
    assert found.verdict.headline == "churn version 2 was promoted and serves all traffic."


def test_step_that_was_refused_is_marked(tmp_path):
    made = a_run(tmp_path, Outcome.REJECTED, last="gate")
    last = collect(made.project, made.run).steps[-1]
    assert (last.name, last.outcome, last.tone) == ("gate", StepOutcome.REFUSED, Tone.BAD)


def test_facts_name_everything_a_run_was_made_from(promoted):
    facts = {fact.name: fact.value for fact in promoted.facts}
    assert facts["data version"] == report_material.quality().version.hash
    assert facts["ONNX"] == report_material.manifest().onnx_digest
    assert facts["Bento"] == f"sha256:{2:064x}"
    assert facts["model"] == "churn version 2"
    assert {"git commit", "locked libraries", "rollout", "stable before", "run"} <= set(facts)


def test_key_numbers_begin_with_what_users_saw(promoted):
    first, *_, last = promoted.key_numbers
    assert (first.label, first.value, first.tone) == ("failed requests seen by users", "0", Tone.GOOD)
    assert last.label == "whole run"
    assert len(promoted.key_numbers) == 6


def test_key_numbers_are_those_there_are_when_little_was_done(tmp_path):
    made = a_run(tmp_path, Outcome.REJECTED, last="ingest")
    found = collect(made.project, made.run).key_numbers
    assert [number.label for number in found] == ["rows in quarantine", "rows repaired", "whole run"]


def test_search_marks_the_family_that_was_judged(tmp_path):
    report_material.trained().save(tmp_path)
    assert search(read(tmp_path), chosen="xgboost").chosen == "xgboost"
    assert search(read(tmp_path), chosen="").chosen == "gradient_boosting"
    best = search(read(tmp_path), chosen="").best("logistic_regression")
    assert best.cv_roc_auc == pytest.approx(0.8452)


def test_label_comes_first_and_then_numbers(promoted):
    assert [shape.column for shape in promoted.quality.profiles] == ["Churn", "tenure", "Contract", "PaymentMethod"]
    assert sum(promoted.quality.profiles[1].shares) == pytest.approx(1)
    assert len(promoted.quality.profiles[1].shares) == 12


def test_many_words_of_a_column_are_put_together():
    counts = {f"word {number}": 20 - number for number in range(10)}
    shape = profile(ColumnProfile(column="c", nulls=3, distinct=10, counts=counts), rows=155)
    assert shape.labels[-1] == "4 others"
    assert sum(shape.shares) == pytest.approx(1)
    assert shape.summary == "10 different values, 3 blank"


def test_column_without_a_value_has_no_shape():
    assert profile(ColumnProfile(column="c", nulls=9, distinct=0), rows=9) is None


def test_slices_show_both_models_and_the_whole(promoted):
    comparison = promoted.comparison
    assert {(part.column, part.value) for part in comparison.slices} == {
        ("gender", "Female"), ("gender", "Male"), ("SeniorCitizen", "0"), ("SeniorCitizen", "1"),
    }  # fmt: skip
    assert all(part.champion is not None for part in comparison.slices)
    assert comparison.slice_whole == comparison.candidate.metrics["accuracy"]


@pytest.mark.parametrize("metric", ["recall", "selection_rate", "false_positive_rate", "roc_auc"])
def test_whole_of_a_rate_lies_between_its_groups(tmp_path, metric):
    made = a_run(tmp_path, last="gate", outcome=Outcome.UNCHANGED)
    path = made.folder / "gate" / "gate.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"slice_metric": metric}))
    comparison = collect(made.project, made.run).comparison
    values = [part.candidate for part in comparison.slices if part.column == "gender"]
    assert min(values) - 0.01 <= comparison.slice_whole <= max(values) + 0.01


def test_rate_of_the_load_test_is_counted_second_by_second(promoted):
    points = promoted.load.points
    assert [point.rps for point in points] == [301] * 10
    assert [point.failures_per_s for point in points] == [0, 0, 0, 0, 1, 0, 0, 0, 0, 0]


def test_load_test_of_an_earlier_attempt_is_told_when_this_run_had_none_to_make(tmp_path):
    made = a_run(tmp_path)
    for file in (made.folder / "loadtest").iterdir():
        file.unlink()
    made.run.step("loadtest").words = ["the load test was passed before this rollout went on"]
    found = collect(made.project, made.run)
    assert found.load.why.endswith("had none to make: the load test was passed before this rollout went on.")
    assert not found.load.broken
    assert found.broken == ()


def test_comparison_is_told_to_be_needless_when_the_winner_is_stable_already(tmp_path):
    made = a_run(tmp_path, Outcome.UNCHANGED, last="gate", reason="the search's best model is the very model")
    (made.folder / "gate" / "gate.json").unlink()
    made.run.step("gate").words = []
    comparison = collect(made.project, made.run).comparison
    assert comparison.why.endswith("had none to make: the search's best model is the very model.")


def test_every_step_of_the_ramp_is_told_although_only_its_numbers_differ(promoted):
    told = [moment.words for moment in promoted.decisions if moment.words.startswith("weight ")]
    assert [words.split(":")[0] for words in told] == ["weight 5 %", "weight 25 %", "weight 50 %"]


def test_metrics_come_in_the_order_that_people_ask_for_them(promoted):
    assert list(promoted.comparison.candidate.metrics)[:3] == ["roc_auc", "pr_auc", "accuracy"]
    assert set(promoted.comparison.candidate.metrics) == set(report_material.evaluation("candidate").metrics)
