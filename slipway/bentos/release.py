"""A release: which built Bento, with which model, may take a service's traffic."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import msgspec

from slipway import digest
from slipway.bentos.errors import ReleaseUnreadable


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """One built Bento, named by the digest of everything that it runs.

    ``bento`` is the folder of the built Bento, relative to ``project.home``; ``sabotage`` is empty except in a release
    that was broken on purpose. Two releases with the same ``digest`` behave the same.
    """

    service: str
    model: str
    model_version: int
    digest: str
    bento: str
    run_id: str
    feature_set: str
    sabotage: str = ""

    @property
    def name(self) -> str:
        """Return what people call it.

        >>> from slipway.bentos.release import Release
        >>> Release(service="churn", model="churn", model_version=2, digest="sha256:0123456789abcdef", bento="b",
        ...         run_id="r", feature_set="sha256:f").name
        'churn v2 (0123456789ab)'
        """
        broken = f", sabotaged: {self.sabotage}" if self.sabotage else ""
        return f"{self.model} v{self.model_version} ({digest.short(self.digest)}{broken})"

    def to_json(self) -> dict[str, Any]:
        """Return it as a flat JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read what :meth:`to_json` gave; raise :class:`ReleaseUnreadable` for a missing or wrong field."""
        try:
            return msgspec.convert(value, cls)
        except msgspec.ValidationError as error:
            msg = f"this is not a release: {error}; build one with 'slipway ship'"
            raise ReleaseUnreadable(msg) from None
