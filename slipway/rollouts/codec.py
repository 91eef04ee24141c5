"""Between values and JSON: what events, the services file and HTTP carry."""

from typing import Any, TypeVar

import msgspec
from pydantic import BaseModel

from slipway.rollouts.plan import RolloutPlan

T = TypeVar("T")


def to_json(value: Any) -> Any:
    """Return a frozen value as plain JSON types; floats keep every digit.

    >>> to_json(RolloutPlan())["alpha"]
    0.01
    """
    return msgspec.json.decode(msgspec.json.encode(value, enc_hook=_encode))


def from_json(value: Any, kind: type[T]) -> T:
    """Read what :func:`to_json` gave back into its type; raise ``msgspec.ValidationError`` where it does not fit."""
    return msgspec.convert(value, kind, dec_hook=_decode)


def _encode(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    raise NotImplementedError  # msgspec's way to say: not my type


def _decode(kind: type, value: Any) -> Any:
    if issubclass(kind, RolloutPlan):
        return kind.parse(value)
    raise NotImplementedError
