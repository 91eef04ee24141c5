"""The project: where a team's folders and Slipway's own state are."""

import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from slipway.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A checkout with a ``[tool.slipway]`` table in its ``pyproject.toml``.

    ``root`` holds what a team writes (``features/ models/ bentos/ loadtests/``); ``home`` (``.slipway/``, or
    ``SLIPWAY_HOME``) holds everything that Slipway makes: servers' data, caches, builds, releases, reports.
    """

    root: Path
    home: Path
    name: str

    @classmethod
    def find(cls, start: Path | None = None) -> Self:
        """Return the project that ``start`` (default: ``SLIPWAY_PROJECT``, else the current folder) lies in."""
        here = (start or Path(os.environ.get("SLIPWAY_PROJECT", "."))).resolve()
        for folder in (here, *here.parents):
            file = folder / "pyproject.toml"
            if file.is_file() and (table := load_toml(file).get("tool", {}).get("slipway")) is not None:
                home = Path(os.environ.get("SLIPWAY_HOME") or folder / ".slipway")
                return cls(root=folder, home=home.absolute(), name=str(table.get("name", folder.name)))
        msg = (
            f"no Slipway project at {here} or above it: no pyproject.toml there has a [tool.slipway] table; "
            "run the command inside a checkout, or set SLIPWAY_PROJECT"
        )
        raise UsageError(msg)

    @property
    def features_dir(self) -> Path:
        return self.root / "features"

    @property
    def models_dir(self) -> Path:
        return self.root / "models"

    @property
    def bentos_dir(self) -> Path:
        return self.root / "bentos"

    @property
    def loadtests_dir(self) -> Path:
        return self.root / "loadtests"

    def relative(self, path: Path) -> str:
        """Return ``path`` as a person in the project's root would type it."""
        return str(path.relative_to(self.root)) if path.is_relative_to(self.root) else str(path)


def load_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file; a missing or broken one is a usage error that names the file and the line."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        msg = f"{path} does not exist; it is needed here"
        raise UsageError(msg) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        msg = f"{path} can't be read as TOML: {error}; correct it and run the command again"
        raise UsageError(msg) from None
