"""The tables ``[data]`` and ``[features]`` of a ``model.toml``: what a model learns from."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from slipway.features.errors import DefinitionError
from slipway.project import Project, load_toml


class DataTable(BaseModel):
    """Which raw data a model learns from, and its label."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str
    label: str
    positive: str = Field(default="Yes", description="the label's value that a score is the probability of")
    max_bad_share: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.05, description="share of quarantined rows above which a file is refused"
    )


class FeaturesTable(BaseModel):
    """Which feature set a model reads."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    set: str


class ModelData(BaseModel):
    """What the feature store needs to know of a model; the other tables are the models package's to check."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    data: DataTable
    features: FeaturesTable

    @classmethod
    def load(cls, project: Project, model: str) -> Self:
        """Read the tables of ``models/<model>/model.toml``."""
        path: Path = project.models_dir / model / "model.toml"
        try:
            return cls.model_validate(load_toml(path))
        except ValidationError as error:
            problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            raise DefinitionError(
                f"{project.relative(path)}: {problems}; correct it and run the command again"
            ) from None
