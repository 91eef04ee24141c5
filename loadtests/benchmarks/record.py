"""How a benchmark's result is kept: what was measured, when, on what, by which command, and the figures."""

import json
import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parents[1] / "results"


def keep(name: str, *, what: str, command: str, figures: dict[str, Any]) -> Path:
    """Write ``loadtests/results/<name>.json`` and print the figures that are no lists."""
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"
    result = {
        "what": what,
        "date": datetime.now(UTC).date().isoformat(),
        "machine": machine,
        "command": command,
        **figures,
    }
    RESULTS.mkdir(parents=True, exist_ok=True)
    file = RESULTS / f"{name}.json"
    file.write_text(json.dumps(result, indent=1) + "\n")
    sys.stdout.write(json.dumps({k: v for k, v in result.items() if not isinstance(v, list)}, indent=1) + "\n")
    return file
