"""How a service is tested under load: the table ``[load]`` of ``bento.toml``."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self

import msgspec

from slipway.loadtests.errors import LoadProfileUnreadable
from slipway.project import Project, load_toml

Positive = Annotated[float, msgspec.Meta(gt=0)]


class LoadProfile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``users`` at once, each asking at a constant pace, ``rps`` requests a second together, for ``duration_s``."""

    users: Annotated[int, msgspec.Meta(ge=1, le=5_000)] = 50
    rps: Positive = 300.0
    duration_s: Annotated[float, msgspec.Meta(ge=1)] = 10.0

    @classmethod
    def parse(cls, table: Mapping[str, Any], *, where: str = "bento.toml") -> Self:
        """Read the table.

        >>> LoadProfile.parse({"users": 10, "rps": 100}).duration_s
        10.0
        """
        try:
            return msgspec.convert(table, cls)
        except msgspec.ValidationError as error:
            msg = f"{where} [load]: {error}; allowed keys are {', '.join(cls.__struct_fields__)}"
            raise LoadProfileUnreadable(msg) from None

    @classmethod
    def load(cls, project: Project, service: str) -> Self:
        """Read the profile of a service; without a table it is the default one."""
        path = project.bentos_dir / service / "bento.toml"
        return cls.parse(load_toml(path).get("load", {}), where=str(path))

    @property
    def rps_per_user(self) -> float:
        return self.rps / self.users


def read_ids(path: Path) -> list[str]:
    """Return the entity ids of a file, one a line; a file with none is refused."""
    try:
        ids = path.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        msg = f"the file of entity ids {path} can't be read: {error}"
        raise LoadProfileUnreadable(msg) from None
    if not ids:
        msg = f"the file of entity ids {path} is empty; it needs one id of a held-out entity a line"
        raise LoadProfileUnreadable(msg)
    return ids
