"""What packaging adds to a model's bundle for the serving process: ``serving.json`` beside the model."""

from pathlib import Path

import msgspec

from slipway.bentos.errors import ServiceUnreadable
from slipway.bentos.policy import Policy

FILE = "serving.json"


class Baked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The service's name and policy at the time of packaging; ``sabotage`` is empty in every honest release."""

    service: str
    policy: Policy
    sabotage: str = ""

    def to_json(self) -> bytes:
        """Return indented JSON, the same bytes for the same content."""
        return msgspec.json.format(msgspec.json.encode(self, order="sorted"), indent=2) + b"\n"

    @classmethod
    def load(cls, bundle: Path) -> "Baked":
        """Read the file of a packaged bundle."""
        path = bundle / FILE
        try:
            return msgspec.json.decode(path.read_bytes(), type=cls)
        except (OSError, msgspec.DecodeError) as error:
            msg = f"{path}: {error}; serve a bundle that 'slipway ship' has packaged"
            raise ServiceUnreadable(msg) from None
