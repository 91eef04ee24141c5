"""The local stack of one project: PostgreSQL, Redis, MLflow, and what others add to it."""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Self, TypeVar

from slipway.local import servers
from slipway.local.disk import NEEDED_BYTES, clear_about_space, free_bytes, make_home, no_space
from slipway.local.errors import PortTaken
from slipway.local.external import External, external
from slipway.local.files import write_private
from slipway.local.lock import locked
from slipway.local.mlflow_server import DATABASE as MLFLOW_DATABASE
from slipway.local.mlflow_server import mlflow_program
from slipway.local.passwords import password
from slipway.local.port_book import PortBook
from slipway.local.postgres_account import account, place_data, place_server
from slipway.local.postgres_server import create_database, initialise, made_by, postgres_program, remove_stale_lock
from slipway.local.processes import ProcessManager
from slipway.local.program import Program, ProgramState, ProgramStatus
from slipway.local.redis_server import redis_program
from slipway.project import Project
from slipway.settings import ENDPOINTS_FILE, MlflowSettings, PostgresSettings, RedisSettings

T = TypeVar("T")

OWN = ("postgres", "redis", "mlflow")
# What is stopped first has the highest rank: first the stack's extras (controller, edge), then what they started
# (rank 100), then what all of them need.
_RANKS = {"postgres": 10, "redis": 10, "mlflow": 20}
_EXTRA_RANK = 200
_LOCK_TIMEOUT_S = 180
# A port that was free a moment ago and then taken, three times in a row, is not chance.
_PORT_ATTEMPTS = 3


def _silent(_words: str) -> None:
    return


class Stack:
    """Started by :meth:`up`, found again by any later command through the files in the project's home."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.home = project.home
        self.processes = ProcessManager(project.home)
        self._ports = PortBook(project.home)

    @classmethod
    def of(cls, project: Project) -> Self:
        """Return the stack of a project, running or not."""
        return cls(project)

    def port(self, name: str) -> int:
        """Return the port of a name: chosen once and kept, until ``up`` finds that a stranger took it."""
        return self._ports.port(name)

    def up(
        self,
        extra: Sequence[Program] | Callable[[], Sequence[Program]] = (),
        on_progress: Callable[[str], None] = _silent,
        *,
        only: Collection[str] = OWN,
    ) -> None:
        """Start what isn't running; return when all of it is ready.

        ``extra`` are programs beside the stack's own, in the order of their dependencies, or what makes them: it is
        called when PostgreSQL and Redis are ready, and again when the port of one was taken by a stranger. ``only``
        names those of the stack's own that are needed. Servers that the user's settings name are asked for a sign of
        life instead.
        """
        with clear_about_space(self.home), self._alone(on_progress):
            if not self.processes.is_running() and free_bytes(self.home) < NEEDED_BYTES:
                raise no_space(self.home)
            given = external(self.project)
            given.check()
            if orphans := self.processes.ensure_running():
                on_progress(f"ended {len(orphans)} processes that a killed supervisord had left")
            for name in given.names:
                self.processes.remove(name)
            for name, (old, new) in self._ports.settle(held=self.processes.ports, leave=given.names).items():
                on_progress(f"{name}: port {old} was taken by another program meanwhile; using {new}")
            self._write_endpoints(given)
            own = [name for name in OWN if name in only and name not in given.names]
            self._start_own(own, given, on_progress)
            # MLflow takes longest; the extra programs start meanwhile, unless one of them needs it.
            for name in own:
                if name != "mlflow":
                    self._await(name, given, on_progress)
            self._start_extra(extra, own, given, on_progress)
            if "mlflow" in own:
                self._await("mlflow", given, on_progress)

    def status(self) -> list[ProgramStatus]:
        """Return the state of every program, the stack's own three first."""
        given = external(self.project).urls()
        found = {status.name: status for status in self.processes.status()}
        return [
            ProgramStatus(name=name, state=ProgramState.EXTERNAL, url=given[name])
            if name in given
            else found.get(name, ProgramStatus(name=name, state=ProgramState.ABSENT))
            for name in dict.fromkeys((*OWN, *found))
        ]

    def down(self) -> None:
        """Stop everything; a stack that isn't running is no error. Data stays."""
        if self.home.is_dir():
            with self._alone(_silent):
                self.processes.shutdown()

    def log_tail(self, name: str, lines: int = 20) -> str:
        """Return the last lines of a program's log."""
        return self.processes.tail(name, lines)

    def postgres_settings(self) -> PostgresSettings:
        """Return how to reach the stack's own PostgreSQL."""
        return PostgresSettings.load(
            self.project,
            host="127.0.0.1",
            port=self.port("postgres"),
            user="slipway",
            password=password(self.home, "postgres"),
            database="slipway",
        )

    def redis_settings(self) -> RedisSettings:
        """Return how to reach the stack's own Redis."""
        return RedisSettings.load(
            self.project,
            host="127.0.0.1",
            port=self.port("redis"),
            password=password(self.home, "redis"),
            database=0,
        )

    def mlflow_settings(self) -> MlflowSettings:
        """Return how to reach the stack's own MLflow."""
        return MlflowSettings.load(self.project, tracking_uri=f"http://127.0.0.1:{self.port('mlflow')}")

    @contextmanager
    def _alone(self, on_wait: Callable[[str], None]) -> Iterator[None]:
        make_home(self.home)
        with locked(self.home / "up.lock", timeout_s=_LOCK_TIMEOUT_S, on_wait=on_wait):
            yield

    def _start_own(self, names: Sequence[str], given: External, on_progress: Callable[[str], None]) -> None:
        if "mlflow" in names and given.postgres:
            create_database(given.postgres, MLFLOW_DATABASE, by_way_of=given.postgres.database)
        # MLflow first: its imports (3 s) run while PostgreSQL is made and started.
        for name in sorted(names, key=("mlflow", "redis", "postgres").index):
            if self.processes.status_of(name).pid is None:
                on_progress(f"starting {name}")
            self.processes.add(self._program(name, given), stop_rank=_RANKS[name])

    def _await(self, name: str, given: External, on_progress: Callable[[str], None]) -> None:
        def start() -> str:
            # Again, since the port of a server that it uses may be another one by now; unchanged, this does nothing.
            program = self._program(name, given)
            self.processes.add(program, stop_rank=_RANKS[name])
            self.processes.wait_ready(program)
            return program.url

        url = self._on_free_ports(start, given, on_progress)
        if name == "postgres":
            settings = self.postgres_settings()
            for database in (settings.database, MLFLOW_DATABASE):
                create_database(settings, database, by_way_of="postgres")
        on_progress(f"{name} is ready at {url}")

    def _start_extra(
        self,
        extra: Sequence[Program] | Callable[[], Sequence[Program]],
        own: Collection[str],
        given: External,
        on_progress: Callable[[str], None],
    ) -> None:
        def start() -> None:
            programs = extra() if callable(extra) else extra
            if "mlflow" in own and any("mlflow" in program.depends_on for program in programs):
                self._await("mlflow", given, on_progress)
            self._start_in_order([self._completed(program, given) for program in programs], on_progress)

        if callable(extra):
            self._on_free_ports(start, given, on_progress)
        else:
            start()

    def _start_in_order(self, programs: Sequence[Program], on_progress: Callable[[str], None]) -> None:
        waiting: dict[str, Program] = {}
        for rank, program in enumerate(programs, start=_EXTRA_RANK):
            for needed in program.depends_on:
                if needed in waiting:
                    self.processes.wait_ready(waiting.pop(needed))
            if self.processes.status_of(program.name).pid is None:
                on_progress(f"starting {program.name}")
            self.processes.add(program, stop_rank=rank)
            waiting[program.name] = program
        for program in waiting.values():
            self.processes.wait_ready(program)
            on_progress(f"{program.name} is ready at {program.url}")

    def _on_free_ports(self, start: Callable[[], T], given: External, on_progress: Callable[[str], None]) -> T:
        """Run ``start`` again, with another port, while a stranger is quicker to take the one it needs."""
        for _ in range(_PORT_ATTEMPTS - 1):
            try:
                return start()
            except PortTaken as error:
                name = self._ports.name_of(error.port)
                if name is None:
                    raise
                port = self._ports.choose_anew(name)
                self._write_endpoints(given)
                on_progress(f"{name}: another program was quicker to take port {error.port}; using {port}")
        return start()

    def _program(self, name: str, given: External) -> Program:
        if name == "postgres":
            return self._postgres_program()
        if name == "redis":
            redis = self.redis_settings()
            return redis_program(servers.redis(), folder=self.home / "redis", port=redis.port, password=redis.password)
        return mlflow_program(
            artifacts=self.home / "mlflow" / "artifacts",
            port=self.port("mlflow"),
            postgres=given.postgres or self.postgres_settings(),
        )

    def _postgres_program(self) -> Program:
        settings, who = self.postgres_settings(), account()
        data = place_data(self.home, who)
        server = place_server(servers.postgres(major=made_by(data)), who)
        if self.processes.status_of("postgres").pid is None:
            initialise(server, data=data, user=settings.user, password=settings.password, account=who)
            remove_stale_lock(data)
        return postgres_program(server, data=data, settings=settings, account=who)

    def _completed(self, program: Program, given: External) -> Program:
        home = {"SLIPWAY_HOME": str(self.home), "SLIPWAY_PROJECT": str(self.project.root)}
        return replace(program, env={**home, **given.environment(), **program.env})

    def _write_endpoints(self, given: External) -> None:
        lines: dict[str, object] = {}
        if "postgres" not in given.names:
            postgres = self.postgres_settings()
            lines |= {
                "POSTGRES_HOST": postgres.host,
                "POSTGRES_PORT": postgres.port,
                "POSTGRES_USER": postgres.user,
                "POSTGRES_PASSWORD": postgres.password.get_secret_value(),
                "POSTGRES_DB": postgres.database,
            }
        if "redis" not in given.names:
            redis = self.redis_settings()
            lines |= {
                "REDIS_HOST": redis.host,
                "REDIS_PORT": redis.port,
                "REDIS_PASSWORD": redis.password.get_secret_value(),
            }
        if "mlflow" not in given.names:
            lines["MLFLOW_TRACKING_URI"] = self.mlflow_settings().tracking_uri
        for variable, name in (
            ("SLIPWAY_EDGE_URL", "edge"),
            ("SLIPWAY_EDGE_ADMIN_URL", "edge_admin"),
            ("SLIPWAY_CONTROLLER_URL", "controller"),
        ):
            lines[variable] = f"http://127.0.0.1:{self.port(name)}"
        write_private(self.home / ENDPOINTS_FILE, "".join(f"{key}={value}\n" for key, value in lines.items()))
