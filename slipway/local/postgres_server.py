"""PostgreSQL as a program of the stack."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import psutil
import psycopg
from psycopg import sql
from pydantic import SecretStr

from slipway.local.errors import DataUnreadable, LocalError, NotReady
from slipway.local.files import write_private
from slipway.local.postgres_account import Account
from slipway.local.program import Program, Ready
from slipway.local.servers import Server
from slipway.settings import PostgresSettings

# Small, because training runs beside it; the JIT compiler alone would cost 30 MB per connection that uses it.
_OPTIONS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",  # loopback only: no socket file to leave behind, no path that is too long
    "shared_buffers": "64MB",
    "max_connections": "60",
    "jit": "off",
    "dynamic_shared_memory_type": "mmap",  # below its data: a killed server leaves nothing in /dev/shm
    "max_parallel_workers_per_gather": "0",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "256MB",
    "log_min_messages": "warning",
    "log_line_prefix": "%m [%p] ",
    "password_encryption": "scram-sha-256",
}
_HBA = "host all all 127.0.0.1/32 scram-sha-256\n"


def made_by(data: Path) -> int | None:
    """Return the major version of PostgreSQL that made a data directory; ``None`` where there is none yet."""
    file = data / "PG_VERSION"
    try:
        return int(file.read_text())
    except FileNotFoundError:
        return None
    except ValueError:
        msg = f"{file} holds no version: {data} is damaged; restore it, or remove it to begin with an empty one"
        raise DataUnreadable(msg) from None


def initialise(server: Server, *, data: Path, user: str, password: SecretStr, account: Account | None) -> None:
    """Make the data directory unless it is there; a command killed in the middle leaves none that looks complete."""
    if (data / "PG_VERSION").exists():
        return
    prefix = f"{data.name}.new-"
    for left in data.parent.glob(f"{prefix}*"):
        shutil.rmtree(left, ignore_errors=True)
    # A name of its own: the initdb of a command that was killed a moment ago may still be writing.
    draft = Path(tempfile.mkdtemp(prefix=prefix, dir=data.parent))
    pwfile = draft / "password"  # a file for initdb's eyes; a password must not be on a command line
    write_private(pwfile, password.get_secret_value())
    if account:
        for path in (draft, pwfile):
            os.chown(path, account.uid, account.gid)
    _run(
        (
            str(server.path.parent / "initdb"),
            *("--pgdata", str(draft / "data"), "--username", user, "--pwfile", str(pwfile)),
            *("--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C", "--no-instructions"),
        ),
        account=account,
    )
    (draft / "data" / "pg_hba.conf").write_text(_HBA)
    try:
        (draft / "data").rename(data)  # over an empty folder too, but never over somebody's files
    except OSError as error:
        msg = f"{data} is in the way of a new data directory: {error.strerror}; remove it, or restore its PG_VERSION"
        raise DataUnreadable(msg) from None
    finally:
        shutil.rmtree(draft)


def remove_stale_lock(data: Path) -> None:
    """Remove the lock file of a PostgreSQL that was killed, where another process has got its pid since.

    PostgreSQL does so itself only when no process of its account has that pid, as after a restart of the machine.
    """
    lock = data / "postmaster.pid"
    try:
        process = psutil.Process(int(lock.read_text().split(maxsplit=1)[0]))
        stale = Path(process.cwd()) != data.resolve()  # each PostgreSQL server works in its data directory
    except FileNotFoundError:
        return
    except (ValueError, IndexError, psutil.Error):
        stale = True
    if stale:
        lock.unlink()


def postgres_program(server: Server, *, data: Path, settings: PostgresSettings, account: Account | None) -> Program:
    """Return the program over an initialised data directory."""
    options = [f"--{key}={value}" for key, value in (_OPTIONS | {"port": str(settings.port)}).items()]
    return Program(
        name="postgres",
        command=(str(server.path), "-D", str(data), *options),
        env={"HOME": str(data), "USER": account.name} if account else {},
        user=account.name if account else None,
        ready=Ready(tcp=settings.port, check=lambda: _log_in_to_own(settings, data)),
        stop_signal="INT",  # its fast shutdown; TERM would wait for every client to leave
        stop_wait_s=20,
        start_timeout_s=30,
        url=f"postgresql://{settings.user}@{settings.host}:{settings.port}/{settings.database}",
    )


def log_in(settings: PostgresSettings, database: str = "postgres") -> None:
    """Connect once; raise ``NotReady`` with PostgreSQL's own words."""
    try:
        psycopg.connect(settings.url(database=database), connect_timeout=3).close()
    except psycopg.OperationalError as error:
        raise NotReady(str(error).strip()) from None


def _log_in_to_own(settings: PostgresSettings, data: Path) -> None:
    try:
        log_in(settings)
    except NotReady as error:
        if "password authentication failed" not in str(error):
            raise
        msg = (
            f"the PostgreSQL of {data} was made with another password than the one in the stack's secrets/postgres; "
            "restore that file, or run 'slipway down' and remove the data directory to begin with an empty one"
        )
        raise DataUnreadable(msg) from None


def create_database(settings: PostgresSettings, name: str, *, by_way_of: str) -> None:
    """Create a database unless it exists, connected to another one, ``by_way_of``."""
    with psycopg.connect(settings.url(database=by_way_of), autocommit=True, connect_timeout=3) as link:
        if link.execute("select from pg_database where datname = %s", (name,)).fetchone() is not None:
            return
        # From template0: nobody can be connected to it, which would make the copy fail.
        statement = sql.SQL("create database {} template template0").format(sql.Identifier(name))
        try:
            link.execute(statement)
        except (psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
            return  # another stack on the same server was quicker
        except psycopg.errors.InsufficientPrivilege:
            msg = (
                f"user {settings.user!r} may not create the database {name!r} on {settings.host}:{settings.port}; "
                f"let an administrator run 'create database {name} owner {settings.user}'"
            )
            raise LocalError(msg) from None


def _run(command: Sequence[str], *, account: Account | None) -> None:
    done = subprocess.run(
        command,
        cwd="/",
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
        env={"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C", "TZ": "UTC"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        words = (done.stdout + done.stderr)[-2000:]
        msg = f"{Path(command[0]).name} (for the PostgreSQL of the local stack) failed:\n{words.strip()}"
        raise LocalError(msg)
