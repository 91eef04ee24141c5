"""``model.toml``: what a team says about its model, checked when it is read."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from slipway.features.model_data import DataTable, FeaturesTable
from slipway.models.errors import InvalidModelConfig
from slipway.project import Project, load_toml

Share = Annotated[float, Field(ge=0, le=1)]
OpenShare = Annotated[float, Field(gt=0, lt=1)]
Words = Annotated[str, Field(min_length=3)]


class Table(BaseModel):
    """A table of ``model.toml``: an unknown key is an error, never ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SplitTable(Table):
    """The hold-out is chosen by a hash of the entity's key, so that it stays the same when data grow."""

    holdout_share: OpenShare = 0.2
    seed: int = 7


class SearchTable(Table):
    """Randomised search; ``trials``, where given, ends it earlier than the budget does."""

    budget_s: Annotated[float, Field(gt=0)] = 25.0
    trials: Annotated[int, Field(ge=1)] | None = None
    folds: Annotated[int, Field(ge=2, le=20)] = 5
    seed: int = 7


class DecisionTable(Table):
    """How a score becomes an answer; the positive label is in ``[data]``."""

    threshold: OpenShare = Field(default=0.5, description="the least score that is answered with the positive label")
    negative: str = Field(default="No", description="the label's other value")


class GatesTable(Table):
    """Minimum values on the hold-out, the champion's margin, and what conversion may cost."""

    accuracy: Share = 0.75
    f1_weighted: Share = 0.70
    non_inferiority_margin: Annotated[float, Field(ge=0, lt=0.5)] = Field(
        default=0.01,
        description="how much lower than the champion's the ROC-AUC may be, shown by a paired 95 % interval",
    )
    parity_max_difference: Annotated[float, Field(gt=0)] = 1e-5
    max_model_mb: Annotated[float, Field(gt=0)] = Field(default=10.0, description="size of the ONNX file")


class SlicesTable(Table):
    """Groups that must not be served much worse than the rest."""

    columns: tuple[str, ...] = ()
    metric: Literal["accuracy", "recall", "false_positive_rate", "selection_rate", "roc_auc"] = "accuracy"
    max_gap: Share = Field(default=0.15, description="largest difference in the metric between two groups of a column")
    min_rows: Annotated[int, Field(ge=1)] = Field(default=50, description="a smaller group shows nothing")


class ModelConfig(Table):
    """The whole of ``models/<name>/model.toml``."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")
    owner: Words
    purpose: Words
    limits: Words
    data: DataTable
    features: FeaturesTable
    split: SplitTable = SplitTable()
    search: SearchTable = SearchTable()
    decision: DecisionTable = DecisionTable()
    gates: GatesTable = GatesTable()
    slices: SlicesTable = SlicesTable()


def load(project: Project, name: str) -> ModelConfig:
    """Read a team's ``model.toml``; an unknown model is an error that names those there are."""
    folder = project.models_dir / name
    if not (folder / "model.toml").is_file():
        known = sorted(file.parent.name for file in project.models_dir.glob("*/model.toml"))
        msg = f"no model {name!r}: {project.relative(folder)}/model.toml does not exist; there are {known}"
        raise InvalidModelConfig(msg)
    config = parse(load_toml(folder / "model.toml"), where=folder / "model.toml")
    if config.name != name:
        msg = f"{folder / 'model.toml'}: name = {config.name!r}, but its folder is {name!r}; make them the same"
        raise InvalidModelConfig(msg)
    return config


def parse(data: dict[str, Any], *, where: Path) -> ModelConfig:
    """Check the tables of a ``model.toml``; every wrong key is named with what is allowed."""
    try:
        return ModelConfig.model_validate(data)
    except ValidationError as error:
        lines = [
            f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}, seen {problem['input']!r}"
            for problem in error.errors(include_url=False)
        ]
        msg = f"{where} is not a valid model.toml: " + "; ".join(lines)
        raise InvalidModelConfig(msg) from None
