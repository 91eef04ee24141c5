import numpy as np
import pytest

from slipway.features.errors import FeatureValueError
from slipway.models.dataset import Dataset
from slipway.models.errors import InvalidModelConfig, TrainingRefused
from slipway.models.split import held_out


def changed(config, **tables):
    return config.model_copy(
        update={name: getattr(config, name).model_copy(update=values) for name, values in tables.items()}
    )


def test_holdout_has_its_share_and_no_entity_on_both_sides(dataset, config):
    training, holdout = dataset.split(config)

    assert len(training) + len(holdout) == len(dataset) == 1500
    assert 0.16 < len(holdout) / 1500 < 0.24
    assert not set(training.entity_keys) & set(holdout.entity_keys)


def test_an_entity_stays_on_its_side_when_rows_come_and_go():
    keys = [f"c{number}" for number in range(1000)]
    side = dict(zip(keys, held_out(keys, share=0.2, seed=7), strict=True))

    later = [*keys[::-1][:500], "new-1", "new-2"]

    assert all(side.get(key, held) == held for key, held in zip(later, held_out(later, share=0.2, seed=7), strict=True))
    assert side != dict(zip(keys, held_out(keys, share=0.2, seed=8), strict=True))


def test_rows_of_one_entity_are_in_one_fold_when_entities_repeat(write_table, layout):
    keys = [f"c{number % 60}" for number in range(300)]
    repeated = Dataset.load(write_table(rows=300, change={"entity_key": keys}), layout)

    for train, test in repeated.folds(3, seed=1):
        assert not set(repeated.entity_keys[train]) & set(repeated.entity_keys[test])


def test_folds_are_the_same_when_the_seed_is(dataset):
    once, again, other = (dataset.folds(3, seed=seed) for seed in (1, 1, 2))

    assert all((a[1] == b[1]).all() for a, b in zip(once, again, strict=True))
    assert not all(np.array_equal(a[1], b[1]) for a, b in zip(once, other, strict=True))


def test_missing_number_is_nan_in_the_matrix_and_null_among_values(dataset):
    column = dataset.layout.matrix_columns.index("charges")
    row = int(np.flatnonzero(np.isnan(dataset.matrix[:, column]))[0])

    (values,) = dataset.values(np.array([row]))

    assert values["charges"] is None
    assert type(values["months"]) is int
    assert values["plan"] in {"free", "basic", "gold"}


def test_groups_are_words_when_a_value_is_missing_too(dataset):
    groups = dataset.groups(["senior", "charges"])

    assert set(groups["senior"]) == {"True", "False"}
    assert "missing" in groups["charges"]


def test_groups_names_the_features_when_a_slicing_column_is_none(dataset):
    with pytest.raises(InvalidModelConfig, match=r"\['gender'\] are no features of the model; it has \['charges'"):
        dataset.groups(["gender"])


def test_split_refuses_when_one_part_has_one_class(write_table, layout, config):
    rare = Dataset.load(write_table(rows=200, change={"label": np.array([1, 0, *[0] * 198], np.int8)}), layout)

    with pytest.raises(TrainingRefused, match="at least 3 of each class are needed"):
        rare.split(config)


def test_split_refuses_when_the_holdout_is_empty(write_table, layout, config):
    tiny = Dataset.load(write_table(rows=30), layout)

    with pytest.raises(TrainingRefused, match="held-out part has"):
        tiny.split(changed(config, split={"holdout_share": 0.001}, search={"folds": 2}))


@pytest.mark.parametrize("value", [np.inf, 1e39])
def test_load_names_the_feature_when_a_value_cant_be_a_float32(write_table, layout, value):
    with pytest.raises(FeatureValueError, match=r"feature 'charges': .* is not a finite number"):
        Dataset.load(write_table(rows=200, change={"charges": np.full(200, value)}), layout)


def test_load_refuses_when_a_label_is_neither_0_nor_1(write_table, layout):
    with pytest.raises(TrainingRefused, match="must be 0 or 1 in every row"):
        Dataset.load(write_table(rows=200, change={"label": np.full(200, 2, np.int8)}), layout)


@pytest.mark.parametrize("content", [None, b"", b"not parquet at all"])
def test_load_says_what_to_do_when_the_file_is_no_training_set(tmp_path, layout, content):
    path = tmp_path / "training_set.parquet"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(TrainingRefused, match=r"can't be read.*build it again"):
        Dataset.load(path, layout)
