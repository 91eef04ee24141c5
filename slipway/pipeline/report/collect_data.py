"""Data quality for the report, from what ingestion wrote."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec

from slipway.pipeline.report import material, words
from slipway.pipeline.report.values import Check, Count, Profile, Quality

FILE = "quality.json"

# A histogram of a column is a thumbnail; as many bars as can be told apart.
BARS = 12
MOST_WORDS = 6

# Columns that a picture says most about come first: numbers, then words by how many there are.
MOST_PROFILES = 12


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """How DVC names the raw file."""

    hash: str


class Repair(msgspec.Struct, frozen=True, kw_only=True):
    """Cells of a column that were repaired in one way."""

    column: str
    rows: int
    note: str


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """Rows that broke the contract in one way."""

    column: str
    reason: str
    rows: int
    example_row: int
    example_value: str


class FileCheck(msgspec.Struct, frozen=True, kw_only=True):
    """A statement of the contract about the whole file."""

    column: str
    check: str
    seen: float
    at_least: float | None
    at_most: float | None
    passed: bool


class ColumnProfile(msgspec.Struct, frozen=True, kw_only=True):
    """The accepted rows of one column."""

    column: str
    nulls: int
    distinct: int
    counts: dict[str, int] | None = None
    smallest: float | None = None
    largest: float | None = None
    quantiles: dict[str, float] | None = None
    histogram_edges: list[float] | None = None
    histogram_counts: list[int] | None = None


class QualityFile(msgspec.Struct, frozen=True, kw_only=True):
    """``quality.json``, as ``features.quality.IngestReport`` writes it; its pandas is not imported for a picture."""

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
    checks: tuple[FileCheck, ...]
    columns: tuple[ColumnProfile, ...]
    label: str
    version: Version | None


def read(folder: Path) -> QualityFile:
    """Read what ingestion found."""
    return material.read(folder / FILE, QualityFile)


def quality(found: QualityFile) -> Quality:
    """Return the section on data quality."""
    profiles = [shape for column in found.columns if (shape := profile(column, found.accepted))]
    order = {found.label: 0}
    profiles.sort(key=lambda shape: (order.get(shape.column, 1), shape.kind != "number"))
    return Quality(
        file=found.file,
        rows=found.rows,
        clean_rows=found.accepted,
        repaired_rows=found.repaired,
        quarantined_rows=found.quarantined,
        max_bad_share=found.max_bad_share,
        notes=_notes(found),
        repairs=tuple(Count(what=repair.column, why=repair.note, rows=repair.rows) for repair in found.repairs),
        quarantine=tuple(
            Count(
                what=reason.column or "the row",
                why=f"{reason.reason}, for example {reason.example_value!r} in row {reason.example_row:,}",
                rows=reason.rows,
            )
            for reason in found.reasons
        ),
        checks=tuple(_check(check) for check in found.checks),
        profiles=tuple(profiles[:MOST_PROFILES]),
        columns=len(found.columns),
    )


def profile(column: ColumnProfile, rows: int) -> Profile | None:
    """Return the shape of a column, or nothing where it has no value at all.

    >>> profile(ColumnProfile(column="c", nulls=0, distinct=2, counts={"No": 1, "Yes": 3}), rows=4).shares
    (0.75, 0.25)
    """
    blank = f", {column.nulls:,} blank" if column.nulls else ""
    if column.counts and any(column.counts.values()):
        counts = sorted(column.counts.items(), key=lambda item: -item[1])
        shown, rest = counts[:MOST_WORDS], counts[MOST_WORDS:]
        if rest:
            shown.append((f"{len(rest)} others", sum(count for _, count in rest)))
        return Profile(
            column=column.column,
            kind="words",
            summary=f"{column.distinct} different values{blank}",
            labels=tuple(word for word, _ in shown),
            shares=tuple(count / rows for _, count in shown),
        )
    if column.histogram_counts and column.histogram_edges and column.quantiles:
        together = -(-len(column.histogram_counts) // BARS)
        bars = _joined(column.histogram_counts, together)
        edges = [*column.histogram_edges[:-1:together], column.histogram_edges[-1]]
        low, high = words.count(column.smallest or 0), words.count(column.largest or 0)
        return Profile(
            column=column.column,
            kind="number",
            summary=f"median {words.count(column.quantiles['0.5'])}, {column.distinct:,} different values{blank}",
            labels=tuple(f"{words.count(a)} to {words.count(b)}" for a, b in pairwise(edges)),
            shares=tuple(bar / max(sum(bars), 1) for bar in bars),
            ends=(low, high),
        )
    return None


def _joined(counts: list[int], together: int) -> list[int]:
    return [sum(counts[start : start + together]) for start in range(0, len(counts), together)]


def _check(check: FileCheck) -> Check:
    low, high = check.at_least, check.at_most
    show: Any = words.share if check.check.startswith("share") else words.count
    if low is not None and high is not None:
        rule = f"{show(low)} to {show(high)}"
    elif low is not None:
        rule = f"at least {show(low)}"
    elif high is not None:
        rule = f"at most {show(high)}"
    else:
        rule = "none"
    return Check(name=check.column, rule=f"{check.check}: {rule}", passed=check.passed, seen=show(check.seen))


def _notes(found: QualityFile) -> tuple[str, ...]:
    notes = []
    if found.blank_lines:
        lines = "1 blank line was" if found.blank_lines == 1 else f"{found.blank_lines:,} blank lines were"
        notes.append(f"{lines} left out.")
    if found.ignored_columns:
        notes.append(f"Columns that the contract does not know were ignored: {', '.join(found.ignored_columns)}.")
    return tuple(notes)
