"""A runner in a world whose seconds pass quickly by themselves, behind a real HTTP server."""

import threading
import time
from pathlib import Path

import uvicorn
from world import World

from slipway.project import Project
from slipway.rollouts.client import Controller
from slipway.rollouts.http_api import Endpoints, application
from slipway.rollouts.local_slots import free_port

TOKEN = "a token of the tests"  # noqa: S105  it guards nothing


class Served:
    """A world whose seconds pass quickly by themselves, behind a real HTTP server."""

    def __init__(self, world: World, root: Path) -> None:
        self.world, self.healthy, self.port = world, True, free_port()
        endpoints = Endpoints(
            world.runner, edge_url="http://edge", clock=lambda: world.now, healthy=lambda: self.healthy
        )
        app = application(endpoints, token=TOKEN)
        self.server = uvicorn.Server(uvicorn.Config(app, port=self.port, log_config=None))
        self.url = f"http://127.0.0.1:{self.port}"
        (root / "bentos" / "churn").mkdir(parents=True)
        (root / "bentos" / "churn" / "bento.toml").write_text(
            "[slo]\np99_ms = 100\nerror_rate = 0.01\nmin_rps = 1\nper_try_timeout_ms = 250\n"
        )
        self.project = Project(root=root, home=root / ".slipway", name="test")
        self.client = Controller(self.url, TOKEN, project=self.project)
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self.server.run), threading.Thread(target=self._pass_time)]
        for thread in self._threads:
            thread.start()
        while not self.server.started:
            time.sleep(0.01)

    def _pass_time(self) -> None:
        while not self._stop.wait(0.01):
            self.world.second()

    def close(self) -> None:
        self._stop.set()
        self.server.should_exit = True
        for thread in self._threads:
            thread.join()
