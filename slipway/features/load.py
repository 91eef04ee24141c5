"""Finds and imports what a team wrote in ``features/<domain>.py``."""

import importlib.util
import sys
import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Self, TypeVar

from slipway.features.definitions import Entity, FeatureSet, RowView, Source
from slipway.features.errors import DefinitionError, UnknownDefinitionError
from slipway.project import Project

Named = TypeVar("Named", Source, Entity, RowView, FeatureSet)


@dataclass(frozen=True, slots=True, kw_only=True)
class Definitions:
    """Everything that some files define, by kind."""

    files: tuple[Path, ...]
    sources: tuple[Source, ...]
    entities: tuple[Entity, ...]
    views: tuple[RowView, ...]
    feature_sets: tuple[FeatureSet, ...]

    @classmethod
    def of(cls, modules: Iterable[tuple[Path, ModuleType]]) -> Self:
        """Collect the definitions of modules; two different ones of a kind with one name are refused."""
        modules = tuple(modules)
        found = [(path, value) for path, module in modules for value in vars(module).values()]
        return cls(
            files=tuple(path for path, _ in modules),
            sources=_unique("source", Source, found),
            entities=_unique("entity", Entity, found),
            views=_unique("view", RowView, found),
            feature_sets=_unique("feature set", FeatureSet, found),
        )

    def source(self, name: str) -> Source:
        return self._named("source", name, self.sources)

    def entity(self, name: str) -> Entity:
        return self._named("entity", name, self.entities)

    def view(self, name: str) -> RowView:
        return self._named("view", name, self.views)

    def feature_set(self, name: str) -> FeatureSet:
        return self._named("feature set", name, self.feature_sets)

    def _named(self, kind: str, name: str, among: tuple[Named, ...]) -> Named:
        for definition in among:
            if definition.name == name:
                return definition
        names = [definition.name for definition in among]
        near = get_close_matches(name, names, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise UnknownDefinitionError(
            f"no {kind} {name!r} in {[str(file) for file in self.files]}; there are {names}{hint}"
        )


def load_definitions(project: Project, *domains: str) -> Definitions:
    """Import ``features/<domain>.py`` of the given domains, or of all when none is given."""
    folder = project.features_dir
    files = [folder / f"{domain}.py" for domain in domains] or sorted(folder.glob("[!_]*.py"))
    if not files:
        raise UnknownDefinitionError(f"{folder} has no definitions; write a {folder / 'DOMAIN.py'}")
    return Definitions.of((file, _import(file)) for file in files)


def _import(file: Path) -> ModuleType:
    if not file.is_file():
        there = sorted(path.stem for path in file.parent.glob("[!_]*.py"))
        raise UnknownDefinitionError(f"{file} does not exist; there are definitions for {there}")
    name = f"slipway_project_features_{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise DefinitionError(f"{file} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    # Dataclasses of the file look their module up by name while it is executed.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except DefinitionError:
        raise
    except Exception as error:  # a team's file may raise anything; its last line is what the team needs to see
        del sys.modules[name]
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file)]
        line = error.lineno if isinstance(error, SyntaxError) else frames[-1].lineno if frames else None
        raise DefinitionError(
            f"{file}, line {line}: {type(error).__name__}: {error}; correct the file and run the command again"
        ) from error
    return module


def _unique(kind: str, of: type[Named], found: Iterable[tuple[Path, object]]) -> tuple[Named, ...]:
    by_name: dict[str, tuple[Path, Named]] = {}
    for path, value in found:
        if not isinstance(value, of):
            continue
        first, known = by_name.setdefault(value.name, (path, value))
        if known != value:
            raise DefinitionError(
                f"{kind} {value.name!r} is defined twice with different contents: {first} and {path}; rename one"
            )
    return tuple(value for _, value in by_name.values())
