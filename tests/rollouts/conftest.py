"""What the tests of rollouts share."""

import contextlib
import importlib.util
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import msgspec
import pytest

from slipway.bentos.build import build
from slipway.bentos.release import Release
from slipway.bentos.sabotage import Sabotage
from slipway.local.stack import Stack
from slipway.models import bundle
from slipway.project import Project

HERE = Path(__file__).parent


def load(path: Path) -> ModuleType:
    """Import a file of tests that is no test; tests are no packages."""
    spec = importlib.util.spec_from_file_location(
        path.stem if path.parent == HERE else f"{path.parent.name}_{path.stem}", path
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


for name in ("world.py", "envoys.py", "served.py"):
    load(HERE / name)
# A tiny model and its Bento, made as packaging makes them.
bentos = load(HERE.parent / "bentos" / "conftest.py")


@pytest.fixture
def new_world(tmp_path: Path) -> Callable[..., object]:
    """Return a function that makes a world: a runner, in-memory adapters, a clock and traffic."""
    from world import World  # noqa: PLC0415  importable once the file above was loaded

    return lambda **given: World(spool=tmp_path / "spool.jsonl", **given)


@pytest.fixture
def served(new_world, tmp_path: Path) -> Iterator[object]:
    """A controller over HTTP, with 50 requests in each of its short seconds."""
    from served import Served  # noqa: PLC0415  importable once the file above was loaded
    from world import Truth  # noqa: PLC0415

    with contextlib.closing(Served(new_world(truth=Truth(rps=50)), tmp_path)) as made:
        yield made


@pytest.fixture(scope="session")
def new_release() -> Callable[..., Release]:
    """Return a function that builds version ``n`` of a tiny model as a real Bento of service ``accounts``."""

    def build_one(project: Project, version: int, *, sabotage: Sabotage | None = None) -> Release:
        loaded = bundle.load(project.root / "bundle")
        folder = project.root / f"bundle-{version}"
        bundle.write(folder, manifest=msgspec.structs.replace(loaded.manifest, model_version=version), onnx=loaded.onnx)
        return build("accounts", folder, project=project, sabotage=sabotage)

    return build_one


@pytest.fixture(scope="module")
def live() -> Iterator[tuple[Project, Stack]]:
    """A project with service ``accounts`` and its own running stack, without MLflow."""
    home = tempfile.mkdtemp(prefix="slipway-rollouts-")
    Path(home).chmod(0o711)
    made = bentos.make_project(Path(home) / "project")
    stack = Stack.of(made)
    stack.up(only=("postgres", "redis"))
    yield made, stack
    stack.down()
    shutil.rmtree(home)
