"""The pandera contracts of a source: one that judges rows, one that judges what a whole file looks like."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import pandera.pandas as pa
from pandera.errors import SchemaErrors

from slipway.features.definitions import Column, DType, Source
from slipway.features.quality import Check, Violation
from slipway.features.raw import shown

# How far from its reference a file may lie: wide enough for another year or region, narrow enough for another unit,
# a shifted column or a file of one kind of customers only.
SHARE_MARGIN = 0.25
MEAN_MARGIN_SD = 0.75
# Added in standard errors, so that a small honest file is not refused for its noise (one in 16,000 beyond 4).
_NOISE_SE = 4.0

Values = Any  # a pandas Series; its stubs have no type for columns of mixed kinds


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistic:
    """A number computed over a column, with the interval that it must lie in."""

    column: str
    name: str
    of: Callable[[Values], float]
    at_least: float
    at_most: float

    def holds(self, values: Values) -> bool:
        return self.at_least <= self.of(values) <= self.at_most


def statistics(source: Source, rows: int) -> tuple[Statistic, ...]:
    """Return the distribution checks of a source for a file of that many rows."""
    found = []
    for column in source.columns:
        for word, share in column.shares.items():
            margin = SHARE_MARGIN + _NOISE_SE * math.sqrt(share * (1 - share) / rows)
            found.append(
                Statistic(
                    column=column.name,
                    name=f"share of {word!r}",
                    of=_share_of(float(word) if column.dtype is DType.BOOL else word),
                    at_least=max(0.0, share - margin),
                    at_most=min(1.0, share + margin),
                )
            )
        if column.mean is not None and column.sd is not None:
            margin = column.sd * (MEAN_MARGIN_SD + _NOISE_SE / math.sqrt(rows))
            found.append(
                Statistic(
                    column=column.name,
                    name="mean",
                    of=_mean,
                    at_least=column.mean - margin,
                    at_most=column.mean + margin,
                )
            )
    return tuple(found)


def row_violations(frame: pd.DataFrame, raw: pd.DataFrame, source: Source) -> list[Violation]:
    """Return the cells of typed rows that break the contract, with the text that the file has there."""
    return [
        Violation(row=row, column=column, value=shown(str(raw.loc[row, column])), reason=reason)
        for row, column, reason in _failures(_row_schema(source), frame)
    ]


def file_checks(frame: pd.DataFrame, source: Source) -> tuple[Check, ...]:
    """Return the distribution checks of a file's accepted rows; none when there are no rows to look at."""
    if frame.empty:
        return ()
    expected = statistics(source, len(frame))
    failed = {(column, name) for _, column, name in _failures(_file_schema(expected), frame)}
    return tuple(
        Check(
            column=statistic.column,
            check=statistic.name,
            seen=statistic.of(frame[statistic.column]),
            at_least=statistic.at_least,
            at_most=statistic.at_most,
            passed=(statistic.column, statistic.name) not in failed,
        )
        for statistic in expected
    )


def _failures(schema: pa.DataFrameSchema, frame: pd.DataFrame) -> list[tuple[int, str, str]]:
    try:
        schema.validate(frame, lazy=True)
    except SchemaErrors as error:
        cases = error.failure_cases
        index = cases["index"].fillna(-1).astype("int64")
        return list(zip(index.tolist(), cases["column"].tolist(), cases["check"].tolist(), strict=True))
    return []


def _row_schema(source: Source) -> pa.DataFrameSchema:
    return pa.DataFrameSchema({column.name: _column_schema(column) for column in source.columns}, strict=False)


def _file_schema(expected: Sequence[Statistic]) -> pa.DataFrameSchema:
    checks: dict[str, list[pa.Check]] = {}
    for statistic in expected:
        checks.setdefault(statistic.column, []).append(pa.Check(statistic.holds, name=statistic.name))
    return pa.DataFrameSchema({name: pa.Column(checks=found, nullable=True) for name, found in checks.items()})


def _column_schema(column: Column) -> pa.Column:
    checks = []
    if column.dtype is DType.CATEGORY:
        checks.append(pa.Check.isin(column.vocabulary, error=f"is not one of {', '.join(column.vocabulary)}"))
    if column.at_least is not None:
        checks.append(pa.Check.ge(column.at_least, error=f"is below {column.at_least:g}"))
    if column.at_most is not None:
        checks.append(pa.Check.le(column.at_most, error=f"is above {column.at_most:g}"))
    if not column.nullable:
        # A check of its own, since pandera's nullable=False has a name where the reason belongs.
        checks.append(pa.Check(lambda values: values.notna(), error="is blank", ignore_na=False))
    return pa.Column(checks=checks, nullable=True)


def _share_of(word: Any) -> Callable[[Values], float]:
    return lambda values: float((values == word).mean())


def _mean(values: Values) -> float:
    return float(values.mean())
