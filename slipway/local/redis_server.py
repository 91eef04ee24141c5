"""Redis as a program of the stack."""

import socket
from pathlib import Path

from pydantic import SecretStr

from slipway.local.errors import NotReady
from slipway.local.files import write_private
from slipway.local.program import Program, Ready
from slipway.local.servers import Server

# A feature store of one machine: when it is full, it says so instead of dropping features in silence.
_MAX_MEMORY = "512mb"


def render_config(*, folder: Path, password: SecretStr) -> str:
    """Return the configuration: loopback, a password, every write on disk."""
    return "\n".join(
        (
            "bind 127.0.0.1",
            f"requirepass {password.get_secret_value()}",
            f'dir "{_escaped(str(folder))}"',
            "dbfilename dump.rdb",
            # Every write is on disk within a second: what was materialized is there after a stop, a kill, a restart.
            "appendonly yes",
            "appendfsync everysec",
            'save ""',
            f"maxmemory {_MAX_MEMORY}",
            "maxmemory-policy noeviction",
            "daemonize no",
            "set-proc-title no",  # it would overwrite the environment, by which orphans are found
            "",
        )
    )


def redis_program(server: Server, *, folder: Path, port: int, password: SecretStr) -> Program:
    """Write the configuration and return the program."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    config = folder / "redis.conf"
    write_private(config, render_config(folder=folder, password=password))
    return Program(
        name="redis",
        command=(str(server.path), str(config), "--port", str(port)),
        ready=Ready(tcp=port, check=lambda: ping(port, password)),
        start_timeout_s=20,
        url=f"redis://127.0.0.1:{port}",
    )


def ping(port: int, password: SecretStr, host: str = "127.0.0.1") -> None:
    """Log in and ask for a sign of life; raise ``NotReady`` with Redis' own words."""
    commands = f"AUTH {password.get_secret_value()}\r\n" if password.get_secret_value() else ""
    with socket.create_connection((host, port), timeout=2) as link, link.makefile("rb") as answers:
        link.sendall(f"{commands}PING\r\nQUIT\r\n".encode())
        for line in answers.read().decode(errors="replace").splitlines():
            if line.startswith("-"):
                msg = f"redis answers: {line[1:]}"
                raise NotReady(msg)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
