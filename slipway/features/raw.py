"""Reads a CSV file as text, cell by cell, so that what is wrong with it can be shown as it was written."""

import csv
import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from slipway.features.definitions import Source
from slipway.features.errors import DataRefused, DataUnreadableError
from slipway.features.quality import Violation

_HEAD_BYTES = 1 << 16
# Far above any row of a table made for people; pyarrow refuses a row that spans more than two blocks.
_BLOCK_BYTES = 1 << 24
_MAGIC = {
    b"PK\x03\x04": "an Excel or zip file",
    b"PAR1": "a Parquet file",
    b"\x1f\x8b": "a gzip file",
    b"SQLite": "an SQLite database",
}
_OTHER_DELIMITERS = ";\t|"
_SHOWN_CHARACTERS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class RawTable:
    """Cells as text, by row in the file as a spreadsheet counts it (the header is row 1).

    ``misfits`` are rows with too few or too many fields; they are not in ``frame``. ``lost_lines`` were swallowed by a
    cell of another row, as happens where a quote is never closed.
    """

    frame: pd.DataFrame
    misfits: tuple[Violation, ...]
    blank_lines: int
    lost_lines: int
    ignored_columns: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Head:
    names: list[str]
    row: int
    has_rows: bool


def read(path: Path, source: Source) -> RawTable:
    """Read the columns of a source, judging no cell; a file that is no such table at all is refused."""
    head = _read_head(path)
    header = head.names
    wanted = [source.key, *(column.name for column in source.columns)]
    _refuse_other_columns(path, header, wanted)
    if not head.has_rows:
        raise DataRefused(f"{path} has a header and no rows; nothing can be learned from it")
    misfits: list[Violation] = []
    lost_lines = 0

    def misfit(row: pyarrow.csv.InvalidRow) -> str:
        nonlocal lost_lines
        reason = f"has {row.actual_columns} fields, the header has {row.expected_columns}"
        if inside := row.text.count("\n"):
            lost_lines += inside
            reason += f", and spans {inside + 1} lines: is a quote never closed?"
        misfits.append(Violation(row=row.number, column="", value=shown(row.text), reason=reason))
        return "skip"

    try:
        table = pyarrow.csv.read_csv(
            path,
            # Rows are numbered with one thread only.
            read_options=pyarrow.csv.ReadOptions(
                use_threads=False, block_size=_BLOCK_BYTES, column_names=header, skip_rows_after_names=head.row
            ),
            parse_options=pyarrow.csv.ParseOptions(
                newlines_in_values=True, ignore_empty_lines=False, invalid_row_handler=misfit
            ),
            convert_options=pyarrow.csv.ConvertOptions(
                include_columns=wanted, column_types=dict.fromkeys(header, pa.string()), strings_can_be_null=False
            ),
        )
    except pa.ArrowInvalid as error:
        raise DataRefused(
            f"{path} can't be read as CSV: {error}; correct that place, or export the file again as UTF-8 CSV"
        ) from None
    numbers = np.arange(table.num_rows + len(misfits)) + head.row + 1
    lost_lines += sum(pc.sum(pc.count_substring(column, "\n")).as_py() or 0 for column in table.columns)
    frame = table.to_pandas().set_axis(np.setdiff1d(numbers, [violation.row for violation in misfits]), axis="index")
    is_blank = (frame == "").all(axis="columns")
    frame = frame[~is_blank]
    if frame.empty and not misfits:
        raise DataRefused(f"{path} has a header and no rows; nothing can be learned from it")
    return RawTable(
        frame=frame,
        misfits=tuple(misfits),
        blank_lines=int(is_blank.sum()),
        lost_lines=lost_lines,
        ignored_columns=tuple(name for name in header if name not in wanted),
    )


def shown(text: str) -> str:
    """Return a text short enough for a message or a cell of the quarantine file.

    >>> shown("x" * 100)[-12:]
    'xxxxxxxxxxx…'
    """
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"


def _read_head(path: Path) -> _Head:
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except FileNotFoundError:
        raise DataUnreadableError(
            f"{path} does not exist; give the path of a CSV file, or no path to use synthetic data"
        ) from None
    except IsADirectoryError:
        raise DataUnreadableError(f"{path} is a folder; give the path of a CSV file in it") from None
    except OSError as error:
        raise DataUnreadableError(
            f"{path} can't be opened: {error.strerror}; give the path of a CSV file that you may read"
        ) from None
    if not head.strip():
        raise DataRefused(f"{path} is empty; a CSV file with a header and rows is needed")
    kind = next((name for magic, name in _MAGIC.items() if head.startswith(magic)), None)
    if kind or b"\0" in head:
        raise DataRefused(f"{path} is {kind or 'a binary file'}, not text; export it as UTF-8 CSV")
    lines = head.splitlines()
    row = next(number for number, line in enumerate(lines, start=1) if line.strip())
    first_line = lines[row - 1]
    try:
        text = first_line.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataRefused(
            f"{path} is not UTF-8 text: byte {first_line[error.start]:#04x} in the header; export it as UTF-8 CSV"
        ) from None
    has_rows = any(line.strip() for line in lines[row:]) or len(head) == _HEAD_BYTES
    return _Head(names=[name.strip() for name in next(csv.reader([text]))], row=row, has_rows=has_rows)


def _refuse_other_columns(path: Path, header: Sequence[str], wanted: Sequence[str]) -> None:
    if twice := sorted({name for name in header if header.count(name) > 1}):
        raise DataRefused(f"{path}: the header names {twice} more than once; each column needs a name of its own")
    missing = [name for name in wanted if name not in header]
    if not missing:
        return
    delimiter = next((sign for sign in _OTHER_DELIMITERS if len(header[0].split(sign)) >= len(wanted) / 2), None)
    if delimiter:
        raise DataRefused(
            f"{path}: fields are separated by {delimiter!r}; a comma is needed: export it as comma-separated CSV"
        )
    unknown = [name for name in header if name not in wanted]
    parts = []
    for name in missing:
        near = _nearest(name, unknown)
        parts.append(f"{name!r} (is it {near!r}, renamed?)" if near else f"{name!r}")
    raise DataRefused(
        f"{path}: {len(missing)} of {len(wanted)} columns are missing: {', '.join(parts)}; "
        f"the file has {shown(', '.join(header)) if len(parts) == len(wanted) else len(header)} columns; "
        "name the columns as the source does"
    )


def _nearest(name: str, among: Sequence[str]) -> str | None:
    by_folded = {_folded(other): other for other in among}
    near = difflib.get_close_matches(_folded(name), list(by_folded), n=1, cutoff=0.7)
    return by_folded[near[0]] if near else None


def _folded(name: str) -> str:
    return "".join(sign for sign in name.lower() if sign.isalnum())
