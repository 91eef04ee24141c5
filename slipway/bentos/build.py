"""Packaging: a service, a model's bundle and the serving code become a Bento, named by a digest of all three.

The Bento carries the serving modules of Slipway itself, so that a release that is started again years later, or beside
a newer checkout, answers as it did when it was gated.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import slipway
from slipway import digest
from slipway.bentos.baked import FILE, Baked
from slipway.bentos.config import SERVICE_FILE, ServiceConfig
from slipway.bentos.contract import defaults_of
from slipway.bentos.errors import BuildFailed, ServiceUnreadable
from slipway.bentos.policy import Missing
from slipway.bentos.release import Release
from slipway.bentos.requirements import serving_requirements
from slipway.bentos.sabotage import Sabotage
from slipway.features.layout import FeatureSetLayout
from slipway.models import bundle as bundles
from slipway.models.bundle import Manifest
from slipway.project import Project

LOCK_FILE = "requirements.lock"

# Everything that a started service imports of Slipway; a test compares it with a real one.
SERVING_MODULES = (
    "__init__.py",
    "bentos/__init__.py",
    "bentos/application.py",
    "bentos/asgi.py",
    "bentos/baked.py",
    "bentos/bento.py",
    "bentos/contract.py",
    "bentos/drain.py",
    "bentos/errors.py",
    "bentos/golden.py",
    "bentos/instruments.py",
    "bentos/policy.py",
    "bentos/ports.py",
    "bentos/predictor.py",
    "bentos/problem.py",
    "bentos/redis_features.py",
    "bentos/sabotage.py",
    "bentos/scorer.py",
    "bentos/turns.py",
    "digest.py",
    "errors.py",
    "features/__init__.py",
    "features/definitions.py",
    "features/errors.py",
    "features/layout.py",
    "features/packing.py",
    "models/__init__.py",
    "models/bundle.py",
    "models/errors.py",
    "models/runtime.py",
    "monitoring/__init__.py",
    "monitoring/metrics.py",
    "project.py",
    "settings.py",
)

# BentoML would add the newest versions of its own choice; the lock has been chosen already, and needs no network.
BENTOFILE = """\
service: service.py
python:
  requirements_txt: requirements.txt
  lock_packages: false
"""

BUILD_TIMEOUT_S = 120
LAST_LINES = 15


def build(service: str, bundle: Path, *, project: Project, sabotage: Sabotage | None = None) -> Release:
    """Package a model's bundle for a service and return the release; what was built before is not built again.

    Raises:
        ServiceUnreadable: the service's folder, the bundle or the lock can't be used; says which and why.
        BuildFailed: ``bentoml build`` ended with an error.
    """
    config = ServiceConfig.load(project, service)
    manifest = _checked(config, bundle)
    store = project.home / "bentoml"
    # Not below the home: BentoML refuses to read a path with a hidden folder in it.
    with tempfile.TemporaryDirectory(prefix="slipway-build-") as folder:
        staged = Path(folder) / "src"
        _stage(staged, config, bundle, project=project, sabotage=sabotage)
        content = digest.of_tree(staged)
        bento = store / "bentos" / service / digest.short(content)
        if not (bento / "bento.yaml").is_file():
            built = _run_bentoml(staged, Path(folder) / "home", service=service, version=bento.name)
            _put(built, bento)
    return Release(
        service=service,
        model=manifest.model,
        model_version=manifest.model_version,
        digest=content,
        bento=bento.relative_to(project.home).as_posix(),
        run_id=manifest.run_id,
        feature_set=str(manifest.feature_set["hash"]),
        sabotage="" if sabotage is None else sabotage.value,
    )


def _checked(config: ServiceConfig, bundle: Path) -> Manifest:
    """Return the bundle's manifest, once it is sure that the service can keep its policy with it."""
    manifest = bundles.load(bundle).manifest
    where = f"service {config.service.name!r}"
    if manifest.model != config.service.model:
        msg = f"{where} serves model {config.service.model!r}, the bundle {bundle} holds {manifest.model!r}"
        raise ServiceUnreadable(msg)
    if not manifest.golden:
        msg = f"{where}: the bundle {bundle} has no golden rows, so nothing could show that it is served right"
        raise ServiceUnreadable(msg)
    layout = FeatureSetLayout.from_json(manifest.feature_set)
    if config.policy.missing is Missing.DEFAULT and (lacking := defaults_of(layout)[1]):
        msg = f'{where}: [contract] missing = "default", but {", ".join(lacking)} have no default in features/'
        raise ServiceUnreadable(msg)
    return manifest


def _stage(folder: Path, config: ServiceConfig, bundle: Path, *, project: Project, sabotage: Sabotage | None) -> None:
    """Write everything that the Bento shall hold; the same inputs give the same bytes."""
    lock = project.root / LOCK_FILE
    try:
        requirements = serving_requirements(lock.read_text(encoding="utf-8"))
    except FileNotFoundError:
        msg = f"{lock} does not exist; an image without locked packages could not be built again"
        raise ServiceUnreadable(msg) from None
    packed = folder / "bundle"
    packed.mkdir(parents=True)
    for name in (bundles.MODEL_FILE, bundles.MANIFEST_FILE):
        shutil.copyfile(bundle / name, packed / name)
    baked = Baked(service=config.service.name, policy=config.policy, sabotage=sabotage or "")
    (packed / FILE).write_bytes(baked.to_json())
    shutil.copyfile(config.folder / SERVICE_FILE, folder / SERVICE_FILE)
    (folder / "bentofile.yaml").write_text(BENTOFILE, encoding="utf-8")
    (folder / "requirements.txt").write_text(requirements, encoding="utf-8")
    code = Path(slipway.__file__).parent
    for module in SERVING_MODULES:
        target = folder / "slipway" / module
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(code / module, target)


def _run_bentoml(staged: Path, home: Path, *, service: str, version: str) -> Path:
    """Run ``bentoml build`` in a store of its own and return the folder of the built Bento."""
    bin_dir = str(Path(sys.executable).parent)
    home.mkdir()
    environment = os.environ | {
        "BENTOML_HOME": str(home),
        "BENTOML_DO_NOT_TRACK": "true",
        # BentoML wants uv on PATH and would install it otherwise.
        "PATH": f"{bin_dir}{os.pathsep}{os.environ.get('PATH', '')}",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [f"{bin_dir}/bentoml", "build", "--name", service, "--version", version, "--output", "tag", "."]
    try:
        done = subprocess.run(
            command, cwd=staged, env=environment, capture_output=True, text=True, check=False, timeout=BUILD_TIMEOUT_S
        )
    except subprocess.TimeoutExpired:
        msg = f"'bentoml build' of {service} took more than {BUILD_TIMEOUT_S} s and was stopped; run the command again"
        raise BuildFailed(msg) from None
    bento = home / "bentos" / service / version
    if done.returncode or not (bento / "bento.yaml").is_file():
        lines = "\n".join((done.stdout + done.stderr).strip().splitlines()[-LAST_LINES:])
        msg = f"'bentoml build' of {service} ended with {done.returncode}; its last lines:\n{lines}"
        raise BuildFailed(msg)
    return bento


def _put(built: Path, bento: Path) -> None:
    """Move a built Bento to its place at once, so that a half-copied one is never found there."""
    bento.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".arriving-", dir=bento.parent) as folder:
        arrived = Path(shutil.copytree(built, Path(folder) / bento.name))
        try:
            arrived.rename(bento)
        except OSError:
            # Another build of the same content was faster; then its folder is as good.
            if not (bento / "bento.yaml").is_file():
                raise
