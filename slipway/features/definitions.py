"""What a team declares in ``features/<domain>.py``: pure, frozen data with no I/O behind it.

A :class:`Source` is the contract of raw data, a :class:`RowView` turns its rows into features of an :class:`Entity`,
and a :class:`FeatureSet` is the ordered list that one model reads. Each one checks itself when it is made.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NoReturn, Self, TypeAlias

from slipway import digest
from slipway.features.errors import DefinitionError, UnknownDefinitionError

Value: TypeAlias = float | int | bool | str | None
"""A feature's value as people and JSON see it: a number, a flag, a word of the vocabulary, or null."""

EVENT_TIME = "event_time"
ENTITY_KEY = "entity_key"
LABEL = "label"
RESERVED = frozenset({EVENT_TIME, ENTITY_KEY, LABEL})

MIN_WORDS = 2
MAX_WORDS = 65_535  # a packed category is at most two bytes wide

# Names go into Redis keys, SQL and metric labels; entity, view and set names are the stricter kind.
_IDENTIFIER = re.compile(r"[a-z][a-z0-9_]{0,62}")
_COLUMN = re.compile(r"[A-Za-z_][A-Za-z0-9_ .-]{0,62}")


class DType(StrEnum):
    """Types a feature can have; a null is a null in each of them, never 0."""

    FLOAT64 = "float64"
    INT64 = "int64"
    BOOL = "bool"
    CATEGORY = "category"


def _refuse(what: str, problem: str) -> NoReturn:
    raise DefinitionError(f"{what}: {problem}")


def _check_name(what: str, name: str) -> None:
    if not _IDENTIFIER.fullmatch(name):
        _refuse(what, "a name is lower case letters, digits and '_', begins with a letter, at most 63 long")


def _wrong_column_name(name: str) -> str:
    if _COLUMN.fullmatch(name) and name not in RESERVED:
        return ""
    return f"a name is at most 63 plain characters, begins with a letter and is none of {sorted(RESERVED)}"


def _check_each_once(what: str, names: Sequence[str]) -> None:
    if not names or len(set(names)) < len(names):
        _refuse(what, f"it needs at least one feature and each name once, got {list(names)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of a source: its type, what it may hold, and what it usually holds.

    ``at_least`` and ``at_most`` judge each row; ``shares`` (of words; of true as ``{"1": 0.16}`` for a flag) and
    ``mean`` with ``sd`` are the reference that a whole file is compared with.
    """

    name: str
    dtype: DType
    vocabulary: tuple[str, ...] = ()
    nullable: bool = False
    at_least: float | None = None
    at_most: float | None = None
    shares: Mapping[str, float] = field(default_factory=dict)
    mean: float | None = None
    sd: float | None = None
    description: str = ""

    def __post_init__(self) -> None:
        is_number = self.dtype in {DType.FLOAT64, DType.INT64}
        is_category = self.dtype is DType.CATEGORY
        of_numbers = (self.at_least, self.at_most, self.mean, self.sd)
        for wrong, problem in (
            (bool(_wrong_column_name(self.name)), _wrong_column_name(self.name)),
            (
                is_category and not (MIN_WORDS <= len(set(self.vocabulary)) == len(self.vocabulary) <= MAX_WORDS),
                f"a category needs {MIN_WORDS} to {MAX_WORDS} different words, got {list(self.vocabulary)[:5]}",
            ),
            (
                not is_category and bool(self.vocabulary),
                f"only a category has a vocabulary, this is {self.dtype}; drop it or change dtype",
            ),
            (
                not is_number and any(given is not None for given in of_numbers),
                f"at_least, at_most, mean and sd are for numbers, this is {self.dtype}",
            ),
            (
                self.at_least is not None and self.at_most is not None and self.at_least > self.at_most,
                f"at_least={self.at_least} is above at_most={self.at_most}",
            ),
            (
                (self.mean is None) != (self.sd is None) or (self.sd is not None and self.sd <= 0),
                f"a reference is a mean with a positive sd, got mean={self.mean}, sd={self.sd}",
            ),
            (
                not set(self.shares) <= set(self.words),
                f"shares are of {sorted(self.shares)}, allowed are {list(self.words)}",
            ),
        ):
            if wrong:
                _refuse(f"column {self.name!r}", problem)

    @classmethod
    def category(cls, name: str, shares: Mapping[str, float], *, nullable: bool = False) -> Self:
        """Return a category whose vocabulary are the words of ``shares``, in that order.

        >>> Column.category("gender", {"Female": 0.495, "Male": 0.505}).vocabulary
        ('Female', 'Male')
        """
        return cls(name=name, dtype=DType.CATEGORY, vocabulary=tuple(shares), shares=shares, nullable=nullable)

    @property
    def words(self) -> tuple[str, ...]:
        """The texts that a category or a flag is written with in raw data, by code.

        >>> Column(name="SeniorCitizen", dtype=DType.BOOL).words
        ('0', '1')
        """
        return ("0", "1") if self.dtype is DType.BOOL else self.vocabulary


@dataclass(frozen=True, slots=True, kw_only=True)
class FillBlank:
    """A repair: a blank cell of ``column`` becomes ``value`` in the rows where other columns have the given values.

    ``note`` says why that is right; it is shown with the number of repaired rows.
    """

    column: str
    value: Value
    where: Mapping[str, Value]
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where raw rows come from, and the contract that they are checked against.

    ``snapshot_time`` is the event time of every row of a source whose rows carry none.
    """

    name: str
    key: str
    snapshot_time: datetime
    columns: tuple[Column, ...]
    repairs: tuple[FillBlank, ...] = ()
    description: str = ""
    owner: str = ""

    def __post_init__(self) -> None:
        what = f"source {self.name!r}"
        _check_name(what, self.name)
        if self.snapshot_time.tzinfo is None:
            _refuse(what, f"snapshot_time {self.snapshot_time} has no time zone; write tzinfo=UTC")
        names = [self.key, *(column.name for column in self.columns)]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            _refuse(what, f"{twice} are declared more than once")
        for repair in self.repairs:
            for name in (repair.column, *repair.where):
                self.column(name)

    def column(self, name: str) -> Column:
        for column in self.columns:
            if column.name == name:
                return column
        raise UnknownDefinitionError(
            f"source {self.name!r} has no column {name!r}; it has {[column.name for column in self.columns]}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Entity:
    """A thing that features describe, found by its key."""

    name: str
    description: str = ""

    def __post_init__(self) -> None:
        _check_name(f"entity {self.name!r}", self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """A named value of a view. ``default`` is what serving may use for an entity that has no value."""

    name: str
    column: Column
    default: Value = None
    description: str = ""

    def __post_init__(self) -> None:
        if problem := _wrong_column_name(self.name):
            _refuse(f"feature {self.name!r}", problem)


@dataclass(frozen=True, slots=True, kw_only=True)
class RowView:
    """The latest row of a source for each entity.

    Its version is a hash of what changes the meaning of a value: not of descriptions, owners, ranges or ``ttl``.
    """

    name: str
    entity: Entity
    source: Source
    features: tuple[Feature, ...]
    ttl: timedelta | None = None
    description: str = ""
    owner: str = ""

    def __post_init__(self) -> None:
        what = f"view {self.name!r}"
        _check_name(what, self.name)
        _check_each_once(what, [feature.name for feature in self.features])
        if self.ttl is not None and self.ttl <= timedelta(0):
            _refuse(what, f"ttl={self.ttl} is not positive; leave it out for values that never expire")
        for feature in self.features:
            if self.source.column(feature.column.name) != feature.column:
                _refuse(what, f"feature {feature.name!r} reads a column unlike that of source {self.source.name!r}")

    @property
    def version(self) -> str:
        used = {feature.column.name for feature in self.features}
        repairs = [r for r in self.source.repairs if r.column in used]
        meaning = {
            "kind": "row",
            "entity": self.entity.name,
            "source": [self.source.name, self.source.key],
            "features": [[f.name, f.column.name, f.column.dtype, list(f.column.vocabulary)] for f in self.features],
            "repairs": [[r.column, r.value, dict(r.where)] for r in repairs],
        }
        return digest.short(digest.of_json(meaning))

    def feature(self, name: str) -> Feature:
        for feature in self.features:
            if feature.name == name:
                return feature
        raise UnknownDefinitionError(
            f"view {self.name!r} has no feature {name!r}; it has {[feature.name for feature in self.features]}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureSet:
    """The ordered list of features that one model reads.

    Its features come from one view for now; the layout that serving reads already has a list of views.
    """

    name: str
    view: RowView
    features: tuple[str, ...]
    description: str = ""
    owner: str = ""

    def __post_init__(self) -> None:
        what = f"feature set {self.name!r}"
        _check_name(what, self.name)
        _check_each_once(what, self.features)
        for name in self.features:
            self.view.feature(name)


def features_of(
    source: Source, names: Sequence[str], *, defaults: Mapping[str, Value] | None = None
) -> tuple[Feature, ...]:
    """Return features that are columns of a source as they are, named like them."""
    given = defaults or {}
    return tuple(Feature(name=name, column=source.column(name), default=given.get(name)) for name in names)
