import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = Path(sys.executable).with_name("slipway")


@pytest.fixture
def run(project):
    """Run a command as a user would, in the project of the tests."""

    def _run(*arguments, code=0):
        command = [COMMAND, "features", *map(str, arguments)]
        done = subprocess.run(command, cwd=project.root, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        return done

    return _run


@pytest.fixture
def raw(tmp_path, run):
    path = tmp_path / "raw.csv"
    run("synthesize", path, "--rows", 300, "--seed", 3)
    return path


@pytest.mark.usefixtures("redis_settings", "postgres_settings")
def test_commands_lead_from_a_raw_file_to_served_values(run, raw, project):
    report = json.loads(run("ingest", raw, "--model", "churn", "--json").stdout)
    assert (report["rows"], report["quarantined"]) == (300, 0)

    run("training-set")
    assert (project.home / "features" / "churn" / "training_set.parquet").is_file()

    assert json.loads(run("apply", "--json").stdout)["revision"] >= 1
    assert "nothing changed" in run("apply").stderr

    assert "300 written" in run("materialize").stderr
    key = raw.read_text().splitlines()[1].partition(",")[0]
    shown = json.loads(run("get", f"customer={key}", "--set", "churn", "--json").stdout)
    assert (shown["status"], shown["view"], shown["event_time"]) == (
        "ok",
        "customer_profile",
        "2018-09-30T00:00:00+00:00",
    )
    assert shown["values"]["gender"] in {"Female", "Male"}
    assert "PaymentMethod" in run("get", f"customer={key}").stderr


def test_words_tell_what_was_found_when_rows_are_bad(run, raw, tmp_path):
    raw.write_text(raw.read_text().replace("Month-to-month", "Monthly", 1))
    told = run("ingest", raw, "--out", tmp_path / "out").stderr
    assert "299 of 300 rows accepted, 1 quarantined" in told
    assert "refused: Contract is not one of" in told
    assert "md5:" in told


def test_exit_code_is_three_when_data_is_refused(run, raw, tmp_path):
    raw.write_text(raw.read_text().replace("Month-to-month", "Monthly"))
    assert "allowed are 5.0%" in run("ingest", raw, "--out", tmp_path / "out", code=3).stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["ingest", "nowhere.csv"], "nowhere.csv does not exist"),
        (["ingest", "x.csv", "--model", "nothing"], "model.toml does not exist"),
        (["get", "7590-VHVEG"], "is not ENTITY=KEY; write it like customer=7590-VHVEG"),
        (["get", "user=1"], "feature set 'churn' is about 'customer', not 'user'"),
        (["get", "customer=1", "--set", "chrun"], "did you mean 'churn'?"),
        (["materialize", "--out", "nowhere"], "run 'slipway features ingest FILE' first"),
    ],
)
def test_exit_code_is_two_when_the_call_is_wrong(run, arguments, told):
    assert told in run(*arguments, code=2).stderr


@pytest.mark.usefixtures("redis_settings")
def test_exit_code_is_one_when_nobody_knows_the_customer(run):
    assert "customer nobody: missing" in run("get", "customer=nobody", code=1).stderr
    assert json.loads(run("get", "customer=nobody", "--json", code=1).stdout)["values"] is None


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ('[data]\nsource = "telco"\n[features]\nset = "churn"\n', "data.label: Field required"),
        ('[data]\nsource = "telco"\nlabel = "Churn"\nmax_bad_share = 5\n[features]\nset = "churn"\n', "less than or"),
        ('[data]\nsource = "telco"\nlabel = "Churn"\nlable = "x"\n[features]\nset = "churn"\n', "data.lable: Extra"),
    ],
)
def test_field_is_told_when_model_toml_is_wrong(run, project, table, told):
    folder = project.models_dir / "broken"
    folder.mkdir()
    (folder / "model.toml").write_text(table)
    try:
        told_by = run("training-set", "--model", "broken", code=2).stderr
    finally:
        shutil.rmtree(folder)
    assert "models/broken/model.toml" in told_by
    assert told in told_by
