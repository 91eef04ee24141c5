"""From a raw file to clean, typed rows on disk: examine, quarantine, version."""

import csv
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet

from slipway.features import dvc_versions
from slipway.features.definitions import ENTITY_KEY, EVENT_TIME, Source
from slipway.features.examine import examine, refuse
from slipway.features.quality import IngestReport, Violation

CLEAN_FILE = "clean.parquet"
QUARANTINE_FILE = "quarantine.csv"
QUALITY_FILE = "quality.json"


def ingest(path: Path, source: Source, *, label: str, max_bad_share: float, out: Path, dvc_dir: Path) -> IngestReport:
    """Check a raw CSV file against its source's contract and write what later steps need into ``out``.

    ``clean.parquet`` has ``entity_key``, ``event_time`` and the source's typed columns; ``quarantine.csv`` each refused
    cell with its row, column, value and reason; ``quality.json`` the returned report. The last two are also written
    when the data is refused (``DataRefused``), which it is when more than ``max_bad_share`` of the rows break the
    contract, when its distributions are far from the reference, or when the label can't be learned.
    The raw file goes under version control in ``dvc_dir`` only when it was accepted.
    """
    examined = examine(path, source, label=label, max_bad_share=max_bad_share)
    out.mkdir(parents=True, exist_ok=True)
    _write_quarantine(examined.violations, out / QUARANTINE_FILE)
    _write_report(examined.report, out / QUALITY_FILE)
    refuse(examined.report, path)
    version = dvc_versions.save(path, name=source.name, repository=dvc_dir)
    _write_clean(examined.rows, source, out / CLEAN_FILE)
    report = replace(examined.report, version=version)
    _write_report(report, out / QUALITY_FILE)
    return report


def _write_quarantine(violations: Sequence[Violation], path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("row", "column", "value", "reason"))
        for violation in sorted(violations, key=lambda v: (v.row, v.column)):
            writer.writerow((violation.row, violation.column, violation.value, violation.reason))


def _write_report(report: IngestReport, path: Path) -> None:
    path.write_text(json.dumps(report.to_json(), indent=1, allow_nan=False) + "\n", encoding="utf-8")


def _write_clean(frame: pd.DataFrame, source: Source, path: Path) -> None:
    columns = frame[[column.name for column in source.columns]]
    table = pa.Table.from_pandas(columns, preserve_index=False).replace_schema_metadata(None)
    times = pa.array([source.snapshot_time] * len(frame), pa.timestamp("us", tz="UTC"))
    keys = pa.array(frame[source.key], pa.string())
    table = table.add_column(0, EVENT_TIME, times).add_column(0, ENTITY_KEY, keys)
    pyarrow.parquet.write_table(table, path, compression="zstd")
