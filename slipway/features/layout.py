"""The layout of a feature set: what a model was trained on, as plain data that travels with it into serving.

One path leads from values to the model's matrix: values are packed into rows (``packing``), rows become the matrix
here. Training packs columns, serving reads packed rows from the online store or packs a request's values.

This module needs numpy and the standard library only, since the serving image has little more.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from slipway import digest
from slipway.features.definitions import DType, FeatureSet, Value
from slipway.features.errors import FeatureValueError, LayoutError
from slipway.features.packing import SOME_NULL, Block, RowFormat, Rows, Status, TypedFeature

FORMAT = 1

Matrix = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """Rows read from the online store, with a status each."""

    rows: Rows
    statuses: list[Status]
    layout: "FeatureSetLayout"

    @property
    def columns(self) -> dict[str, npt.NDArray[Any]]:
        """Typed columns by name, masked where null; a category is its code."""
        return self.layout.columns(self.rows)

    @property
    def values(self) -> list[dict[str, Value]]:
        return self.layout.values(self.rows)


@dataclass(frozen=True, kw_only=True)
class FeatureSetLayout:
    """Order, types and packing of a feature set's features, with the version of the view that they are pinned to.

    ``view_features`` is everything that the view packs, ``features`` the names that the model reads, in order.
    Not slotted: what is derived from these fields is computed once and kept.
    """

    name: str
    project: str
    entity: str
    view: str
    view_version: str
    view_features: tuple[TypedFeature, ...]
    features: tuple[str, ...]
    ttl_s: float | None = None
    hash: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "hash", digest.of_json(self._meaning()))

    @classmethod
    def of(cls, feature_set: FeatureSet, *, project: str = "slipway") -> Self:
        """Return the layout of a feature set; ``project`` is the first part of its keys in the online store."""
        view = feature_set.view
        layout = cls(
            name=feature_set.name,
            project=project,
            entity=view.entity.name,
            view=view.name,
            view_version=view.version,
            view_features=tuple(
                TypedFeature(
                    name=feature.name,
                    dtype=feature.column.dtype,
                    vocabulary=feature.column.vocabulary,
                    nullable=feature.column.nullable,
                    at_least=feature.column.at_least,
                    at_most=feature.column.at_most,
                    default=feature.default,
                )
                for feature in view.features
            ),
            features=feature_set.features,
            ttl_s=None if view.ttl is None else view.ttl.total_seconds(),
        )
        for feature in layout.view_features:
            feature.store(feature.default)  # refuses a default that the feature itself can't take
        return layout

    def to_json(self) -> dict[str, Any]:
        """Return the layout as a JSON-like value, its hash included."""
        view = {
            "name": self.view,
            "version": self.view_version,
            "ttl_s": self.ttl_s,
            "features": [asdict(feature) | {"vocabulary": list(feature.vocabulary)} for feature in self.view_features],
        }
        return {
            "format": FORMAT,
            "name": self.name,
            "project": self.project,
            "entity": self.entity,
            "hash": self.hash,
            "views": [view],
            "features": [[self.view, name] for name in self.features],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read what :meth:`to_json` wrote; refuses another format and contents that don't match their hash."""
        if data.get("format") != FORMAT:
            raise LayoutError(
                f"layout has format {data.get('format')!r}, this Slipway reads {FORMAT}; use the one that wrote it"
            )
        try:
            (view,) = data["views"]
            layout = cls(
                name=data["name"],
                project=data["project"],
                entity=data["entity"],
                view=view["name"],
                view_version=view["version"],
                view_features=tuple(
                    TypedFeature(**{**f, "dtype": DType(f["dtype"]), "vocabulary": tuple(f["vocabulary"])})
                    for f in view["features"]
                ),
                features=tuple(name for _, name in data["features"]),
                ttl_s=view["ttl_s"],
            )
            stated = data["hash"]
        except (KeyError, TypeError, ValueError) as error:
            raise LayoutError(
                f"layout can't be read: {type(error).__name__}: {error}; export it again from its definitions"
            ) from None
        if layout.hash != stated:
            raise LayoutError(
                f"layout {layout.name!r} has hash {layout.hash} and says {stated}; export it again from its definitions"
            )
        return layout

    def _meaning(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "entity": self.entity,
            "view": [self.view, self.view_version],
            "packed": [[f.name, f.dtype, list(f.vocabulary)] for f in self.view_features],
            "features": list(self.features),
        }

    # The online store

    def redis_key(self, entity_key: str) -> bytes:
        """Return the key of an entity's packed value; the braces keep all views of an entity in one slot."""
        return b"%b%b%b" % (self._key_start, entity_key.encode(), self._key_end)

    def decode(self, values: Sequence[bytes | None], *, now_ms: int = 0) -> Decoded:
        """Read packed values; ``now_ms`` (milliseconds since 1970) decides what is stale, where the view has a ttl."""
        rows, statuses = self.row_format.unpack(values, now_ms=now_ms, ttl_ms=self.ttl_ms)
        return Decoded(rows=rows, statuses=statuses, layout=self)

    def decode_matrix(self, values: Sequence[bytes | None], *, now_ms: int = 0) -> tuple[Matrix, list[Status]]:
        """Read packed values straight to the model's matrix; a row without a usable value is all NaN."""
        rows, statuses = self.row_format.unpack(values, now_ms=now_ms, ttl_ms=self.ttl_ms)
        return self.matrix(rows), statuses

    # Values, columns, rows

    def rows(self, values: Sequence[Mapping[str, Value]], *, event_ms: int = 0) -> Rows:
        """Pack values by name, a mapping per row; each names every feature of the set and nothing else."""
        return np.frombuffer(b"".join(self._pack_one(row, event_ms) for row in values), self.row_format.dtype)

    def override(self, rows: Rows, changes: Sequence[Mapping[str, Value]]) -> Rows:
        """Return a copy of rows with some values replaced, a mapping per row."""
        self._refuse_unknown(name for change in changes for name in change)
        changed = rows.copy()
        for row, change in zip(changed, changes, strict=True):
            for name, value in change.items():
                number, block, position = self.row_format.place(name)
                stored = self._by_name[name].store(value)
                bit = np.uint8(1 << (number % 8))
                if stored is None:
                    row["nulls"][number // 8] |= bit
                    stored = np.nan if block is Block.FLOATS else 0
                else:
                    row["nulls"][number // 8] &= ~bit
                row[block.value][position] = stored
            row["tag"] = self.row_format.tag | int(row["nulls"].any())
        return changed

    def pack(self, columns: Mapping[str, npt.ArrayLike], *, event_ms: npt.ArrayLike = 0) -> Rows:
        """Pack columns by name (numbers, flags, words or codes; None, NaN, masked and code -1 are null).

        Columns of the view that the set does not read may be left out; they are packed as nulls.
        """
        if absent := [name for name in self.features if name not in columns]:
            raise FeatureValueError(f"columns {absent} are missing; set {self.name!r} reads {list(self.features)}")
        count = len(np.asarray(columns[self.features[0]]))
        unread = {name: np.full(count, None) for name in self._unread if name not in columns}
        return self.row_format.pack({**columns, **unread}, event_ms)

    def columns(self, rows: Rows) -> dict[str, npt.NDArray[Any]]:
        """Return rows as typed columns of the set, masked where null; a category is its code."""
        null = self.row_format.is_null(rows)
        result: dict[str, npt.NDArray[Any]] = {}
        for name in self.features:
            number, block, position = self.row_format.place(name)
            column = rows[block.value][:, position]
            typed = column.astype(np.bool_) if self._by_name[name].dtype is DType.BOOL else column
            result[name] = np.ma.masked_array(typed, mask=null[:, number])
        return result

    def values(self, rows: Rows) -> list[dict[str, Value]]:
        """Return rows as values by name, in the order of the set."""
        return [{name: row[name] for name in self.features} for row in self.row_format.values(rows)]

    # The model's matrix

    def encode(self, columns: Mapping[str, npt.ArrayLike]) -> Matrix:
        """Return the model's matrix for columns by name: :meth:`pack`, then :meth:`matrix`."""
        return self.matrix(self.pack(columns))

    def matrix(self, rows: Rows) -> Matrix:
        """Return the model's matrix for packed rows: float32, ``matrix_columns`` wide, NaN where a value is null.

        Numbers are cast, a flag and a category of two words are one 0/1 column, longer ones a 0/1 column per word.
        """
        plan = self._plan
        matrix = np.empty((len(rows), plan.width), np.float32)
        for block, source, target in plan.numbers:
            matrix[:, target] = rows[block][:, source]
        for block, source, target, code in plan.codes:
            matrix[:, target] = rows[block][:, source] == code
        if (rows["tag"] & SOME_NULL).any():
            matrix[self.row_format.is_null(rows)[:, plan.feature_numbers]] = np.nan
        return matrix

    @cached_property
    def matrix_columns(self) -> tuple[str, ...]:
        """Names of the matrix's columns: ``tenure``, ``gender=Male``."""
        names: list[str] = []
        for name in self.features:
            feature = self._by_name[name]
            words = feature.vocabulary if len(feature.vocabulary) > 2 else feature.vocabulary[1:]  # noqa: PLR2004  binary
            names += [f"{name}={word}" for word in words] or [name]
        return tuple(names)

    @property
    def typed_features(self) -> tuple[TypedFeature, ...]:
        """The set's features in order."""
        return tuple(self._by_name[name] for name in self.features)

    @cached_property
    def row_format(self) -> RowFormat:
        meaning = digest.of_json(self._meaning()["view"] + self._meaning()["packed"])
        return RowFormat(self.view_features, layout_id=int(digest.short(meaning), 16))

    @cached_property
    def _by_name(self) -> dict[str, TypedFeature]:
        return {feature.name: feature for feature in self.view_features}

    @cached_property
    def _key_start(self) -> bytes:
        return f"f:{{{self.project}:{self.entity}:".encode()

    @cached_property
    def _key_end(self) -> bytes:
        return f"}}:{self.view}.{self.view_version}".encode()

    @cached_property
    def ttl_ms(self) -> int | None:
        return None if self.ttl_s is None else round(self.ttl_s * 1000)

    @cached_property
    def _unread(self) -> dict[str, Value]:
        return {feature.name: None for feature in self.view_features if feature.name not in self.features}

    def _pack_one(self, row: Mapping[str, Value], event_ms: int) -> bytes:
        if len(row) != len(self.features) or any(name not in row for name in self.features):
            self._refuse_unknown(row)
            raise FeatureValueError(f"features {[name for name in self.features if name not in row]} are missing")
        return self.row_format.pack_one({**row, **self._unread}, event_ms)

    def _refuse_unknown(self, names: Any) -> None:
        if unknown := [name for name in names if name not in self.features]:
            raise FeatureValueError(f"features {unknown} are not in set {self.name!r}; it has {list(self.features)}")

    @cached_property
    def _plan(self) -> "_MatrixPlan":
        return _MatrixPlan.of(self)


Columns = slice | npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True, kw_only=True)
class _MatrixPlan:
    """From which position of which block each column of the matrix comes, so that a block is one numpy operation."""

    width: int
    numbers: tuple[tuple[str, Columns, Columns], ...]
    codes: tuple[tuple[str, Columns, Columns, npt.NDArray[Any]], ...]
    feature_numbers: npt.NDArray[np.intp]

    @classmethod
    def of(cls, layout: FeatureSetLayout) -> Self:
        sources: dict[Block, list[int]] = {block: [] for block in Block}
        targets: dict[Block, list[int]] = {block: [] for block in Block}
        codes: dict[Block, list[int]] = {block: [] for block in Block}
        feature_numbers: list[int] = []
        for feature in layout.typed_features:
            number, block, position = layout.row_format.place(feature.name)
            one_column = len(feature.vocabulary) <= 2  # noqa: PLR2004  numbers, flags, categories of two words
            for code in (1,) if one_column else range(len(feature.vocabulary)):
                sources[block].append(position)
                targets[block].append(len(feature_numbers))
                codes[block].append(code)
                feature_numbers.append(number)
        return cls(
            width=len(feature_numbers),
            numbers=tuple(
                (block.value, _compact(sources[block]), _compact(targets[block]))
                for block in (Block.FLOATS, Block.INTS)
                if sources[block]
            ),
            codes=tuple(
                (block.value, _compact(sources[block]), _compact(targets[block]), np.array(codes[block]))
                for block in (Block.WIDE, Block.CODES)
                if sources[block]
            ),
            feature_numbers=np.array(feature_numbers, np.intp),
        )


def _compact(positions: list[int]) -> Columns:
    """Return a slice where the positions are neighbours: numpy copies those without an index array."""
    if positions == list(range(positions[0], positions[0] + len(positions))):
        return slice(positions[0], positions[0] + len(positions))
    return np.array(positions, np.intp)
