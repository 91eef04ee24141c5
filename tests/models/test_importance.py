import numpy as np

from slipway.models.importance import permutation_importance


def test_features_are_ranked_by_what_the_model_uses():
    rng = np.random.default_rng(0)
    matrix = rng.random((2000, 4)).astype(np.float32)
    logit = 4 * matrix[:, 0] + 2 * matrix[:, 1] + 2 * matrix[:, 2]
    positive = rng.random(2000) < 1 / (1 + np.exp(4 - logit))

    found = permutation_importance(
        lambda rows: 4 * rows[:, 0] + 2 * rows[:, 1] + 2 * rows[:, 2],
        matrix,
        positive,
        features=("noise", "plan", "months"),
        matrix_columns=("months", "plan=a", "plan=b", "noise"),
        seed=1,
    )

    assert [importance.feature for importance in found] == ["months", "plan", "noise"]
    assert found[-1].mean == 0
    assert found[0].mean > found[1].mean > 0.02


def test_feature_is_not_mixed_up_with_one_whose_name_begins_the_same():
    rng = np.random.default_rng(0)
    matrix = rng.random((500, 2)).astype(np.float32)

    found = permutation_importance(
        lambda rows: rows[:, 1],
        matrix,
        matrix[:, 1] > 0.5,
        features=("plan", "plan_b"),
        matrix_columns=("plan", "plan_b"),
        seed=1,
    )

    assert {importance.feature: importance.mean > 0 for importance in found} == {"plan": False, "plan_b": True}
