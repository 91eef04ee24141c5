"""Imports what a team wrote in ``models/<name>/train.py``."""

import importlib.util
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path

from slipway.models.errors import InvalidModelConfig
from slipway.models.families import Family
from slipway.project import Project


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainScript:
    """The families to search, and the plain one that is installed when there is no model yet."""

    search: tuple[Family, ...]
    baseline: Family


def load(project: Project, name: str) -> TrainScript:
    """Import ``models/<name>/train.py`` and check its ``SEARCH`` and ``BASELINE``."""
    file = project.models_dir / name / "train.py"
    found = _import(file)
    search, baseline = found.get("SEARCH"), found.get("BASELINE")
    if not (isinstance(search, tuple) and search and all(isinstance(family, Family) for family in search)):
        msg = f"{file}: SEARCH must be a tuple of families, such as (logistic_regression(), xgboost()); seen {search!r}"
        raise InvalidModelConfig(msg)
    if not isinstance(baseline, Family):
        msg = f"{file}: BASELINE must be a family, such as logistic_regression(); seen {baseline!r}"
        raise InvalidModelConfig(msg)
    names = [family.name for family in search]
    if len(set(names)) < len(names):
        msg = f"{file}: SEARCH names a family twice: {names}; give each one its own name"
        raise InvalidModelConfig(msg)
    return TrainScript(search=search, baseline=baseline)


def _import(file: Path) -> dict[str, object]:
    if not file.is_file():
        msg = f"{file} does not exist; it names the families to search in SEARCH and the plain one in BASELINE"
        raise InvalidModelConfig(msg)
    name = f"slipway_project_models_{file.parent.name}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        msg = f"{file} is not a Python file"
        raise InvalidModelConfig(msg)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # a team's file may raise anything; its line is what the team needs to see
        del sys.modules[name]
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file)]
        line = error.lineno if isinstance(error, SyntaxError) else frames[-1].lineno if frames else None
        msg = f"{file}, line {line}: {type(error).__name__}: {error}; correct the file and run the command again"
        raise InvalidModelConfig(msg) from error
    return vars(module)
