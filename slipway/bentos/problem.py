"""Answers that say no: ``application/problem+json`` of RFC 9457."""

import msgspec

from slipway.bentos.errors import BentosError

CONTENT_TYPE = b"application/problem+json"


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One problem; ``field`` is the path of the value at fault, ``retry_after_s`` when to ask again."""

    kind: str = msgspec.field(name="type")
    title: str
    status: int
    detail: str
    field: str = ""
    request_id: str = ""
    retry_after_s: int = 0


class Refused(BentosError):
    """A request is answered with a problem."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


def refused(status: int, kind: str, title: str, detail: str, *, field: str = "", retry_after_s: int = 0) -> Refused:
    """Return the error to raise.

    >>> refused(422, "unknown-entity", "Unknown entity", "no features of 'x'", field="rows[0]").problem.kind
    'urn:slipway:problem:unknown-entity'
    """
    return Refused(
        Problem(
            kind=f"urn:slipway:problem:{kind}",
            title=title,
            status=status,
            detail=detail,
            field=field,
            retry_after_s=retry_after_s,
        )
    )
