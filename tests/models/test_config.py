from pathlib import Path

import pytest

from slipway.models import config as model_config
from slipway.models import train_script
from slipway.models.errors import InvalidModelConfig
from slipway.project import Project

REPOSITORY = Path(__file__).resolve().parents[2]

WHOLE = {
    "name": "churn",
    "owner": "team",
    "purpose": "says who leaves",
    "limits": "one snapshot",
    "data": {"source": "telco", "label": "Churn"},
    "features": {"set": "churn"},
}


def project(root):
    return Project(root=root, home=root / ".slipway", name="test")


def write_model(root, *, toml="", train=""):
    folder = root / "models" / "churn"
    folder.mkdir(parents=True)
    (folder / "model.toml").write_text(toml)
    (folder / "train.py").write_text(train)
    return project(root)


def test_the_teams_own_model_toml_and_train_py_are_valid():
    config = model_config.load(project(REPOSITORY), "churn")
    script = train_script.load(project(REPOSITORY), "churn")

    assert (config.name, config.data.label, config.search.budget_s) == ("churn", "Churn", 25)
    assert [family.name for family in script.search] == [
        "logistic_regression",
        "random_forest",
        "gradient_boosting",
        "xgboost",
    ]
    assert script.baseline.name == "logistic_regression"


def test_defaults_are_the_designs_when_only_the_needed_tables_are_given():
    config = model_config.parse(WHOLE, where=Path("model.toml"))

    assert (config.gates.accuracy, config.gates.f1_weighted, config.gates.non_inferiority_margin) == (0.75, 0.70, 0.01)
    assert (config.gates.parity_max_difference, config.search.folds, config.data.max_bad_share) == (1e-5, 5, 0.05)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"gates": {"acuracy": 0.7}}, r"gates\.acuracy: Extra inputs are not permitted"),
        ({"search": {"budget_s": 0}}, r"search\.budget_s.*greater than 0.*seen 0"),
        ({"split": {"holdout_share": 1.5}}, r"split\.holdout_share"),
        ({"owner": ""}, r"owner.*at least 3"),
        ({"slices": {"metric": "luck"}}, r"slices\.metric.*'accuracy'"),
        ({"name": "Churn 2"}, "name"),
    ],
)
def test_parse_names_the_key_when_a_value_is_wrong(change, words):
    with pytest.raises(InvalidModelConfig, match=words):
        model_config.parse(WHOLE | change, where=Path("models/churn/model.toml"))


def test_load_names_the_models_there_are_when_one_is_unknown():
    with pytest.raises(InvalidModelConfig, match=r"no model 'chrn'.*\['churn'"):
        model_config.load(project(REPOSITORY), "chrn")


def test_load_refuses_when_the_folder_has_another_name(tmp_path):
    toml = (REPOSITORY / "models" / "churn" / "model.toml").read_text().replace('name = "churn"', 'name = "other"')

    with pytest.raises(InvalidModelConfig, match="'other', but its folder is 'churn'"):
        model_config.load(write_model(tmp_path, toml=toml), "churn")


@pytest.mark.parametrize(
    ("train", "words"),
    [
        ("SEARCH = (\n", r"train\.py, line 1: SyntaxError"),
        ("x = 1\nraise RuntimeError('no luck')\n", r"train\.py, line 2: RuntimeError: no luck"),
        ("import not_installed_here\n", r"line 1: ModuleNotFoundError.*not_installed_here"),
        ("SEARCH = []\nBASELINE = None\n", "SEARCH must be a tuple of families"),
        (
            "from slipway.models.families import xgboost\nSEARCH = (xgboost(),)\n",
            "BASELINE must be a family",
        ),
        (
            "from slipway.models.families import xgboost\nSEARCH = (xgboost(), xgboost())\nBASELINE = xgboost()\n",
            "names a family twice",
        ),
    ],
)
def test_train_script_names_the_line_when_a_teams_file_is_broken(tmp_path, train, words):
    with pytest.raises(InvalidModelConfig, match=words):
        train_script.load(write_model(tmp_path, train=train), "churn")


def test_train_script_says_what_is_needed_when_there_is_none(tmp_path):
    with pytest.raises(InvalidModelConfig, match="does not exist; it names the families"):
        train_script.load(project(tmp_path), "churn")
