"""Plans: what is accepted, and what is refused with the key and the fix."""

import pytest

from slipway.errors import UsageError
from slipway.project import Project
from slipway.rollouts.errors import InvalidPlan
from slipway.rollouts.plan import RolloutPlan


def test_repositorys_service_has_the_default_plan(project: Project):
    assert RolloutPlan.load(project, "churn") == RolloutPlan()


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"shadow": 5}, r"\[rollout\] shadow = 5: Extra inputs .*; allowed keys are strategy, shadow_s"),
        ({"strategy": "yolo"}, r"strategy = 'yolo': Input should be 'canary'"),
        ({"alpha": 0}, r"alpha = 0: Input should be greater than 0"),
        ({"steps": []}, r"weights of steps must rise, got \[\]; for example 5, 25, 50"),
        ({"steps": [{"weight": 50, "size_s": 1}, {"weight": 5, "size_s": 1}]}, r"must rise, got \[50.0, 5.0\]"),
        ({"steps": [{"weight": 100, "size_s": 1}]}, r"steps.0.weight = 100: Input should be less than 100"),
        ({"steps": [{"weight": 0.001, "size_s": 1}]}, r"steps.0.weight = 0.001: .* hundredths of a percent"),
        ({"steps": [{"weight": 5}]}, r"steps.0.size_s"),
        ({"guardrails": {"p98": {}}}, r"guardrails.p98 = \{\}: Extra inputs"),
        ({"strategy": "shadow", "steps": [{"weight": 5, "size_s": 1}]}, r"strategy shadow has no steps"),
        ({"strategy": "ab"}, r"strategy ab has exactly one step"),
        ({"guardrails": {"errors": {"delta": 0.9}}}, r"guardrails.errors.delta = 0.9"),
    ],
)
def test_wrong_plan_is_refused_with_the_key(table, words):
    with pytest.raises(InvalidPlan, match=words) as refused:
        RolloutPlan.parse(table, where="bentos/churn/bento.toml")
    assert str(refused.value).startswith("bentos/churn/bento.toml [rollout]")
    assert refused.value.exit_code == UsageError.exit_code


def test_weights_are_ten_thousandths_for_the_edge():
    plan = RolloutPlan.parse({"steps": [{"weight": 0.25, "size_s": 60}, {"weight": 33.33, "size_s": 60}]})
    assert [step.share for step in plan.steps] == [25, 3333]
