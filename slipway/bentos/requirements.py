"""The serving image's part of the lock: packages with their hashes, and nothing that only training needs. Pure text."""

import re
from collections.abc import Iterable

from slipway.bentos.errors import ServiceUnreadable

# What ``uv pip compile`` writes behind a package that the project itself asks for.
BASE = "slipway (pyproject.toml)"
SERVE = "slipway (pyproject.toml:serve)"

PACKAGE = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)\s*==")


def serving_requirements(lock: str, *, asked_by: Iterable[str] = (BASE, SERVE)) -> str:
    """Return the blocks of ``lock`` that are reached from the base and ``serve`` dependencies, as they stand.

    A lock says behind each package which ones need it (``# via``); following that backwards needs no index and no
    network.

    >>> lock = '''
    ... a==1
    ...     # via slipway (pyproject.toml:serve)
    ... b==2
    ...     # via
    ...     #   a
    ...     #   c
    ... c==3
    ...     # via slipway (pyproject.toml:train)
    ... '''
    >>> [line for line in serving_requirements(lock).splitlines() if "==" in line]
    ['a==1', 'b==2']
    """
    blocks = _blocks(lock)
    wanted = {name for name, _, parents in blocks if not parents.isdisjoint(asked_by)}
    if not wanted:
        msg = f"requirements.lock names nothing that {SERVE!r} asks for; compile it again with its annotations"
        raise ServiceUnreadable(msg)
    while found := {name for name, _, parents in blocks if name not in wanted and not wanted.isdisjoint(parents)}:
        wanted |= found
    return "".join(text for name, text, _ in blocks if name in wanted)


def _blocks(lock: str) -> list[tuple[str, str, frozenset[str]]]:
    """Return each package's name, its lines, and the names of what needs it."""
    blocks: list[tuple[str, list[str]]] = []
    for line in lock.splitlines(keepends=True):
        if match := PACKAGE.match(line):
            blocks.append((match["name"].lower(), [line]))
        elif blocks and line.startswith((" ", "\t")):
            blocks[-1][1].append(line)
    return [(name, "".join(lines), frozenset(_parents(lines))) for name, lines in blocks]


def _parents(lines: Iterable[str]) -> Iterable[str]:
    comments = (line.strip() for line in lines)
    for comment in comments:
        if comment.startswith("#"):
            parent = comment.removeprefix("#").strip().removeprefix("via").strip()
            if parent:
                yield parent
