"""Reading what steps left behind: typed, and never past a broken file in silence."""

from pathlib import Path
from typing import Any, TypeVar

import msgspec

from slipway.pipeline.report.errors import MaterialUnreadable

T = TypeVar("T")


def read(path: Path, kind: type[T]) -> T:
    """Read a JSON file of a known shape; unknown fields are left alone, a missing or wrong one is named."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        raise MaterialUnreadable(f"{path} can't be read: {error.strerror}; {AGAIN}", missing=missing) from None
    except msgspec.DecodeError as error:
        raise MaterialUnreadable(f"{path} does not hold what it should: {error}; {AGAIN}") from None


def write(path: Path, value: Any) -> Path:
    """Write a value as a JSON file that :func:`read` gives back."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(value), indent=1) + b"\n")
    return path


AGAIN = "run 'slipway ship' again with --force to make it anew"
