"""Puts raw files under DVC's version control: a repository without git, with a remote in a folder inside it.

Each version has a pointer file named after its content, ``<repository>/<name>/<hash>.csv.dvc``: ``dvc pull`` of it, in
that folder, brings the file back.
"""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from slipway.features.errors import DataVersionError
from slipway.features.quality import DataVersion

_TOLD_CHARACTERS = 400
# Nothing is reported to anyone, and nothing is written outside the repository (DVC's default is /var/tmp).
_CONFIG = """\
[core]
    no_scm = True
    analytics = False
    check_update = False
    remote = local
    site_cache_dir = {site_cache_dir}
['remote "local"']
    url = ../remote
"""


def save(path: Path, *, name: str, repository: Path) -> DataVersion:
    """Store a file's content in the repository and its remote; the same content twice is one version."""
    try:
        with path.open("rb") as file:
            # DVC names contents by MD5; it is no protection against forgery, and none is needed here.
            content = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        size = path.stat().st_size
        pointer = repository / name / f"{content}.csv.dvc"
        if not (pointer.is_file() and _stored(repository / "remote", content) == size):
            _add(path, pointer, repository)
    except OSError as error:
        raise DataVersionError(
            f"{path} could not be stored as a version in {repository}: {error}; free the disk or check permissions"
        ) from error
    return DataVersion(hash=f"md5:{content}", size_bytes=size, pointer=pointer.relative_to(repository).as_posix())


def _stored(remote: Path, content: str) -> int | None:
    stored = remote / "files" / "md5" / content[:2] / content[2:]
    return stored.stat().st_size if stored.is_file() else None


def _add(path: Path, pointer: Path, repository: Path) -> None:
    config = repository / ".dvc" / "config"
    config.parent.mkdir(parents=True, exist_ok=True)
    # Written each time, with the repository's place of now: the folder may have been moved.
    config.write_text(_CONFIG.format(site_cache_dir=repository.absolute() / ".dvc" / "tmp" / "site"), encoding="utf-8")
    copy = pointer.with_suffix("")
    copy.parent.mkdir(exist_ok=True)
    shutil.copyfile(path, copy)
    try:
        _add_and_push(copy, repository)
    finally:
        # The content is in DVC's cache and remote; the pointer is what stays.
        copy.unlink(missing_ok=True)


def _add_and_push(file: Path, repository: Path) -> None:
    # A process of its own: as a library DVC draws on this process's terminal and warns about its own dependencies.
    done = subprocess.run(
        [sys.executable, "-m", "slipway.features.dvc_process", file.absolute(), repository.absolute()],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise DataVersionError(
            f"DVC could not store {file.name} in {repository}: {' '.join(done.stderr.split())[-_TOLD_CHARACTERS:]}; "
            "free the disk, or remove that folder if it is broken"
        )
