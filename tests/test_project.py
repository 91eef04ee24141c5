import pytest

from slipway.errors import UsageError
from slipway.project import Project, load_toml


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch):
    monkeypatch.delenv("SLIPWAY_HOME", raising=False)
    monkeypatch.delenv("SLIPWAY_PROJECT", raising=False)


def test_project_is_found_when_started_below_its_root(tmp_path):
    (tmp_path / "pyproject.toml").write_text('[tool.slipway]\nname = "shop"\n')
    (tmp_path / "models").mkdir()
    project = Project.find(tmp_path / "models")
    assert (project.root, project.home, project.name) == (tmp_path, tmp_path / ".slipway", "shop")


def test_home_is_taken_from_the_environment_when_set(tmp_path, monkeypatch):
    (tmp_path / "pyproject.toml").write_text("[tool.slipway]\n")
    monkeypatch.setenv("SLIPWAY_HOME", str(tmp_path / "elsewhere"))
    assert Project.find(tmp_path).home == tmp_path / "elsewhere"


def test_search_is_refused_with_the_next_step_when_no_project_is_there(tmp_path):
    (tmp_path / "pyproject.toml").write_text("[tool.other]\n")
    with pytest.raises(UsageError, match=r"no Slipway project at .*set SLIPWAY_PROJECT"):
        Project.find(tmp_path)


def test_toml_is_refused_by_file_and_line_when_broken(tmp_path):
    (tmp_path / "a.toml").write_text("x = 1\ny = \n")
    with pytest.raises(UsageError, match=r"a\.toml can't be read as TOML: .*line 2"):
        load_toml(tmp_path / "a.toml")


def test_toml_is_refused_by_name_when_missing(tmp_path):
    with pytest.raises(UsageError, match=r"model\.toml does not exist"):
        load_toml(tmp_path / "model.toml")
