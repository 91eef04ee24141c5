"""A stranger's first hour: clone, then every command of the README and the guides, in the order they are written."""

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.docs.guides import GUIDES, commands

pytestmark = pytest.mark.e2e

# What a command may answer where it is not 0: make turns a refusal into 2, a stack that is down into 1.
ALLOWED = {"make ship SABOTAGE=errors": {2}, ".venv/bin/slipway status": {0, 1}}


@pytest.fixture(scope="module")
def clone():
    folder = Path(tempfile.mkdtemp(prefix="slipway-clone-"))
    folder.chmod(0o711)
    root = folder / "slipway"
    subprocess.run(["git", "clone", "--quiet", str(REPOSITORY), str(root)], check=True)
    yield root
    subprocess.run(["make", "clean"], cwd=root, check=False, capture_output=True)
    shutil.rmtree(folder)


def test_every_command_of_the_guides_works_in_a_fresh_clone(clone):
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("SLIPWAY_", "VIRTUAL_ENV", "COVERAGE"))
    }
    ran = []
    for guide in GUIDES:
        for command in commands(guide):
            done = subprocess.run(
                ["bash", "-c", command],
                cwd=clone,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
                timeout=600,
            )
            assert done.returncode in ALLOWED.get(command, {0}), f"{guide.name}: {command}\n{done.stdout}{done.stderr}"
            assert "Traceback" not in done.stderr, f"{guide.name}: {command}\n{done.stderr}"
            ran.append(command)
    assert len(ran) >= 10
    dirty = subprocess.run(["git", "status", "--porcelain"], cwd=clone, check=True, capture_output=True, text=True)
    assert dirty.stdout == "", "the working tree stays clean"
    listed = subprocess.run(
        [".venv/bin/slipway", "runs", "list", "--json"], cwd=clone, env=environment, check=True, capture_output=True
    )
    assert {"promoted", "unchanged", "rolled_back"} <= {run["state"] for run in json.loads(listed.stdout)}
