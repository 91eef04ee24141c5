"""Runs ``slipway`` as a user would, in a checkout of its own."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.conftest import REPOSITORY, TEAM_FOLDERS

SLIPWAY = Path(sys.executable).parent / "slipway"


@dataclass(frozen=True, kw_only=True)
class Checkout:
    """A project folder; ``env`` is added to what each command sees."""

    root: Path
    home: Path
    env: dict[str, str] = field(default_factory=dict)

    def slipway(self, *words: str | Path, timeout_s: float = 400) -> subprocess.CompletedProcess[str]:
        """Run a command to its end and keep what it printed."""
        return subprocess.run(
            [SLIPWAY, *words],
            env=self._env(),
            cwd=self.root,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    def start(self, *words: str | Path) -> subprocess.Popen[str]:
        """Start a command and leave it running; it hears Ctrl-C also where the tests themselves were told not to."""
        return subprocess.Popen(
            ["env", "--default-signal=INT", SLIPWAY, *words],
            env=self._env(),
            cwd=self.root,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def ship(self, *words: str | Path) -> "Shipped":
        """Run ``slipway ship churn --json``."""
        done = self.slipway("ship", "churn", "--json", *words)
        lines = done.stdout.strip().splitlines()
        return Shipped(exit_code=done.returncode, json=json.loads(lines[-1]) if lines else {}, words=done.stderr)

    def _env(self) -> dict[str, str]:
        given = {"SLIPWAY_HOME": str(self.home), "SLIPWAY_PROJECT": str(self.root)}
        return {**os.environ, **given, **self.env}


@contextmanager
def fresh_checkout(**env: str) -> Iterator[Checkout]:
    """A team's folders in a project of their own, without any state; its stack is stopped in the end."""
    folder = Path(tempfile.mkdtemp(prefix="slipway-ship-"))
    # PostgreSQL runs as another user where the tests are root's.
    folder.chmod(0o711)
    root = folder / "project"
    root.mkdir()
    for name in ("pyproject.toml", "requirements.lock"):
        shutil.copy(REPOSITORY / name, root)
    for name in TEAM_FOLDERS:
        shutil.copytree(REPOSITORY / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    checkout = Checkout(root=root, home=folder / "home", env=env)
    try:
        yield checkout
    finally:
        checkout.slipway("down")
        shutil.rmtree(folder)


@dataclass(frozen=True, kw_only=True)
class Shipped:
    """What a ``ship`` answered: its exit code, its JSON, its words for people."""

    exit_code: int
    json: dict[str, Any]
    words: str

    def step(self, name: str) -> dict[str, Any]:
        return next(step for step in self.json["steps"] if step["name"] == name)
