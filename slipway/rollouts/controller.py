"""The controller, a process of the stack: ``python -m slipway.rollouts.controller --http HOST:PORT --rtds HOST:PORT``.

It holds nothing that a ``kill -9`` could lose: services are in a file, rollouts in the journal, processes with the
process manager, and the edge goes back to stable by itself when nobody renews its weights.
"""

import argparse
import json
import logging
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from threading import Event, Thread

import uvicorn

from slipway.local.passwords import password
from slipway.local.processes import ProcessManager
from slipway.monitoring.journal import JournalConflict, PostgresJournal, Spool
from slipway.project import Project
from slipway.rollouts import envoy
from slipway.rollouts.envoy_edge import EnvoyEdge
from slipway.rollouts.freezes import FreezeBook
from slipway.rollouts.http_api import Endpoints, application
from slipway.rollouts.local_releases import LocalReleases
from slipway.rollouts.local_slots import LocalSlots
from slipway.rollouts.rtds import WeightServer
from slipway.rollouts.runner import Runner
from slipway.rollouts.services import FileServiceBook
from slipway.rollouts.settings import EDGE_FOLDER, TOKEN_NAME, RolloutsSettings
from slipway.settings import MlflowSettings, PostgresSettings

log = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0
# A loop that has not come round for this long is stuck; the edge has dropped its weights by then.
STUCK_S = 10.0
LOG_BYTES = 256 * 1024 * 1024


class Loop:
    """Looks every second until stopped; a failed look is logged and the next one comes."""

    def __init__(self, runner: Runner, *, after: Callable[[], object]) -> None:
        self._runner, self._after = runner, after
        self._stop = Event()
        self._looked_at_s = time.monotonic()
        self.failures = 0
        self.was_replaced = False

    @property
    def is_healthy(self) -> bool:
        return time.monotonic() - self._looked_at_s < STUCK_S

    def run(self) -> None:
        """Run until :meth:`stop`, or until another controller has written to the journal."""
        due_s = time.monotonic()
        while not self._stop.wait(max(0.0, due_s - time.monotonic())):
            # Never two looks at once to catch up: the time between them is evidence too.
            due_s = max(due_s + LOOK_EVERY_S, time.monotonic())
            try:
                self._runner.look()
                self._runner.when_idle(self._after)
                self._looked_at_s = time.monotonic()
            except JournalConflict:
                log.exception("controller.replaced")
                self.was_replaced = True
                return
            except Exception:  # the loop's boundary: weights that are not renewed expire at the edge
                self.failures += 1
                log.exception("controller.look_failed", extra={"failures": self.failures})

    def stop(self) -> None:
        self._stop.set()


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, event, and the fields that were given with it."""

    KNOWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message", "taskName"}

    def format(self, record: logging.LogRecord) -> str:
        fields = {key: value for key, value in vars(record).items() if key not in self.KNOWN}
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {"at": at, "level": record.levelname.lower(), "event": record.getMessage(), **fields}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until told to stop; 1 when another controller took over."""
    parser = argparse.ArgumentParser(prog="slipway.rollouts.controller", description=__doc__)
    parser.add_argument("--http", required=True, metavar="HOST:PORT", help="where to answer 'slipway rollouts'")
    parser.add_argument("--rtds", required=True, metavar="HOST:PORT", help="where to serve weights to the edge")
    options = parser.parse_args(arguments)
    _log_to_stderr()
    project = Project.find()
    settings = RolloutsSettings.load(project)
    with ExitStack() as closers:
        weights = WeightServer(resource=envoy.RTDS_RESOURCE, address=options.rtds)
        weights.start()
        closers.callback(weights.stop)
        edge = closers.enter_context(
            closing(EnvoyEdge(project.home / EDGE_FOLDER, admin_url=settings.edge_admin_url, weights=weights))
        )
        runner = Runner(
            edge=edge,
            slots=closers.enter_context(closing(LocalSlots(project, ProcessManager(project.home)))),
            releases=closers.enter_context(closing(LocalReleases(project, MlflowSettings.load(project).tracking_uri))),
            journal=Spool(
                closers.enter_context(closing(PostgresJournal(PostgresSettings.load(project)))),
                project.home / EDGE_FOLDER / "spool.jsonl",
            ),
            book=FileServiceBook(project.home / EDGE_FOLDER / "services.json"),
            clock=lambda: datetime.now(UTC),
            freezes=FreezeBook(project.home / EDGE_FOLDER / "freezes.json"),
        )
        loop = Loop(runner, after=lambda: edge.rotate_log(above_bytes=LOG_BYTES))
        endpoints = Endpoints(
            runner,
            edge_url=settings.edge_url,
            clock=lambda: datetime.now(UTC),
            healthy=lambda: loop.is_healthy,
        )
        app = application(endpoints, token=password(project.home, TOKEN_NAME).get_secret_value())
        host, _, port = options.http.rpartition(":")
        server = uvicorn.Server(uvicorn.Config(app, host=host, port=int(port), log_config=None, access_log=False))
        looking = Thread(target=_look_until_done, args=(loop, server), name="loop", daemon=True)
        looking.start()
        server.run()
        loop.stop()
        looking.join(timeout=5)
        return 1 if loop.was_replaced else 0


def _look_until_done(loop: Loop, server: uvicorn.Server) -> None:
    try:
        loop.run()
    finally:
        server.should_exit = True


def _log_to_stderr() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for chatty in ("httpx", "httpcore", "uvicorn"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


if __name__ == "__main__":
    sys.exit(main())
