"""The text of supervisord's configuration files."""

import re
import shlex
from pathlib import Path

from slipway.local.errors import UnusableValue
from slipway.local.program import Program

# supervisord cuts a value at " ;" or " #", has no way to write a line break, and reads KEY="value" without escapes,
# stripping whatever quotes are at the ends. It replaces %(here)s even where the % is doubled.
_UNWRITABLE = re.compile(r"[\x00-\x1f\x7f]|\s[;#]|%\(here\)s")

# One second of life is what tells "can't start" (BACKOFF, tried again after 1, 2, 3... s) from "died later" (started
# again at once). Ten tries, about a minute, because a server may find its place still taken by what it left behind.
START_SECONDS = 1
START_RETRIES = 10
_URL_MARK = "; at "  # a comment to supervisord


def render_daemon(run_dir: Path, *, as_root: bool) -> str:
    """Return the daemon's configuration; its programs are the files in ``run_dir/programs``.

    >>> print(render_daemon(Path("/tmp/r"), as_root=False).splitlines()[1])
    file=/tmp/r/s
    """
    lines = [
        "[unix_http_server]",
        f"file={_written(socket_path(run_dir))}",
        "chmod=0600",
        "[supervisord]",
        f"logfile={_written(_log_path(run_dir, 'supervisord'))}",
        "logfile_maxbytes=1MB",
        "logfile_backups=1",
        f"pidfile={_written(pid_path(run_dir))}",
        f"directory={_written(home_path(run_dir))}",
        "umask=077",
        "identifier=slipway",
        *(["user=root"] if as_root else []),  # it warns on every start unless told so
        "[rpcinterface:supervisor]",
        "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface",
        "[rpcinterface:slipway]",
        "supervisor.rpcinterface_factory=slipway.local.supervision:make_supervision",
        f"run_dir={_written(run_dir)}",
        "[include]",
        "files=programs/*.conf",  # relative to this file: supervisord would split an absolute path at a space
    ]
    return "\n".join(lines) + "\n"


def render_program(program: Program, *, run_dir: Path, stop_rank: int = 100) -> str:
    """Return one program's section; programs of a higher rank are stopped first.

    >>> text = render_program(Program(name="web", command=("serve", "a b", "100%")), run_dir=Path("/tmp/r"))
    >>> print(text.splitlines()[2])
    command=serve 'a b' 100%%
    """
    environment = ",".join(f"{key}={_quoted(value)}" for key, value in sorted(program.env.items()))
    lines = [
        _URL_MARK + _checked(program.url),
        f"[program:{_named(program.name)}]",
        f"command={_written(shlex.join(program.command))}",
        *([f"environment={environment}"] if environment else []),
        *([f"directory={_written(program.cwd)}"] if program.cwd else []),
        *([f"user={_written(program.user)}"] if program.user else []),
        f"priority={stop_rank}",
        "autostart=true",
        "autorestart=true",
        f"startsecs={START_SECONDS}",
        f"startretries={START_RETRIES}",
        f"stopsignal={program.stop_signal}",
        f"stopwaitsecs={max(1, round(program.stop_wait_s))}",
        "killasgroup=true",
        "redirect_stderr=true",
        f"stdout_logfile={_written(_log_path(run_dir, program.name))}",
        "stdout_logfile_maxbytes=10MB",
        "stdout_logfile_backups=1",
    ]
    return "\n".join(lines) + "\n"


def conf_path(run_dir: Path) -> Path:
    return run_dir / "conf"


def pid_path(run_dir: Path) -> Path:
    return run_dir / "pid"


def home_path(run_dir: Path) -> Path:
    """Return a link to SLIPWAY_HOME: supervisord expands some paths twice, so that a '%' in one can't be quoted."""
    return run_dir / "home"


def socket_path(run_dir: Path) -> Path:
    """Return where the daemon listens; kept short, since a socket's path may have 107 bytes."""
    return run_dir / "s"


def program_path(run_dir: Path, name: str) -> Path:
    """Return where one program's section is."""
    return run_dir / "programs" / f"{name}.conf"


def url_of(text: str) -> str:
    """Return the address that a program's section was rendered with.

    >>> url_of(render_program(Program(name="web", command=("serve",), url="http://h:1"), run_dir=Path("/tmp/r")))
    'http://h:1'
    """
    return text.partition(_URL_MARK)[2].partition("\n")[0]


def _log_path(run_dir: Path, name: str) -> Path:
    return home_path(run_dir) / "logs" / f"{name}.log"


def _written(value: str | Path) -> str:
    return _checked(str(value)).replace("%", "%%")


def _checked(text: str) -> str:
    if found := _UNWRITABLE.search(text):
        # The text itself may be a secret.
        msg = (
            f"a value of {len(text)} characters can't be given to supervisord: it holds {found.group()!r}; leave it out"
        )
        raise UnusableValue(msg)
    return text


def _named(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.-]+", name):
        msg = f"{name!r} can't name a program: allowed are letters, digits, '_', '-' and '.'"
        raise UnusableValue(msg)
    return name


def _quoted(value: str) -> str:
    if '"' in value or value != value.strip("'"):
        msg = (
            f"an environment variable's value of {len(value)} characters holds '\"', or a quote at an end; leave it out"
        )
        raise UnusableValue(msg)
    return f'"{_written(value)}"'
