"""Service level objectives: the table ``[slo]`` of a service's ``bento.toml``."""

from collections.abc import Mapping
from typing import Annotated, Any, Self

import msgspec

from slipway.errors import UsageError

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Milliseconds = Annotated[float, msgspec.Meta(gt=0)]


class InvalidSlo(UsageError):
    """The table ``[slo]`` has an unknown key, misses one or holds a value out of its range."""


class Slo(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a service promises: ``error_rate`` is a share of requests, ``min_rps`` counts good answers per second.

    ``per_try_timeout_ms`` is how long the edge waits for one host before it asks the stable one.
    """

    p99_ms: Milliseconds
    error_rate: Share
    min_rps: Annotated[float, msgspec.Meta(ge=0)]
    per_try_timeout_ms: Milliseconds = 500.0

    @classmethod
    def parse(cls, table: Mapping[str, Any], *, where: str = "bento.toml") -> Self:
        """Read the table.

        >>> Slo.parse({"p99_ms": 50, "error_rate": 0.001, "min_rps": 100}).per_try_timeout_ms
        500.0
        """
        try:
            return msgspec.convert(table, cls)
        except msgspec.ValidationError as error:
            msg = f"{where} [slo]: {error}; allowed keys are {', '.join(cls.__struct_fields__)}"
            raise InvalidSlo(msg) from None
