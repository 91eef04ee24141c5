"""Families of models that a search draws from: how one is built, its plain parameters, and where to look for better.

A team's ``train.py`` names them::

    SEARCH = (logistic_regression(), random_forest(), gradient_boosting(), xgboost())
    BASELINE = logistic_regression()

Every estimator takes the float32 matrix of the feature set with NaN for missing values, is single-threaded (the search
runs as many at once as there are cores), and gives the same result for the same seed.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.stats import loguniform, randint, uniform
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import ParameterSampler
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from xgboost import XGBClassifier

Parameters = Mapping[str, int | float | str]

# Continuous parameters are drawn to this many digits: a person can read, repeat and compare them.
DIGITS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """A kind of model: ``build(parameters, seed)`` returns an unfitted estimator with ``fit`` and ``predict_proba``."""

    name: str
    build: Callable[[Parameters, int], Any]
    plain: Parameters
    space: Mapping[str, Any] = field(default_factory=dict)

    def draw(self, seed: tuple[int, int]) -> Parameters:
        """Return parameters drawn at random from ``space``, the same for the same seed, over the plain ones."""
        state = int(np.random.default_rng(seed).integers(2**32))
        (drawn,) = ParameterSampler(self.space, n_iter=1, random_state=state)
        return {**self.plain, **{name: _readable(value) for name, value in sorted(drawn.items())}}


def logistic_regression() -> Family:
    return Family(
        name="logistic_regression",
        build=_logistic_regression,
        plain={"C": 1.0},
        space={"C": loguniform(1e-3, 1e2)},
    )


def random_forest() -> Family:
    # 200 trees: more don't rank better on thousands of rows and make the converted file larger.
    return Family(
        name="random_forest",
        build=_random_forest,
        plain={
            "n_estimators": 100,
            "max_depth": 8,
            "min_samples_leaf": 5,
            "max_features": 0.15,
            "max_samples": 0.6,
        },
        space={
            "n_estimators": randint(80, 201),
            "max_depth": randint(5, 13),
            "min_samples_leaf": randint(3, 31),
            "max_features": uniform(0.1, 0.3),
            "max_samples": uniform(0.4, 0.4),
        },
    )


def gradient_boosting() -> Family:
    return Family(
        name="gradient_boosting",
        build=_gradient_boosting,
        plain={
            "n_estimators": 100,
            "learning_rate": 0.08,
            "max_depth": 3,
            "subsample": 0.7,
            "max_features": 0.3,
            "min_samples_leaf": 10,
        },
        space={
            "n_estimators": randint(60, 181),
            "learning_rate": loguniform(0.03, 0.15),
            "max_depth": randint(2, 5),
            "subsample": uniform(0.5, 0.4),
            "max_features": uniform(0.1, 0.4),
            "min_samples_leaf": randint(5, 41),
        },
    )


def xgboost() -> Family:
    return Family(
        name="xgboost",
        build=_xgboost,
        plain={
            "n_estimators": 150,
            "learning_rate": 0.06,
            "max_depth": 3,
            "subsample": 0.8,
            "colsample_bytree": 0.5,
            "min_child_weight": 5.0,
            "reg_lambda": 1.0,
        },
        space={
            "n_estimators": randint(60, 301),
            "learning_rate": loguniform(0.02, 0.15),
            "max_depth": randint(2, 5),
            "subsample": uniform(0.5, 0.5),
            "colsample_bytree": uniform(0.2, 0.6),
            "min_child_weight": loguniform(1, 20),
            "reg_lambda": loguniform(0.1, 20),
        },
    )


def _logistic_regression(parameters: Parameters, seed: int) -> Any:
    return make_pipeline(
        _imputer(), StandardScaler(), LogisticRegression(**parameters, max_iter=2_000, random_state=seed)
    )


def _random_forest(parameters: Parameters, seed: int) -> Any:
    # scikit-learn's forest knows missing values, but its conversion to ONNX loses which branch they take
    # (sklearn-onnx issue 1253), so they are imputed here as well.
    return make_pipeline(_imputer(), RandomForestClassifier(**parameters, n_jobs=1, random_state=seed))


def _gradient_boosting(parameters: Parameters, seed: int) -> Any:
    # Not the histogram variant: skl2onnx 1.20 can't convert it with onnx 1.23, and rounds its split values to the
    # nearest float32, which takes the other branch for a value next to one.
    return make_pipeline(_imputer(), GradientBoostingClassifier(**parameters, random_state=seed))


def _xgboost(parameters: Parameters, seed: int) -> Any:
    return XGBClassifier(**parameters, tree_method="hist", n_jobs=1, random_state=seed)


def _imputer() -> SimpleImputer:
    # A column without any value in one fold stays a column, so that positions don't shift.
    return SimpleImputer(strategy="median", keep_empty_features=True)


def _readable(value: Any) -> int | float | str:
    if isinstance(value, int | np.integer):
        return int(value)
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else str(value)
