"""What tests of the feature store share."""

from pathlib import Path

import pytest

from slipway.features.layout import FeatureSetLayout
from slipway.features.load import Definitions, load_definitions
from slipway.project import Project

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def definitions() -> Definitions:
    """The team's own definitions of churn, as they are in the repository."""
    return load_definitions(Project.find(REPOSITORY), "churn")


@pytest.fixture(scope="session")
def layout(definitions) -> FeatureSetLayout:
    return FeatureSetLayout.of(definitions.feature_set("churn"))
