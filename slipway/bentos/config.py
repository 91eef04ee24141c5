"""A service's folder: ``bentos/<service>/`` with ``bento.toml`` and ``service.py``."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar

import msgspec

from slipway.bentos.errors import ServiceUnreadable
from slipway.bentos.policy import Policy
from slipway.project import Project, load_toml

CONFIG_FILE = "bento.toml"
SERVICE_FILE = "service.py"


class ServiceTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The table ``[service]``: a name that is safe in URLs, metrics and file names, and the model behind it."""

    # A Bento's name, an Envoy cluster and a Prometheus label all accept this form.
    name: Annotated[str, msgspec.Meta(pattern="^[a-z][a-z0-9_]{0,40}$")]
    model: Annotated[str, msgspec.Meta(min_length=1)]
    owner: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceConfig:
    """What a team wrote about one service; ``tables`` holds the tables that other packages read."""

    folder: Path
    service: ServiceTable
    policy: Policy
    tables: Mapping[str, Any]

    @classmethod
    def load(cls, project: Project, service: str) -> Self:
        """Read ``bentos/<service>/bento.toml``; raise :class:`ServiceUnreadable` with the key that is wrong."""
        folder = project.bentos_dir / service
        if not (folder / SERVICE_FILE).is_file():
            known = ", ".join(sorted(path.parent.name for path in project.bentos_dir.glob(f"*/{SERVICE_FILE}")))
            msg = f"no service {service!r}: {folder / SERVICE_FILE} does not exist; services here: {known or 'none'}"
            raise ServiceUnreadable(msg)
        path = folder / CONFIG_FILE
        tables = load_toml(path)
        config = cls(
            folder=folder,
            service=_convert(tables.get("service", {}), ServiceTable, f"{path} [service]"),
            policy=_convert(tables.get("contract", {}), Policy, f"{path} [contract]"),
            tables=tables,
        )
        if config.service.name != service:
            msg = f"{path} [service]: name is {config.service.name!r}, the folder is {service!r}; give both one name"
            raise ServiceUnreadable(msg)
        return config


Table = TypeVar("Table", bound=msgspec.Struct)


def _convert(table: Any, kind: type[Table], where: str) -> Table:
    try:
        return msgspec.convert(table, kind)
    except msgspec.ValidationError as error:
        msg = f"{where}: {error}; allowed keys are {', '.join(kind.__struct_fields__)}"
        raise ServiceUnreadable(msg) from None
