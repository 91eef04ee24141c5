"""Examines a raw file: reads, types, repairs and judges its rows, and refuses a file that nothing good comes of."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from slipway.features import contract, parse, quality, raw
from slipway.features.definitions import Source
from slipway.features.errors import DataRefused, DefinitionError
from slipway.features.quality import Check, IngestReport, Reason, Violation

# Five folds of four fifths of the rows, with five customers of each class to judge a fold by.
_MIN_ROWS_PER_CLASS = 32
_TOP_REASONS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """What a raw file holds: accepted rows with final types, and every cell that was refused."""

    rows: pd.DataFrame
    violations: tuple[Violation, ...]
    report: IngestReport


def examine(path: Path, source: Source, *, label: str, max_bad_share: float) -> Examined:
    """Judge each row of a file; refuses only what is no table with the source's columns at all."""
    if not source.column(label).words:
        raise DefinitionError(
            f"label {label!r} of source {source.name!r} is no category or flag; change it in model.toml"
        )
    table = raw.read(path, source)
    parsed = parse.parse(table.frame, source)
    unreadable = {(violation.row, violation.column) for violation in parsed.violations}
    judged = contract.row_violations(parsed.frame, table.frame, source)
    violations = [
        *table.misfits,
        *parsed.violations,
        # A cell that could not be read is blank to the contract; it is reported once, for what it says.
        *(violation for violation in judged if (violation.row, violation.column) not in unreadable),
    ]
    bad_rows = {violation.row for violation in violations}
    duplicates = _duplicates(parsed.frame[~parsed.frame.index.isin(bad_rows)], source)
    violations += duplicates
    bad_rows |= {violation.row for violation in duplicates}
    rows = parse.finish(parsed.frame[~parsed.frame.index.isin(bad_rows)], source)
    columns = quality.profiles(rows, source)
    report = IngestReport(
        source=source.name,
        file=path.name,
        rows=len(table.frame) + len(table.misfits) + table.lost_lines,
        accepted=len(rows),
        quarantined=len(bad_rows) + table.lost_lines,
        max_bad_share=max_bad_share,
        repaired=len(parsed.repaired_rows - bad_rows),
        blank_lines=table.blank_lines,
        ignored_columns=table.ignored_columns,
        repairs=parsed.repairs,
        reasons=quality.reasons(violations),
        checks=contract.file_checks(rows, source),
        columns=columns,
        label=label,
        label_counts=next(profile.counts or {} for profile in columns if profile.column == label),
        version=None,
    )
    return Examined(rows=rows, violations=tuple(violations), report=report)


def refuse(report: IngestReport, path: Path) -> None:
    """Raise :class:`DataRefused` for a file with too many bad rows, no learnable label, or strange distributions."""
    _refuse_many_bad_rows(report, path)
    _refuse_label(report, path)
    _refuse_distributions([check for check in report.checks if not check.passed], report.source, path)


def _duplicates(frame: pd.DataFrame, source: Source) -> list[Violation]:
    """Of equal rows the first stays; of rows that contradict each other none does, since nothing says which is true."""
    repeated = frame[frame[source.key].duplicated(keep=False)]
    is_copy = repeated.duplicated(keep="first")
    different = repeated.loc[~is_copy, source.key]
    contradicted = set(different[different.duplicated()])
    found = []
    for row, key, copy in zip(repeated.index, repeated[source.key], is_copy, strict=True):
        if key in contradicted:
            reason = "is the key of several rows that differ, nothing says which is right"
        elif copy:
            reason = "is the key of an equal row above, that one is used"
        else:
            continue
        found.append(Violation(row=int(row), column=source.key, value=raw.shown(key), reason=reason))
    return found


def _refuse_many_bad_rows(report: IngestReport, path: Path) -> None:
    if report.bad_share <= report.max_bad_share:
        return
    more = len(report.reasons) - _TOP_REASONS
    told = "; ".join(_in_words(reason) for reason in report.reasons[:_TOP_REASONS])
    raise DataRefused(
        f"{path}: {report.quarantined:,} of {report.rows:,} rows ({report.bad_share:.1%}) break the contract of source "
        f"{report.source!r}, allowed are {report.max_bad_share:.1%}: {told}"
        f"{f'; and {more} more reasons' if more > 0 else ''}; "
        "correct the file, or the contract, or raise max_bad_share in model.toml"
    )


def _in_words(reason: Reason) -> str:
    where = f"{reason.column} " if reason.column else "the row "
    value = f" (first: {reason.example_value!r} in row {reason.example_row})"
    return f"{where}{reason.reason} in {reason.rows:,} row{'' if reason.rows == 1 else 's'}{value}"


def _refuse_label(report: IngestReport, path: Path) -> None:
    seen = {word: count for word, count in report.label_counts.items() if count}
    if len(seen) < 2:  # noqa: PLR2004  a class and another one
        raise DataRefused(
            f"{path}: label {report.label!r} has one class only, {next(iter(seen), 'none')!r} in {report.accepted:,} "
            "rows; nothing can be learned from it: give a file with rows of both kinds"
        )
    word, rows = min(seen.items(), key=lambda item: item[1])
    if rows < _MIN_ROWS_PER_CLASS:
        raise DataRefused(
            f"{path}: label {report.label!r} is {word!r} in {rows} rows only, at least {_MIN_ROWS_PER_CLASS} are "
            "needed for a model that can be judged; give a larger file"
        )


def _refuse_distributions(failed: Sequence[Check], source: str, path: Path) -> None:
    if not failed:
        return
    told = "; ".join(
        f"{check.check} of {check.column} is {check.seen:.3g}, allowed {check.at_least:.3g} to {check.at_most:.3g}"
        for check in failed[:_TOP_REASONS]
    )
    more = f"; and {len(failed) - _TOP_REASONS} more" if len(failed) > _TOP_REASONS else ""
    raise DataRefused(
        f"{path} does not look like source {source!r}: {told}{more}; if the customers are like that, change the "
        "reference shares and means in the source's definition"
    )
