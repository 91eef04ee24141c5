import json

import pyarrow.parquet
import pytest

from slipway.features.errors import DataRefused
from slipway.features.ingest import ingest
from slipway.features.quality import IngestReport
from slipway.features.synthetic import generate

ROWS = 400


@pytest.fixture
def run(tmp_path, definitions):
    def _run(frame) -> IngestReport:
        frame.to_csv(tmp_path / "raw.csv", index=False)
        return ingest(
            tmp_path / "raw.csv",
            definitions.source("telco"),
            label="Churn",
            max_bad_share=0.05,
            out=tmp_path,
            dvc_dir=tmp_path / "dvc",
        )

    return _run


def test_everything_is_on_disk_when_a_file_is_accepted(run, tmp_path):
    frame = generate(ROWS, seed=5)
    frame.loc[10, "gender"] = "?"
    report = run(frame)

    table = pyarrow.parquet.read_table(tmp_path / "clean.parquet")
    types = {field.name: str(field.type) for field in table.schema}
    assert list(types)[:2] == ["entity_key", "event_time"]
    assert types["event_time"] == "timestamp[us, tz=UTC]"
    assert (types["tenure"], types["SeniorCitizen"], types["TotalCharges"]) == ("int64", "bool", "double")
    assert "string" in types["Contract"]
    assert table.column("entity_key").to_pylist() == frame.drop(10)["customerID"].tolist()

    assert (tmp_path / "quarantine.csv").read_text() == (
        'row,column,value,reason\n12,gender,?,"is not one of Female, Male"\n'
    )
    written = json.loads((tmp_path / "quality.json").read_text())
    assert IngestReport.from_json(written) == report
    assert written["bad_share"] == 1 / ROWS
    assert report.version is not None
    assert (tmp_path / "dvc" / report.version.pointer).is_file()

    first = (tmp_path / "clean.parquet").read_bytes()
    run(frame)
    assert (tmp_path / "clean.parquet").read_bytes() == first


def test_reasons_are_on_disk_and_data_is_not_when_a_file_is_refused(run, tmp_path):
    frame = generate(ROWS, seed=5)
    frame.loc[::2, "gender"] = "?"
    with pytest.raises(DataRefused):
        run(frame)
    assert len((tmp_path / "quarantine.csv").read_text().splitlines()) == 1 + ROWS / 2
    written = json.loads((tmp_path / "quality.json").read_text())
    assert written["quarantined"] == ROWS / 2
    assert IngestReport.from_json(written).version is None
    assert not (tmp_path / "clean.parquet").exists()
    assert not (tmp_path / "dvc").exists()
