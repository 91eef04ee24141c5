"""What code a run was made from: the checkout's commit and its locked libraries."""

import subprocess

from slipway import digest
from slipway.project import Project

LOCK_FILE = "requirements.lock"
TIMEOUT_S = 10


def of_checkout(project: Project) -> dict[str, str]:
    """Return ``git_commit`` (with ``+changes`` where the work tree differs from it) and ``lock_hash``."""
    lock = project.root / LOCK_FILE
    return {"git_commit": commit(project), "lock_hash": digest.of_file(lock) if lock.is_file() else "no lock file"}


def commit(project: Project) -> str:
    """Return the commit that the project's root is at, or say that it is in no repository."""
    head = _git(project, "rev-parse", "HEAD")
    if not head:
        return "not in a git repository"
    return f"{head}+changes" if _git(project, "status", "--porcelain") else head


def _git(project: Project, *words: str) -> str:
    try:
        done = subprocess.run(
            ["git", *words], cwd=project.root, capture_output=True, text=True, check=False, timeout=TIMEOUT_S
        )
    except FileNotFoundError:
        return ""
    return done.stdout.strip()
