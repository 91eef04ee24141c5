import shutil
from pathlib import Path

import pytest

from slipway.features.errors import DefinitionError, UnknownDefinitionError
from slipway.features.load import load_definitions
from slipway.project import Project


@pytest.fixture
def empty(tmp_path) -> Project:
    (tmp_path / "features").mkdir()
    return Project(root=tmp_path, home=tmp_path / ".slipway", name="shop")


def write(project: Project, name: str, text: str) -> Path:
    path = project.features_dir / f"{name}.py"
    path.write_text(text)
    return path


def test_definitions_are_found_by_name_when_a_team_wrote_them(definitions):
    assert definitions.source("telco").key == "customerID"
    assert definitions.entity("customer").name == "customer"
    assert definitions.view("customer_profile").entity.name == "customer"
    assert definitions.feature_set("churn").view.name == "customer_profile"


def test_name_is_suggested_when_it_is_misspelt(definitions):
    with pytest.raises(UnknownDefinitionError, match=r"no source 'telko' in .*churn.py.*did you mean 'telco'\?"):
        definitions.source("telko")


def test_all_files_are_read_when_no_domain_is_named(empty, definitions):
    shutil.copy(definitions.files[0], empty.features_dir)
    write(empty, "shop", "from slipway.features import Entity\nitem = Entity(name='item')\n")
    write(empty, "_draft", "raise SystemError\n")
    found = load_definitions(empty)
    assert [file.stem for file in found.files] == ["churn", "shop"]
    assert [entity.name for entity in found.entities] == ["customer", "item"]


def test_known_files_are_told_when_there_is_none_of_that_name(empty):
    write(empty, "shop", "")
    with pytest.raises(UnknownDefinitionError, match=r"churn.py does not exist; there are definitions for \['shop'\]"):
        load_definitions(empty, "churn")


def test_empty_folder_is_refused_when_nothing_is_defined(empty):
    with pytest.raises(UnknownDefinitionError, match="has no definitions"):
        load_definitions(empty)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("import slipway\n\n1 / 0\n", "shop.py, line 3: ZeroDivisionError: division by zero"),
        ("x = (\n", "shop.py, line 1: SyntaxError"),
        ("import no_such_library\n", "shop.py, line 1: ModuleNotFoundError"),
        ("from slipway.features import Entity\nEntity(name='A')\n", "entity 'A': a name is lower case"),
    ],
)
def test_file_and_line_are_told_when_a_file_is_broken(empty, text, told):
    write(empty, "shop", text)
    with pytest.raises(DefinitionError, match=told):
        load_definitions(empty, "shop")


def test_two_files_are_refused_when_they_define_one_name_differently(empty):
    write(empty, "a", "from slipway.features import Entity\nitem = Entity(name='item')\n")
    write(empty, "b", "from slipway.features import Entity\nitem = Entity(name='item', description='other')\n")
    with pytest.raises(DefinitionError, match=r"entity 'item' is defined twice.*a.py and .*b.py"):
        load_definitions(empty)
    assert load_definitions(empty, "b").entity("item").description == "other"
