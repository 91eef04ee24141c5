"""The training set as arrays: keys, labels, typed columns, and the matrix that the layout makes of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from slipway.features.definitions import Value
from slipway.features.layout import FeatureSetLayout
from slipway.features.offline import load_training_set
from slipway.models.config import ModelConfig
from slipway.models.errors import InvalidModelConfig, TrainingRefused
from slipway.models.split import held_out

MISSING = "missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """Rows of a training set; ``columns`` has the features by name."""

    entity_keys: NDArray[np.object_]
    positive: NDArray[np.bool_]
    columns: dict[str, NDArray[Any]]
    matrix: NDArray[np.float32]
    layout: FeatureSetLayout

    @classmethod
    def load(cls, path: Path, layout: FeatureSetLayout) -> Self:
        """Read ``training_set.parquet``; labels other than 0 and 1 and infinite values are refused."""
        try:
            read = load_training_set(path, layout)
        except (OSError, pa.ArrowInvalid) as error:
            msg = f"the training set {path} can't be read: {error}; build it again with 'slipway ship --from features'"
            raise TrainingRefused(msg) from None
        if not np.isin(read.labels, (0, 1)).all():
            msg = f"the label in {path} must be 0 or 1 in every row; see the quarantine file of the ingestion"
            raise TrainingRefused(msg)
        matrix = layout.encode(read.columns)
        return cls(
            entity_keys=read.entity_keys,
            positive=read.labels.astype(bool),
            columns=read.columns,
            matrix=matrix,
            layout=layout,
        )

    def __len__(self) -> int:
        return len(self.positive)

    def take(self, rows: NDArray[Any]) -> Self:
        """Return some rows, by mask or by position."""
        return replace(
            self,
            entity_keys=self.entity_keys[rows],
            positive=self.positive[rows],
            columns={name: values[rows] for name, values in self.columns.items()},
            matrix=self.matrix[rows],
        )

    def split(self, config: ModelConfig) -> tuple[Self, Self]:
        """Return the rows to learn from and the held-out ones; each must have rows of both classes."""
        held = held_out(self.entity_keys.tolist(), share=config.split.holdout_share, seed=config.split.seed)
        parts = self.take(~held), self.take(held)
        for name, part, least in zip(("training", "held-out"), parts, (config.search.folds, 1), strict=True):
            positives = int(part.positive.sum())
            if min(positives, len(part) - positives) < least:
                msg = (
                    f"of {len(self)} rows the {name} part has {len(part)}, {positives} of them positive; "
                    f"at least {least} of each class are needed: bring more rows, or change [split] in model.toml"
                )
                raise TrainingRefused(msg)
        return parts

    def folds(self, count: int, *, seed: int) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
        """Return the folds of a cross-validation: stratified, and no entity on both sides of one."""
        unique = len(set(self.entity_keys)) == len(self)
        kind = StratifiedKFold if unique else StratifiedGroupKFold
        folds = kind(count, shuffle=True, random_state=seed)
        return list(folds.split(self.matrix, self.positive, None if unique else self.entity_keys))

    def groups(self, columns: Sequence[str]) -> dict[str, list[str]]:
        """Return the group of every row for each slicing column."""
        if unknown := [name for name in columns if name not in self.columns]:
            msg = f"[slices] columns {unknown} are no features of the model; it has {sorted(self.columns)}"
            raise InvalidModelConfig(msg)
        return {
            name: [MISSING if value is None or value != value else str(value) for value in self.columns[name]]  # noqa: PLR0124  NaN
            for name in columns
        }

    def values(self, rows: NDArray[np.intp]) -> list[dict[str, Value]]:
        """Return some rows as values by name, as a request to the service would give them."""
        some = self.take(rows)
        return self.layout.values(self.layout.pack(some.columns))
