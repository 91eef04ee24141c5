"""Turns cells of text into typed columns; what can't be read as its type is a violation, not a null."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from slipway.features.definitions import Column, DType, FillBlank, Source
from slipway.features.quality import Repair, Violation
from slipway.features.raw import shown

_LARGEST_WHOLE = 2**53  # above it not every whole number is a float64
_LONGEST_KEY = 128
_FINAL = {DType.FLOAT64: "float64", DType.INT64: "int64", DType.BOOL: "bool", DType.CATEGORY: "str"}
_MASKED = _FINAL | {DType.INT64: "Int64", DType.BOOL: "boolean"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """Typed columns: numbers and flags as float64 with NaN where null, words as text with a null where blank."""

    frame: pd.DataFrame
    violations: tuple[Violation, ...]
    repairs: tuple[Repair, ...]
    repaired_rows: frozenset[int]


def parse(raw: pd.DataFrame, source: Source) -> Parsed:
    """Type the cells of a raw table and apply the source's repairs."""
    violations: list[Violation] = []
    repairs: list[Repair] = []
    repaired: set[int] = set()
    typed: dict[str, pd.Series[Any]] = {}
    for name in (source.key, *(column.name for column in source.columns)):
        text = raw[name].str.strip()
        if (trimmed := raw[name].ne(text) & text.ne("")).any():
            repairs.append(Repair(column=name, rows=int(trimmed.sum()), note="spaces around the value were removed"))
            repaired.update(raw.index[trimmed])
        typed[name] = text
    key = typed.pop(source.key)
    for bad, reason in (
        (key == "", "is blank, each row needs a key"),
        (key.str.len() > _LONGEST_KEY, f"is longer than {_LONGEST_KEY} characters"),
        (key.str.contains(r"[\x00-\x1f\x7f]"), "has a line break or another control character"),
    ):
        violations += _violations(raw[source.key][bad], source.key, reason)
    for column in source.columns:
        values, bad, reason = _typed(typed[column.name], column)
        violations += _violations(raw[column.name][bad], column.name, reason)
        typed[column.name] = values
    blank = {column.name: raw[column.name].str.strip() == "" for column in source.columns}
    frame = pd.DataFrame({source.key: key, **typed}, index=raw.index)
    for repair in source.repairs:
        rows = _fill(frame, repair, blank[repair.column])
        if len(rows):
            note = f"blank became {repair.value!r}: {repair.note}"
            repairs.append(Repair(column=repair.column, rows=len(rows), note=note))
            repaired.update(rows)
    return Parsed(
        frame=frame, violations=tuple(violations), repairs=tuple(repairs), repaired_rows=frozenset(map(int, repaired))
    )


def finish(frame: pd.DataFrame, source: Source) -> pd.DataFrame:
    """Give valid columns their final types; a nullable whole number or flag stays masked where null."""
    types = {column.name: (_MASKED if column.nullable else _FINAL)[column.dtype] for column in source.columns}
    return frame.astype(types)


def _typed(text: "pd.Series[str]", column: Column) -> "tuple[pd.Series[Any], pd.Series[bool], str]":
    """Return values, where they could not be read, and why; the contract judges what could be."""
    filled = text != ""
    if column.dtype is DType.CATEGORY:
        return text.where(filled), filled & False, ""
    if column.dtype is DType.BOOL:
        flags = text.map({"0": 0.0, "1": 1.0}).astype("float64")
        return flags, filled & flags.isna(), "is not 0 or 1"
    numbers = pd.to_numeric(text, errors="coerce").astype("float64")
    finite = numbers.where(np.isfinite(numbers))
    if column.dtype is DType.FLOAT64:
        return finite, filled & finite.isna(), "is not a number"
    whole = finite.where((finite == finite.round()) & (finite.abs() <= _LARGEST_WHOLE))
    return whole, filled & whole.isna(), "is not a whole number"


def _fill(frame: pd.DataFrame, repair: FillBlank, blank: "pd.Series[bool]") -> "pd.Index[Any]":
    rows = blank
    for name, value in repair.where.items():
        rows = rows & (frame[name] == value)
    frame.loc[rows, repair.column] = repair.value
    return frame.index[rows]


def _violations(cells: "pd.Series[str]", column: str, reason: str) -> list[Violation]:
    return [
        Violation(row=int(row), column=column, value=shown(value), reason=reason)
        for row, value in zip(cells.index, cells, strict=True)
    ]
