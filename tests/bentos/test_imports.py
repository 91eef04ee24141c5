"""The serving image installs the base and ``serve`` dependencies only: what serves must not import anything else."""

import json
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import slipway
from slipway.bentos.build import SERVING_MODULES
from slipway.bentos.release import Release
from slipway.project import Project

ROOT = Path(__file__).parents[2]

# Refuses each top-level module that only packages outside the image bring, as if they were not installed.
HOOK = """
import importlib.abc, json, sys
refused = frozenset(json.loads(sys.argv[1]))
class Image(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in refused:
            raise ModuleNotFoundError(f"{name} is not in the serving image", name=name)
        return None
assert not refused & set(sys.modules), refused & set(sys.modules)
sys.meta_path.insert(0, Image())
"""


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def closure(requirements: list[str]) -> set[str]:
    """Return the installed distributions that some requirements bring, from the packages' own metadata."""
    found: set[tuple[str, frozenset[str]]] = set()
    waiting = [Requirement(text) for text in requirements]
    while waiting:
        requirement = waiting.pop()
        extras = frozenset(requirement.extras)
        key = (canonical(requirement.name), extras)
        if key in found:
            continue
        found.add(key)
        for text in metadata.requires(requirement.name) or []:
            needed = Requirement(text)
            if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in extras | {""}):
                waiting.append(needed)
    return {name for name, _ in found}


@pytest.fixture(scope="module")
def refused() -> str:
    """Top-level modules that no package of the image brings, as JSON."""
    table = tomllib.loads((ROOT / "pyproject.toml").read_text())
    image = closure([*table["project"]["dependencies"], *table["dependency-groups"]["serve"]]) | {"slipway"}
    brought = metadata.packages_distributions()
    others = [module for module, owners in brought.items() if not image & {canonical(owner) for owner in owners}]
    assert {"pandas", "mlflow", "sklearn", "xgboost", "locust", "gevent", "duckdb", "pytest"} <= set(others)
    assert not {"bentoml", "numpy", "onnxruntime", "msgspec", "redis", "uvloop", "pydantic"} & set(others)
    # Set-up files of installed packages may have been run already, before any hook.
    return json.dumps([module for module in others if not module.startswith(("_", "a1_coverage", "coverage"))])


def run(script: str, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", HOOK + script, *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def test_a_bento_starts_with_the_image_alone_and_its_own_code_when_started(
    built: tuple[Project, Release], refused: str
) -> None:
    project, release = built
    source = project.home / release.bento / "src"
    script = """
import asyncio, pathlib, sys
sys.path.insert(0, ".")
import service
asyncio.run(service.app.startup())
assert service.app.ready
loaded = {name: module.__file__ for name, module in sys.modules.items() if name.split(".")[0] == "slipway"}
print(json.dumps(loaded))
"""
    done = run(script, refused, cwd=source)
    assert done.returncode == 0, done.stderr
    loaded = [Path(path).resolve() for path in json.loads(done.stdout.splitlines()[-1]).values()]
    assert {path.relative_to(source / "slipway").as_posix() for path in loaded} == set(SERVING_MODULES)


def test_every_module_of_bentos_imports_with_the_image_alone_when_imported(refused: str) -> None:
    folder = Path(slipway.__file__).parent / "bentos"
    modules = [f"slipway.bentos.{path.stem}" for path in folder.glob("*.py") if path.stem != "__init__"]
    done = run(f"import importlib\nfor name in {modules!r}: importlib.import_module(name)", refused)
    assert done.returncode == 0, done.stderr


def test_the_hook_refuses_when_something_else_is_imported(refused: str) -> None:
    done = run("import slipway.bentos.application, pandas", refused)
    assert "pandas is not in the serving image" in done.stderr
