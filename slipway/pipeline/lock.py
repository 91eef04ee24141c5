"""One ``ship`` at a time in a project: a lock that the operating system drops when its holder dies."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from slipway.pipeline.errors import AlreadyShipping


@contextmanager
def shipping(home: Path) -> Iterator[None]:
    """Hold the lock for the block; a second holder is refused at once, by name."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / "ship.lock").open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            msg = (
                f"another 'slipway ship' is running in this project ({holder}); one ships at a time: "
                "wait for it, or stop it with Ctrl-C there, then run this again"
            )
            raise AlreadyShipping(msg) from None
        file.truncate(0)
        file.write(json.dumps({"pid": os.getpid(), "since": datetime.now(UTC).isoformat(timespec="seconds")}))
        file.flush()
        yield
