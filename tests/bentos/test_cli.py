import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from slipway.bentos import releases
from slipway.bentos.cli import app
from slipway.bentos.errors import GoldenMismatch
from slipway.bentos.release import Release
from slipway.bentos.releases import ServiceReleases
from slipway.project import Project

Built = tuple[Project, Release]
runner = CliRunner()


@pytest.fixture
def here(built: Built, monkeypatch: pytest.MonkeyPatch) -> Iterator[Built]:
    project, release = built
    monkeypatch.setenv("SLIPWAY_PROJECT", str(project.root))
    monkeypatch.setenv("SLIPWAY_HOME", str(project.home))
    releases.save(project, "accounts", ServiceReleases(stable=release))
    yield built
    releases.path_of(project, "accounts").unlink()


def run(*arguments: str) -> Any:
    result = runner.invoke(app, arguments)
    if result.exception is not None:
        raise result.exception
    return json.loads(result.stdout)


def test_a_release_is_data_on_standard_output_when_built_by_command(here: Built) -> None:
    project, release = here
    assert run("build", "accounts", "--bundle", str(project.root / "bundle"), "--json") == release.to_json()


def test_tables_of_the_release_file_are_shown_when_asked(here: Built) -> None:
    assert run("show", "accounts", "--json") == {"stable": here[1].to_json(), "candidate": None, "previous": None}


def test_golden_rows_are_a_gate_when_asked_by_command(here: Built, live: Any, tmp_path: Path) -> None:
    project, _ = here
    bundle = shutil.copytree(project.root / "bundle", tmp_path / "bundle")
    assert run("check", live.url, "--bundle", str(bundle), "--json")["passed"]
    manifest = msgspec.json.decode((bundle / "manifest.json").read_bytes())
    manifest["golden"][1]["score"] += 0.1
    (bundle / "manifest.json").write_bytes(msgspec.json.encode(manifest))
    with pytest.raises(GoldenMismatch, match="golden row 1 scores") as refusal:
        run("check", live.url, "--bundle", str(bundle))
    assert refusal.value.exit_code == 3
