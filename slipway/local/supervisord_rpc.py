"""Talking to supervisord over its private socket."""

import contextlib
import socket
import xmlrpc.client
from collections.abc import Iterator
from typing import Any

from supervisor.xmlrpc import Faults, SupervisorTransport

from slipway.local.daemon import Daemon
from slipway.local.errors import NotRunning, ProgramFailed, UnknownProgram
from slipway.local.supervisord_conf import socket_path


def answers(daemon: Daemon) -> bool:
    """Say whether supervisord accepts connections."""
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(5)
        try:
            link.connect(str(socket_path(daemon.run_dir)))
        except OSError:
            return False
    return True


@contextlib.contextmanager
def connected(daemon: Daemon, name: str) -> Iterator[Any]:
    """Yield supervisord's XML-RPC interface; what it refuses about the program ``name`` becomes an error of ours."""
    transport = SupervisorTransport(serverurl=f"unix://{socket_path(daemon.run_dir)}")
    try:
        yield xmlrpc.client.ServerProxy("http://localhost", transport=transport)
    except xmlrpc.client.Fault as fault:
        if fault.faultCode == Faults.BAD_NAME:
            msg = f"no program {name!r} in the local stack; 'slipway status' lists them"
            raise UnknownProgram(msg) from None
        msg = f"supervisord refused {name}: {fault.faultString}"
        raise ProgramFailed(msg) from None
    except (OSError, xmlrpc.client.ProtocolError) as error:
        msg = f"supervisord, which keeps the local stack, doesn't answer ({error}); run 'slipway up' to start it again"
        raise NotRunning(msg) from None
    finally:
        transport.close()


@contextlib.contextmanager
def tolerating(*codes: int) -> Iterator[None]:
    """Let the refusals ``codes`` pass."""
    try:
        yield
    except xmlrpc.client.Fault as fault:
        if fault.faultCode not in codes:
            raise
