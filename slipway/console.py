"""Where output goes: data to standard output, words and progress to standard error."""

import getpass
import json
import os
import sys
from typing import Any

from rich.console import Console

console = Console(stderr=True, highlight=False)


def print_json(data: Any, *, indent: int | None = 2) -> None:
    """Write data as JSON to standard output; ``indent=None`` makes it one line."""
    sys.stdout.write(json.dumps(data, indent=indent, default=str, allow_nan=False) + "\n")
    sys.stdout.flush()


def actor() -> str:
    """Return who acts: the CI's actor, else the operating system's user."""
    return os.environ.get("GITHUB_ACTOR") or getpass.getuser()
