import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from slipway.features.dvc_versions import save
from slipway.features.errors import DataVersionError


class Store:
    """A repository with one version of a raw file."""

    def __init__(self, folder: Path) -> None:
        self.raw = folder / "raw.csv"
        self.repository = folder / "dvc"

    def save(self):
        return save(self.raw, name="shop", repository=self.repository)

    @property
    def remote_files(self) -> list[Path]:
        return [path for path in (self.repository / "remote").rglob("*") if path.is_file()]


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Store:
    store = Store(tmp_path_factory.mktemp("store"))
    store.raw.write_text("id,x\n1,2\n")
    store.save()
    return store


@pytest.fixture
def store(saved, tmp_path) -> Store:
    shutil.copytree(saved.raw.parent, tmp_path / "store")
    return Store(tmp_path / "store")


def test_content_comes_back_when_dvc_itself_pulls_the_pointer(store):
    version = store.save()
    pointer = store.repository / version.pointer
    data = pointer.with_suffix("")
    assert version.size_bytes == 9
    assert not data.exists()
    # The remote alone brings it back.
    shutil.rmtree(store.repository / ".dvc" / "cache")
    subprocess.run(
        [sys.executable, "-m", "dvc", "pull", pointer.name], cwd=pointer.parent, check=True, capture_output=True
    )
    assert data.read_bytes() == store.raw.read_bytes()


def test_nothing_is_written_when_the_same_content_comes_again(store):
    before = {path: path.stat().st_mtime_ns for path in store.repository.rglob("*")}
    store.save()
    assert {path: path.stat().st_mtime_ns for path in store.repository.rglob("*")} == before


def test_older_versions_stay_when_a_file_changes_and_the_repository_was_moved(store):
    first = store.save()
    moved = Store(store.raw.parent)
    moved.repository = store.repository.rename(store.raw.parent / "moved")
    moved.raw.write_text("id,x\n1,3\n")
    second = moved.save()

    assert first.hash != second.hash
    assert (moved.repository / second.pointer).is_file()
    assert len(list((moved.repository / "shop").glob("*.csv.dvc"))) == 2
    assert len(moved.remote_files) == 2
    assert not store.repository.exists()


def test_content_is_stored_again_when_the_remote_lost_it(store):
    (stored,) = store.remote_files
    stored.unlink()
    store.save()
    assert stored.read_bytes() == store.raw.read_bytes()


def test_nobody_is_told_and_nothing_is_left_elsewhere_when_data_is_stored(saved):
    config = (saved.repository / ".dvc" / "config").read_text()
    assert "analytics = False" in config
    assert "check_update = False" in config
    assert f"site_cache_dir = {saved.repository}" in config
    assert (saved.repository / ".dvc" / "tmp" / "site").is_dir()


def test_folder_is_told_when_it_cant_be_written(store):
    shutil.rmtree(store.repository)
    store.repository.write_text("in the way")
    with pytest.raises(DataVersionError, match=r"could not be stored as a version in .*dvc: .*free the disk"):
        store.save()


def test_folder_is_told_when_dvc_finds_it_broken(store):
    (store.repository / "shop" / "other.csv.dvc").write_text("not: [a pointer")
    store.raw.write_text("id,x\n1,3\n")
    with pytest.raises(DataVersionError, match=r"could not store .*other.csv.dvc.*corrupted.*remove that folder"):
        store.save()
    assert len(list((store.repository / "shop").iterdir())) == 2
