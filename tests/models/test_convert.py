import numpy as np
import onnx
import pytest
from sklearn.dummy import DummyClassifier

from slipway import digest
from slipway.models import convert, parity
from slipway.models.errors import ConversionRefused
from slipway.models.families import gradient_boosting, logistic_regression, random_forest, xgboost
from slipway.models.runtime import OnnxScorer

FAMILIES = {family.name: family for family in (logistic_regression(), random_forest(), gradient_boosting(), xgboost())}


def fitted(family, dataset):
    return family.build(family.plain, 7).fit(dataset.matrix, dataset.positive)


@pytest.fixture(scope="module")
def converted(dataset):
    """By family: the estimator and its ONNX bytes."""
    estimators = {name: fitted(family, dataset) for name, family in FAMILIES.items()}
    width = dataset.matrix.shape[1]
    return {name: (estimator, convert.to_onnx(estimator, columns=width)) for name, estimator in estimators.items()}


@pytest.mark.parametrize("family", FAMILIES)
def test_converted_model_answers_as_its_estimator_also_with_missing_and_split_values(family, converted, dataset):
    estimator, model = converted[family]

    seen = parity.measure(estimator, model, dataset.matrix, threshold=0.5, seed=1)

    assert seen.max_difference < 1e-6
    assert seen.decision_flips == 0
    assert seen.rows > 2 * len(dataset)


@pytest.mark.parametrize("family", ["random_forest", "gradient_boosting", "xgboost"])
def test_parity_sees_it_when_split_values_are_rounded_up_by_one_float(family, converted, dataset):
    estimator, model = converted[family]
    altered = onnx.load_from_string(model)
    for node in altered.graph.node:
        for attribute in node.attribute:
            if attribute.name == "nodes_values":
                values = np.nextafter(np.array(attribute.floats, np.float32), np.float32(np.inf))
                attribute.floats[:] = values.tolist()

    seen = parity.measure(estimator, altered.SerializeToString(), dataset.matrix, threshold=0.5, seed=1)

    assert seen.max_difference > 1e-4


def test_parity_sees_it_when_missing_values_take_the_other_branch(converted, dataset):
    estimator, model = converted["xgboost"]
    altered = onnx.load_from_string(model)
    for node in altered.graph.node:
        for attribute in node.attribute:
            if attribute.name == "nodes_missing_value_tracks_true":
                attribute.ints[:] = [1 - value for value in attribute.ints]

    seen = parity.measure(estimator, altered.SerializeToString(), dataset.matrix, threshold=0.5, seed=1)

    assert seen.max_difference > 1e-3
    assert seen.decision_flips > 0


def test_parity_is_infinitely_off_when_a_score_is_not_a_number(converted, dataset):
    class Silent:
        def predict_proba(self, matrix):
            return np.full((len(matrix), 2), np.nan)

    seen = parity.measure(Silent(), converted["xgboost"][1], dataset.matrix, threshold=0.5, seed=1)

    assert seen.max_difference == float("inf")


def test_probes_have_every_split_value_and_its_neighbours(dataset):
    complete = dataset.matrix[~np.isnan(dataset.matrix).any(axis=1)][:4]

    rows = parity.probes(complete, ((0, 0.5), (3, 1.25)), seed=1)

    for column, value in ((0, 0.5), (3, 1.25)):
        around = [np.nextafter(np.float32(value), np.float32(to)) for to in (-np.inf, value, np.inf)]
        assert set(around) <= set(rows[-6:, column])
    alone = np.isnan(rows)[np.isnan(rows).sum(axis=1) == 1]
    assert alone.any(axis=0).all()
    assert np.isnan(rows).all(axis=1).any()


def test_split_values_are_sampled_when_there_are_very_many(dataset):
    splits = tuple((0, float(value)) for value in range(parity.MAX_SPLITS + 500))

    rows = parity.probes(dataset.matrix[:10], splits, seed=1)

    assert len(rows) == 10 + dataset.matrix.shape[1] + 10 + 1 + 3 * parity.MAX_SPLITS


@pytest.mark.parametrize("family", FAMILIES)
def test_bytes_are_the_same_when_training_and_conversion_are_repeated(family, converted, dataset):
    again = convert.to_onnx(fitted(FAMILIES[family], dataset), columns=dataset.matrix.shape[1])

    assert digest.of_bytes(again) == digest.of_bytes(converted[family][1])


@pytest.mark.parametrize("family", FAMILIES)
def test_model_has_one_input_and_one_score_per_row(family, converted, dataset):
    model = onnx.load_from_string(converted[family][1])

    assert [value.name for value in model.graph.input] == ["features"]
    assert [value.name for value in model.graph.output] == ["score"]
    assert {"ZipMap", "Cast"}.isdisjoint(node.op_type for node in model.graph.node)
    scorer = OnnxScorer(converted[family][1])
    scores = scorer.score(dataset.matrix[:7])
    assert (scores.dtype, scores.shape, scorer.columns) == (np.float32, (7,), dataset.matrix.shape[1])
    assert scorer.score(dataset.matrix[:1]).shape == (1,)


def test_forests_scores_stay_probabilities_when_all_trees_agree(dataset):
    # Ten float32 tenths add up to 1.0000001.
    forest = FAMILIES["random_forest"]
    sure = dataset.positive | (dataset.matrix[:, 0] > 0)
    estimator = forest.build(forest.plain | {"n_estimators": 10}, 7).fit(dataset.matrix, sure)
    assert estimator.predict_proba(dataset.matrix)[:, 1].max() == 1

    scores = OnnxScorer(convert.to_onnx(estimator, columns=dataset.matrix.shape[1])).score(dataset.matrix)

    assert scores.max() == 1


def test_conversion_is_refused_with_words_when_the_converter_does_not_know_the_estimator(dataset):
    class Unknown(DummyClassifier):
        pass

    estimator = Unknown().fit(dataset.matrix, dataset.positive)

    with pytest.raises(ConversionRefused, match=r"Unknown can't be converted to ONNX: .*leave its family out"):
        convert.to_onnx(estimator, columns=dataset.matrix.shape[1])


def test_split_values_are_none_when_the_model_is_linear(converted):
    assert convert.split_values(converted["logistic_regression"][1]) == ()
