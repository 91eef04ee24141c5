"""Content digests: the one way Slipway names data, code and artifacts."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

PREFIX = "sha256:"


def of_bytes(content: bytes) -> str:
    """Return the digest of some bytes.

    >>> of_bytes(b"")[:19]
    'sha256:e3b0c44298fc'
    """
    return PREFIX + hashlib.sha256(content).hexdigest()


def of_json(value: Any) -> str:
    """Return the digest of a JSON-like value; the order of keys does not matter.

    >>> of_json({"a": 1, "b": 2}) == of_json({"b": 2, "a": 1})
    True
    """
    return of_bytes(json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode())


def of_file(path: Path) -> str:
    """Return the digest of a file's bytes, read in blocks."""
    with path.open("rb") as file:
        return PREFIX + hashlib.file_digest(file, "sha256").hexdigest()


def of_files(paths: Iterable[Path], *, root: Path) -> str:
    """Return one digest over files: their paths relative to ``root`` and their contents."""
    return of_json({path.relative_to(root).as_posix(): of_file(path) for path in sorted(paths)})


def of_tree(root: Path, *, leave_out: frozenset[str] = frozenset({"__pycache__"})) -> str:
    """Return one digest over every file below ``root``, without those below a folder or of a name in ``leave_out``."""
    files = (path for path in root.rglob("*") if path.is_file())
    return of_files((path for path in files if leave_out.isdisjoint(path.relative_to(root).parts)), root=root)


def short(digest: str) -> str:
    """Return the first twelve digits, for people and for names of files.

    >>> short("sha256:e3b0c44298fc1c149afbf4c8")
    'e3b0c44298fc'
    """
    return digest.removeprefix(PREFIX)[:12]
