import json

import pytest
from typer.testing import CliRunner

from slipway.models.cli import app
from slipway.models.errors import ModelNotFound
from slipway.models.registry import Registry


@pytest.fixture
def listed(trained, mlflow_uri, renamed):
    """Two versions of the model "listed", the second one the challenger."""
    out, _ = trained
    registry = Registry(mlflow_uri)
    for family in ("logistic_regression", "xgboost"):
        registry.register(renamed(out / family, "listed"), tags={"git_commit": "0123abc"})


def run(*arguments):
    done = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert done.exit_code == 0
    return done


def test_list_names_models_and_aliases_when_json_is_asked_for(listed):
    rows = [row for row in json.loads(run("list", "--json").stdout) if row["model"] == "listed"]

    assert rows == [{"model": "listed", "versions": 2, "champion": None, "challenger": 2}]


def test_show_gives_metrics_and_lineage_of_one_version(listed):
    everything = json.loads(run("show", "listed", "--json").stdout)
    (one,) = json.loads(run("show", "listed", str(everything[0]["version"]), "--json").stdout)

    assert one == everything[0]
    assert one["tags"]["git_commit"] == "0123abc"
    assert 0.5 < one["metrics"]["roc_auc"] < 1


@pytest.mark.parametrize("arguments", [["list"], ["show", "listed"], ["show", "listed", "1"]])
def test_tables_go_to_standard_error_and_nothing_to_standard_output(listed, arguments, capfd):
    done = run(*arguments)

    assert done.stdout == ""


def test_show_says_so_when_there_is_no_such_model(listed):
    with pytest.raises(ModelNotFound, match="there is no model 'nobody'; see 'slipway models list'"):
        run("show", "nobody")
