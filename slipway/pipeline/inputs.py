"""What each step's outputs are made from, as digests; nothing heavy is imported, so that a cached run is quick."""

import functools
from pathlib import Path
from typing import Any

import slipway
from slipway import digest
from slipway.bentos import releases
from slipway.errors import UsageError
from slipway.pipeline.context import Ship
from slipway.project import load_toml

PACKAGE = Path(slipway.__file__).parent
# The tables of model.toml that a step depends on: a new gate does not train again.
INGEST_TABLES = ("data",)
TRAIN_TABLES = ("data", "features", "split", "search")


def ingest(ship: Ship) -> str:
    """Digest of the raw file, its contract and the code that checks it."""
    return digest.of_json(
        {
            "data": digest.of_file(raw_file(ship)),
            "features": digest.of_file(ship.project.features_dir / f"{ship.options.model}.py"),
            "config": _tables(ship, INGEST_TABLES),
            "code": code("features"),
        }
    )


def features(ship: Ship) -> str:
    """Digest of what the training set is made from."""
    return digest.of_json({"ingest": ingest(ship), "config": _tables(ship, ("data", "features"))})


def train(ship: Ship) -> str:
    """Digest of what the search sees: training set, families, budget, code and locked libraries."""
    lock = ship.project.root / "requirements.lock"
    return digest.of_json(
        {
            "features": features(ship),
            "config": _tables(ship, TRAIN_TABLES),
            "families": digest.of_file(_model_folder(ship) / "train.py"),
            "code": code("models", "experiments"),
            "lock": digest.of_file(lock) if lock.is_file() else "",
        }
    )


def gate(ship: Ship) -> str:
    """Digest of what the gates judge: the trained models, their limits and the model to beat."""
    champion = releases.load(ship.project, ship.service).stable
    return digest.of_json(
        {
            "train": train(ship),
            "config": _config(ship),
            "champion": champion.digest if champion else "",
            "sabotage": ship.options.sabotage,
        }
    )


def register(ship: Ship) -> str:
    """Digest of what is registered."""
    return digest.of_json({"gate": gate(ship)})


def package(ship: Ship) -> str:
    """Digest of what goes into the Bento."""
    folder = ship.project.bentos_dir / ship.service
    return digest.of_json(
        {
            "register": register(ship),
            "service": digest.of_files([folder / "bento.toml", folder / "service.py"], root=folder),
            "code": code("bentos", "features", "models", "monitoring"),
            "sabotage": ship.options.sabotage,
        }
    )


def shipment(ship: Ship) -> str:
    """Digest of everything that decides which candidate a run ends up with, whatever is stable now."""
    return digest.of_json(
        {
            "train": train(ship),
            "config": _config(ship),
            "service": digest.of_tree(ship.project.bentos_dir / ship.service),
            "load": digest.of_file(ship.project.loadtests_dir / f"{ship.service}.py"),
            "code": code("bentos", "monitoring"),
        }
    )


def refuse_unknown(ship: Ship) -> None:
    """Refuse a model that has no folder, before anything else is done."""
    _model_folder(ship)


def raw_file(ship: Ship) -> Path:
    """Return the file to ship with: the user's, or the synthetic one."""
    return ship.options.data or synthetic_file(ship)


def synthetic_file(ship: Ship) -> Path:
    """Return where the synthetic set is kept; its name changes with the code that makes it."""
    generator = digest.of_file(PACKAGE / "features" / "synthetic.py")
    return ship.project.home / "data" / f"synthetic-{digest.short(generator)}.csv"


@functools.cache
def code(*packages: str) -> str:
    """Digest of sub-packages of the machinery, as far as they are code."""
    files = (file for name in packages for kind in ("*.py", "*.sql") for file in (PACKAGE / name).rglob(kind))
    return digest.of_files(files, root=PACKAGE)


def _model_folder(ship: Ship) -> Path:
    folder = ship.project.models_dir / ship.options.model
    if not (folder / "model.toml").is_file():
        known = ", ".join(sorted(path.parent.name for path in ship.project.models_dir.glob("*/model.toml")))
        raise UsageError(f"no model '{ship.options.model}': {folder}/model.toml does not exist; there are: {known}")
    return folder


def _config(ship: Ship) -> dict[str, Any]:
    return load_toml(_model_folder(ship) / "model.toml")


def _tables(ship: Ship, names: tuple[str, ...]) -> dict[str, Any]:
    config = _config(ship)
    return {name: config.get(name) for name in names}
