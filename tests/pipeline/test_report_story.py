import pytest

from slipway.pipeline.report import story
from slipway.pipeline.report.values import Tone
from slipway.pipeline.run import Outcome, Run, StepOutcome, StepRecord


def a_run(outcome, *steps, version=2, stable_before=1, reason="because"):
    records = [StepRecord(name=name, outcome=StepOutcome.DONE) for name in steps]
    return Run(
        id="r", model="churn", started_at="", outcome=outcome, steps=records, version=version,
        stable_before=stable_before, reason=reason,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("run", "headline", "tone"),
    [
        (a_run(Outcome.PROMOTED, "promote"), "churn version 2 was promoted and serves all traffic.", Tone.GOOD),
        (
            a_run(Outcome.ROLLED_BACK, "rollout"),
            "churn version 2 was taken back; version 1 serves all traffic.",
            Tone.BAD,
        ),
        (
            a_run(Outcome.HELD, "rollout", stable_before=None),
            "churn version 2 was held for lack of evidence; the stable version serves all traffic.",
            Tone.HELD,
        ),
        (a_run(Outcome.REJECTED, "ingest"), "The data were refused; nothing was trained on them.", Tone.BAD),
        (
            a_run(Outcome.REJECTED, "train", "gate", version=None),
            "The churn candidate did not pass the gates, before any user met it.",
            Tone.BAD,
        ),
        (
            a_run(Outcome.REJECTED, "start"),
            "churn version 2 was stopped at its golden rows, before any user met it.",
            Tone.BAD,
        ),
        (a_run(Outcome.UNCHANGED, "gate"), "Nothing was shipped; traffic is as it was.", Tone.GOOD),
        (a_run(Outcome.FAILED, "ingest", "stack", "report"), "The run failed in step 'stack'.", Tone.BAD),
        (a_run(None, "train"), "The run was cut off in step 'train'.", Tone.BAD),
    ],
)
def test_headline_says_the_outcome(run, headline, tone):
    verdict = story.verdict(run)
    assert (verdict.headline, verdict.tone, verdict.why) == (headline, tone, "Because.")


def test_reason_is_the_last_word_said_when_none_is_recorded():
    run = a_run(None, "train", reason="")
    run.steps[-1].words.append("65 trials")
    assert story.verdict(run).why == "65 trials."


def test_absence_tells_an_earlier_run_when_this_one_began_later():
    run = a_run(Outcome.UNCHANGED, "train", "gate")
    assert "this run began at step 'train'" in story.why_absent(run, "ingest")


def test_absence_tells_that_nothing_ran():
    assert "no step ran" in story.why_absent(a_run(Outcome.UNCHANGED), "train")


def test_absence_tells_that_a_step_ended_too_early():
    run = a_run(Outcome.FAILED, "ingest", "train")
    run.steps[-1].outcome = StepOutcome.FAILED
    assert story.why_absent(run, "train").endswith("step 'train' failed before it had results.")


def test_absence_tells_where_the_run_was_to_stop():
    words = story.why_absent(a_run(Outcome.UNCHANGED, "ingest", "train"), "rollout")
    assert words.endswith("the run ended after step 'train'. No user met the candidate.")


def test_every_step_of_ship_is_told():
    from slipway.pipeline.ship import REPORT, STEPS  # noqa: PLC0415  the table of steps is heavy to import

    assert [step.name for step in (*STEPS, REPORT)] == list(story.STEPS)
