"""Ports of a stack: well-known ones first, then free ones of its own range, chosen once."""

import hashlib
import socket
from collections.abc import Callable, Collection, Iterator
from itertools import count
from pathlib import Path

WELL_KNOWN = {
    "postgres": 5432,
    "redis": 6379,
    "mlflow": 5000,
    "edge": 8080,
    "edge_admin": 9901,
    "controller": 8090,
    "rtds": 18000,
}
# Below the ports that Linux (32768 up) and macOS (49152 up) give to outgoing connections, so that a port kept in
# stack.json isn't taken by one of them while the stack is down.
_FIRST, _SPAN = 20_000, 10_000


def candidates(name: str, *, home: Path) -> Iterator[int]:
    """Yield the ports to try for a name, without end: the well-known one, then some that depend on the home.

    Two checkouts begin at different places, so that they seldom meet even when both choose at the same moment.

    >>> from itertools import islice
    >>> list(islice(candidates("redis", home=Path("/a")), 2)) == [6379, next(candidates("x", home=Path("/a")))]
    False
    """
    if name in WELL_KNOWN:
        yield WELL_KNOWN[name]
    start = int.from_bytes(hashlib.sha256(f"{home}:{name}".encode()).digest()[:4])
    for step in count():
        yield _FIRST + (start + step) % _SPAN


def choose(name: str, *, home: Path, taken: Collection[int], is_free: Callable[[int], bool]) -> int:
    """Return the first candidate that no other name has and that is free.

    >>> choose("redis", home=Path("/a"), taken=(), is_free=lambda port: True)
    6379
    >>> 20_000 <= choose("redis", home=Path("/a"), taken=(6379,), is_free=lambda port: True) < 30_000
    True
    """
    return next(port for port in candidates(name, home=home) if port not in taken and is_free(port))


def is_free(port: int) -> bool:
    """Say whether a server could listen on a loopback port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: lingering connections don't count
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
