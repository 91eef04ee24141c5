"""The local stack as ``slipway up`` means it: the servers, the tables of every package, the edge and the controller."""

from collections.abc import Callable
from importlib import resources
from typing import Any

from slipway.local import Program
from slipway.local.stack import Stack
from slipway.migrations import migrate
from slipway.project import Project
from slipway.rollouts.programs import programs
from slipway.settings import PostgresSettings


def up(project: Project, on_progress: Callable[[str], None]) -> None:
    """Start what isn't running; return when all of it is ready."""
    stack = Stack.of(project)

    def extra() -> list[Program]:
        settings = PostgresSettings.load(project)
        for package in with_migrations():
            if applied := migrate(package, settings):
                on_progress(f"{package}: {applied} migrations applied")
        return programs(project, stack)

    stack.up(extra, on_progress)


def down(project: Project) -> None:
    """Stop everything; a stack that isn't running is no error."""
    Stack.of(project).down()


def status(project: Project) -> list[dict[str, Any]]:
    """Return one line per server: ``name``, ``state``, ``pid``, ``url``, ``restarts``."""
    return [
        {"name": row.name, "state": row.state, "pid": row.pid, "url": row.url, "restarts": row.restarts}
        for row in Stack.of(project).status()
    ]


def pids(project: Project) -> list[int]:
    """Return the process ids of everything that the stack runs."""
    return [row.pid for row in Stack.of(project).status() if row.pid]


def log_tail(project: Project, name: str, *, lines: int) -> str:
    """Return the last lines of a server's log."""
    return Stack.of(project).log_tail(name, lines)


def with_migrations() -> list[str]:
    """Return the packages that keep tables in PostgreSQL."""
    package = resources.files("slipway")
    return sorted(folder.name for folder in package.iterdir() if (folder / "migrations").is_dir())
