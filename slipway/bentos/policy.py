"""What a service's team decides about its requests: the table ``[contract]`` of ``bento.toml``."""

from enum import StrEnum
from typing import Annotated

import msgspec

Count = Annotated[int, msgspec.Meta(ge=1)]


class Missing(StrEnum):
    """What happens to a row whose entity has no stored features, where the request does not give them all."""

    FAIL = "fail"
    DEFAULT = "default"


class Stale(StrEnum):
    """What happens to a row whose stored features are past their time to live."""

    FAIL = "fail"
    PASS = "pass"  # noqa: S105  a verdict, not a password


class Policy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits of a request and what to do about features that are not there.

    ``waiting_rows`` bounds the queue: at 10 µs a row 5,000 rows are 50 ms of work, and a client that would wait longer
    is better served by 503 at once.
    """

    missing: Missing = Missing.FAIL
    stale: Stale = Stale.PASS
    max_rows: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 500
    max_bytes: Count = 1_048_576
    features_deadline_ms: Count = 100
    waiting_rows: Count = 5_000
