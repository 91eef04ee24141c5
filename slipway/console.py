"""Where output goes: data to standard output, words and progress to standard error."""

import json
import sys
from typing import Any

from rich.console import Console

console = Console(stderr=True, highlight=False)


def print_json(data: Any, *, indent: int | None = 2) -> None:
    """Write data as JSON to standard output; ``indent=None`` makes it one line."""
    sys.stdout.write(json.dumps(data, indent=indent, default=str, allow_nan=False) + "\n")
    sys.stdout.flush()
