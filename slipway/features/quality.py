"""What ingestion found: every rejected cell with its reason, repairs, checks, and a profile of each column."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import pandas as pd

from slipway.features.definitions import Column, DType, Source

_BINS = 24
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """A cell that breaks the contract; ``row`` is the row in the file as a spreadsheet counts it, header row 1.

    ``column`` is empty where the whole row is at fault; ``value`` is what the file says.
    """

    row: int
    column: str
    value: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Repair:
    """Cells of one column that were repaired in one way."""

    column: str
    rows: int
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """How many rows broke the contract in one way, with the first as an example."""

    column: str
    reason: str
    rows: int
    example_row: int
    example_value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One statement of the contract about a whole file: what was seen against what is allowed."""

    column: str
    check: str
    seen: float
    at_least: float | None
    at_most: float | None
    passed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What the accepted rows of one column look like: counts of words, or quantiles and a histogram of numbers."""

    column: str
    dtype: DType
    nulls: int
    distinct: int
    counts: Mapping[str, int] | None = None
    mean: float | None = None
    sd: float | None = None
    smallest: float | None = None
    largest: float | None = None
    quantiles: Mapping[str, float] | None = None
    histogram_edges: Sequence[float] | None = None
    histogram_counts: Sequence[int] | None = None

    @classmethod
    def of(cls, values: "pd.Series[Any]", column: Column) -> Self:
        known = values.dropna()
        nulls, distinct = int(values.isna().sum()), int(known.nunique())
        if column.words:
            words = known.astype("int64").map(dict(enumerate(column.words))) if column.dtype is DType.BOOL else known
            counted = words.value_counts()
            counts = {word: int(counted.get(word, 0)) for word in column.words}
            return cls(column=column.name, dtype=column.dtype, nulls=nulls, distinct=distinct, counts=counts)
        if known.empty:
            return cls(column=column.name, dtype=column.dtype, nulls=nulls, distinct=distinct)
        numbers = known.to_numpy(np.float64)
        counts_by_bin, edges = np.histogram(numbers, bins=_BINS)
        return cls(
            column=column.name,
            dtype=column.dtype,
            nulls=nulls,
            distinct=distinct,
            mean=float(numbers.mean()),
            sd=float(numbers.std()),
            smallest=float(numbers.min()),
            largest=float(numbers.max()),
            quantiles={f"{q:g}": float(v) for q, v in zip(_QUANTILES, np.quantile(numbers, _QUANTILES), strict=True)},
            histogram_edges=[float(edge) for edge in edges],
            histogram_counts=[int(count) for count in counts_by_bin],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DataVersion:
    """The content hash that names raw data, and the pointer file that brings it back."""

    hash: str
    size_bytes: int
    pointer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestReport:
    """Everything that a person or a later step wants to know about an ingested file.

    ``rows`` are all of the file's, blank lines left out; ``quarantined`` of them were refused.
    """

    source: str
    file: str
    rows: int
    accepted: int
    quarantined: int
    max_bad_share: float
    repaired: int
    blank_lines: int
    ignored_columns: tuple[str, ...]
    repairs: tuple[Repair, ...]
    reasons: tuple[Reason, ...]
    checks: tuple[Check, ...]
    columns: tuple[Profile, ...]
    label: str
    label_counts: Mapping[str, int]
    version: DataVersion | None

    @property
    def bad_share(self) -> float:
        return self.quarantined / self.rows if self.rows else 0.0

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"bad_share": self.bad_share}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read what :meth:`to_json` wrote."""
        known = {name: value for name, value in data.items() if name != "bad_share"}
        version = data["version"]
        return cls(
            **known
            | {
                "ignored_columns": tuple(data["ignored_columns"]),
                "repairs": tuple(Repair(**repair) for repair in data["repairs"]),
                "reasons": tuple(Reason(**reason) for reason in data["reasons"]),
                "checks": tuple(Check(**check) for check in data["checks"]),
                "columns": tuple(Profile(**column | {"dtype": DType(column["dtype"])}) for column in data["columns"]),
                "version": None if version is None else DataVersion(**version),
            }
        )


def reasons(violations: Sequence[Violation]) -> tuple[Reason, ...]:
    """Count violations by column and reason, the most frequent first.

    >>> bad = [Violation(row=row, column="tenure", value="x", reason="is not a number") for row in (3, 2)]
    >>> reasons(bad)[0].rows, reasons(bad)[0].example_row
    (2, 2)
    """
    counts = Counter((violation.column, violation.reason) for violation in violations)
    first: dict[tuple[str, str], Violation] = {}
    for violation in sorted(violations, key=lambda v: v.row):
        first.setdefault((violation.column, violation.reason), violation)
    return tuple(
        Reason(
            column=column,
            reason=reason,
            rows=rows,
            example_row=first[column, reason].row,
            example_value=first[column, reason].value,
        )
        for (column, reason), rows in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    )


def profiles(frame: pd.DataFrame, source: Source) -> tuple[Profile, ...]:
    """Profile each column of a source over accepted rows."""
    return tuple(Profile.of(frame[column.name], column) for column in source.columns)
