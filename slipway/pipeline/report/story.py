"""What a run's record tells in sentences: the outcome and its reason, why a section is missing. Pure."""

import re
from typing import assert_never

from slipway.pipeline.report.values import Tone, Verdict
from slipway.pipeline.report.words import sentence
from slipway.pipeline.run import Outcome, Run, StepOutcome, StepRecord

# In the order of ``ship``; what each is about, for the timeline.
STEPS = {
    "ingest": "validate the data",
    "stack": "start the local stack",
    "features": "build the training set",
    "materialize": "write features to Redis",
    "baseline": "install a plain model first",
    "train": "search for the best model",
    "gate": "judge it on held-out rows",
    "register": "register it",
    "package": "build the Bento",
    "start": "start it beside stable, ask its golden rows",
    "loadtest": "load-test it",
    "rollout": "give it traffic, watch it",
    "promote": "make it the stable one",
    "report": "write this report",
}
NOUNS = {
    "ingest": "data quality to show",
    "train": "search to show",
    "gate": "comparison with the champion to show",
    "loadtest": "load test to show",
    "rollout": "rollout to show",
}
TONES = {
    Outcome.PROMOTED: Tone.GOOD,
    Outcome.UNCHANGED: Tone.GOOD,
    Outcome.ROLLED_BACK: Tone.BAD,
    Outcome.REJECTED: Tone.BAD,
    Outcome.FAILED: Tone.BAD,
    Outcome.HELD: Tone.HELD,
}
ENDINGS = {
    StepOutcome.REFUSED: "was refused",
    StepOutcome.FAILED: "failed",
    StepOutcome.INTERRUPTED: "was interrupted",
    StepOutcome.RUNNING: "was cut off",
}
# Where a rejected candidate was stopped, as the subject of a sentence goes on.
REJECTED_BY = {
    "gate": "did not pass the gates",
    "register": "could not be registered",
    "package": "could not be packaged",
    "start": "was stopped at its golden rows",
    "loadtest": "was stopped by its load test",
    "rollout": "was stopped before its rollout began",
}


# The rollout's reasons carry the arithmetic of the e-values; the page's section on it shows that in full.
ARITHMETIC = re.compile(r"; log e for harm -?[\d.]+ of [\d.]+(, against harm -?[\d.]+ of [\d.]+)?")


def verdict(run: Run, *, rollout_reason: str = "") -> Verdict:
    """Return the outcome in one sentence, with its reason: the rollout's own where one decided.

    >>> verdict(Run(id="r", model="churn", started_at="", version=2, outcome=Outcome.PROMOTED)).headline
    'churn version 2 was promoted and serves all traffic.'
    """
    outcome = run.outcome
    return Verdict(
        outcome="interrupted" if outcome is None else outcome.replace("_", " "),
        headline=_headline(run),
        why=sentence(ARITHMETIC.sub("", rollout_reason or run.reason or _last_words(run))),
        tone=Tone.BAD if outcome is None else TONES[outcome],
    )


def _headline(run: Run) -> str:
    candidate = f"{run.model} version {run.version}" if run.version is not None else f"The {run.model} candidate"
    stable = "the stable version" if run.stable_before is None else f"version {run.stable_before}"
    step = last_step(run)
    where = f" in step '{step.name}'" if step else ""
    match run.outcome:
        case Outcome.PROMOTED:
            words = f"{candidate} was promoted and serves all traffic."
        case Outcome.ROLLED_BACK:
            words = f"{candidate} was taken back; {stable} serves all traffic."
        case Outcome.HELD:
            words = f"{candidate} was held for lack of evidence; {stable} serves all traffic."
        case Outcome.UNCHANGED:
            words = "Nothing was shipped; traffic is as it was."
        case Outcome.REJECTED if step is not None and step.name == "ingest":
            words = "The data were refused; nothing was trained on them."
        case Outcome.REJECTED:
            how = REJECTED_BY.get(step.name if step else "", "was rejected")
            words = f"{candidate} {how}, before any user met it."
        case Outcome.FAILED:
            words = f"The run failed{where}."
        case None:
            words = f"The run was cut off{where}."
        case _:
            assert_never(run.outcome)
    return words


def last_step(run: Run) -> StepRecord | None:
    """Return the step that ended the run; the report's own is none of them."""
    told = [step for step in run.steps if step.name != "report"]
    return told[-1] if told else None


def _last_words(run: Run) -> str:
    step = last_step(run)
    return step.words[-1] if step and step.words else ""


def may_be_missing(run: Run, step: StepRecord) -> bool:
    """Tell whether a step may have left no file: it did not end well, or it ended the run without more to do."""
    return step.outcome is not StepOutcome.DONE or step is last_step(run)


def why_absent(run: Run, name: str) -> str:
    """Return the sentence that stands in the place of a section whose step has left nothing.

    >>> run = Run(id="r", model="churn", started_at="", outcome=Outcome.REJECTED)
    >>> run.steps.append(StepRecord(name="gate", outcome=StepOutcome.REFUSED))
    >>> why_absent(run, "rollout")
    "There is no rollout to show: the run ended in step 'gate', which was refused. No user met the candidate."
    """
    begin = f"There is no {NOUNS[name]}: "
    own, step = run.step(name), last_step(run)
    unmet = " No user met the candidate." if name == "rollout" else ""
    if step is None:
        return f"{begin}nothing had changed since the last promotion, so no step ran."
    order = list(STEPS)
    first = run.steps[0].name
    if own is None and first in order and order.index(name) < order.index(first):
        return f"{begin}this run began at step '{first}' and took what an earlier run had left; see that one's report."
    if own is not None and own.outcome is StepOutcome.DONE:
        why = own.words[-1] if own.words else run.reason
        return f"{begin}step '{name}' had none to make: {why.removesuffix('.')}.{unmet}"
    if own is not None:
        ending = ENDINGS[own.outcome]
        return f"{begin}step '{name}' {ending} before it had results.{unmet}"
    if step.outcome is StepOutcome.DONE:
        return f"{begin}the run ended after step '{step.name}'.{unmet}"
    return f"{begin}the run ended in step '{step.name}', which {ENDINGS[step.outcome]}.{unmet}"
