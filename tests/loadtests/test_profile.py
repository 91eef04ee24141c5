from pathlib import Path

import pytest

from slipway.loadtests.errors import LoadProfileUnreadable
from slipway.loadtests.profile import LoadProfile, read_ids
from slipway.project import Project

ROOT = Path(__file__).parents[2]


def test_the_checkouts_own_profile_is_read_when_loaded() -> None:
    profile = LoadProfile.load(Project(root=ROOT, home=ROOT / ".slipway", name="slipway"), "churn")
    assert profile == LoadProfile(users=50, rps=300, duration_s=10)
    assert profile.rps_per_user == 6


@pytest.mark.parametrize("table", [{"user": 3}, {"users": 0}, {"rps": 0}, {"duration_s": "10s"}, {"users": 2.5}])
def test_a_table_is_refused_with_its_key_when_it_is_wrong(table: dict[str, object]) -> None:
    (key,) = table
    with pytest.raises(LoadProfileUnreadable, match=rf"\[load\]: .*`\$?\.?{key}`"):
        LoadProfile.parse(table)


def test_ids_are_read_a_line_each(tmp_path: Path) -> None:
    (tmp_path / "ids").write_text("a\nb\n\nc")
    assert read_ids(tmp_path / "ids") == ["a", "b", "c"]


@pytest.mark.parametrize("content", [b"", b"\n \n", b"\xff\xfe", None])
def test_a_file_of_ids_is_refused_when_there_is_none_in_it(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "ids"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(LoadProfileUnreadable, match=r"the file of entity ids .*ids"):
        read_ids(path)
