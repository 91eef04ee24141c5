"""Draining: at SIGTERM a process first tells its clients to go elsewhere, and ends when they had the time to.

A server that closes at once cuts off connections on which a client is just sending a request. So for ``DRAIN_S`` the
process goes on answering, says ``connection: close`` with every answer and is no longer ready; then it stops as its
server would have done at once, which waits for what is still under way.
"""

import asyncio
import logging
import signal
from collections.abc import Callable
from types import FrameType

logger = logging.getLogger(__name__)

# Idle keep-alive connections of the edge and of load generators are used again within a second at any real load.
DRAIN_S = 1.0


class Drain:
    """Delays what the server does at SIGTERM; ``on_begin`` is called in the event loop when the signal comes."""

    def __init__(self, on_begin: Callable[[], None]) -> None:
        self.begun = False
        self._on_begin = on_begin

    def install(self) -> None:
        """Take over SIGTERM from the server that runs this event loop; outside a main thread there is no signal."""
        server = signal.getsignal(signal.SIGTERM)
        if not callable(server):
            return
        loop = asyncio.get_running_loop()

        def begin() -> None:
            if self.begun:
                return
            self.begun = True
            logger.info("serving.drain_begun")
            self._on_begin()
            loop.call_later(DRAIN_S, stop)

        def stop() -> None:
            frame: FrameType | None = None
            server(signal.SIGTERM, frame)

        loop.add_signal_handler(signal.SIGTERM, begin)
