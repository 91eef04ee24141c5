"""Locust's own command line, which at its end also writes every failure and exception as JSON.

Locust's CSV of failures is a second old when it ends, and its JSON of statistics has none. Loaded by a Locust process
only.
"""

import os
from pathlib import Path
from typing import Any

import msgspec
from locust import events
from locust.env import Environment
from locust.main import main
from locust.stats import StatsError

OUTCOME = "SLIPWAY_LOAD_OUTCOME"


@events.init.add_listener  # type: ignore[untyped-decorator]
def _on_init(environment: Environment, **_: Any) -> None:
    def write(**_: Any) -> None:
        failures = [
            {"words": StatsError.parse_error(error.error), "count": error.occurrences}
            for error in environment.stats.errors.values()
        ]
        raised = environment.runner.exceptions.values() if environment.runner else ()
        exceptions = [{"words": error["traceback"], "count": error["count"]} for error in raised]
        content = msgspec.json.encode({"failures": failures, "exceptions": exceptions})
        Path(os.environ[OUTCOME]).write_bytes(content)

    environment.events.quit.add_listener(write)  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()  # type: ignore[no-untyped-call]
