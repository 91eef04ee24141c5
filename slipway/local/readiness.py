"""Asking a program whether it is ready."""

import http.client
import socket
from collections.abc import Iterable
from urllib.parse import urlsplit

import psutil

from slipway.local.errors import LocalError, NotReady
from slipway.local.program import Ready

_PROBE_TIMEOUT_S = 2


def probe(ready: Ready, *, pid: int | None) -> None:
    """Raise ``NotReady`` with the reason unless everything that ``ready`` names is there.

    With ``pid``, the ports must be held by that process or one below it; asked first, because a stranger on the port
    may accept a connection and then say nothing.
    """
    if pid is not None and (ports := list(ports_of(ready))):
        held = listening_ports(pid)
        for port in ports:
            if held is not None and port not in held:
                msg = f"it does not listen on port {port}"
                raise NotReady(msg)
    if ready.tcp is not None:
        _connect(ready.tcp)
    if ready.http is not None:
        _get(ready.http)
    if ready.check is not None:
        _check(ready)


def ports_of(ready: Ready | None) -> Iterable[int]:
    """Yield the loopback ports that a readiness check names.

    >>> list(ports_of(Ready(tcp=5432, http="http://127.0.0.1:5000/health")))
    [5432, 5000]
    """
    if ready is None:
        return
    if ready.tcp is not None:
        yield ready.tcp
    if ready.http is not None and (port := urlsplit(ready.http).port) is not None:
        yield port


def listening_ports(pid: int) -> frozenset[int] | None:
    """Return the TCP ports that a process and its descendants listen on; ``None`` where we may not see that."""
    found: set[int] = set()
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return frozenset()
    for member in family:
        try:
            found |= {c.laddr.port for c in member.net_connections("tcp") if c.status == psutil.CONN_LISTEN}
        except psutil.NoSuchProcess:
            continue
        except psutil.AccessDenied:
            return None
    return frozenset(found)


def _connect(port: int) -> None:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=_PROBE_TIMEOUT_S).close()
    except OSError as error:
        msg = f"127.0.0.1:{port}: {error.strerror or error}"
        raise NotReady(msg) from None


def _get(url: str) -> None:
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "127.0.0.1", parts.port, timeout=_PROBE_TIMEOUT_S)
    try:
        connection.request("GET", parts.path or "/")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        msg = f"GET {url}: {error}"
        raise NotReady(msg) from None
    finally:
        connection.close()
    if status != http.HTTPStatus.OK:
        msg = f"GET {url} answered {status}"
        raise NotReady(msg)


def _check(ready: Ready) -> None:
    if ready.check is None:
        return
    try:
        answer = ready.check()
    except LocalError:  # "not yet", or that waiting is of no use; some are OSErrors too
        raise
    except OSError as error:
        raise NotReady(str(error)) from None
    if answer is False:
        msg = "its readiness check says no"
        raise NotReady(msg)
