"""The application as a BentoML service: BentoML brings the process and its supervisor, health checks and the bundle."""

import os
import signal
from types import FrameType
from typing import Any

import bentoml

from slipway.bentos.application import Application
from slipway.bentos.asgi import AsgiApp, Receive, Scope, Send
from slipway.bentos.golden import PREDICT

# BentoML arms a timer for each request and never cancels it: a short time limit keeps the heap of timers small.
REQUEST_TIMEOUT_S = 1.0


def bento_service(name: str, application: Application) -> Any:
    """Wrap an application for BentoML; a service's module assigns the result to a variable, where BentoML finds it.

    The application is mounted at ``/``; predictions are answered before BentoML's router and request context, which
    they do not need and which cost half as much again as the whole rest of an echo (11,700 against 7,400 a second).
    """

    class Served:
        @bentoml.on_deployment  # type: ignore[untyped-decorator]
        @staticmethod
        def watch() -> None:
            end_with_a_broken_worker()

        @bentoml.on_startup  # type: ignore[untyped-decorator]
        async def start(self) -> None:
            await application.startup()

        @bentoml.on_shutdown  # type: ignore[untyped-decorator]
        async def stop(self) -> None:
            await application.shutdown()

        async def __is_ready__(self) -> bool:
            return application.ready

    service = bentoml.service(
        name=name,
        workers=1,  # workers share one socket, and one can starve another: more containers instead
        traffic={"timeout": REQUEST_TIMEOUT_S},
        metrics={"enabled": False},  # raw paths would become labels; ours are at /metrics
        logging={"access": {"enabled": False}},  # the edge keeps the access log
        tracing={"excluded_urls": ["."]},
    )(bentoml.asgi_app(application, path="/")(Served))
    service.add_asgi_middleware(Shortcut, application=application)
    return service


def end_with_a_broken_worker() -> None:
    """End BentoML's supervisor as soon as a child of it died; called in the supervisor, before it starts workers.

    It looks for dead workers every ten seconds only, and meanwhile the socket that it holds takes connections that
    nobody will answer. Whoever keeps this program starts it again.
    """

    def look(_number: int, _frame: FrameType | None) -> None:
        ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        # A worker that was asked to end exits with 0; the supervisor waits for that itself.
        if ended is not None and (ended.si_code != os.CLD_EXITED or ended.si_status):
            os.kill(os.getpid(), signal.SIGTERM)

    signal.signal(signal.SIGCHLD, look)


class Shortcut:
    """ASGI middleware that hands predictions to the application directly."""

    def __init__(self, app: AsgiApp, application: Application) -> None:
        self._app = app
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        shortcut = scope["type"] == "http" and scope["path"] == PREDICT
        await (self._application if shortcut else self._app)(scope, receive, send)
