"""Servers that the user named in the settings: not ours to start, only to reach."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from pydantic import SecretStr

from slipway.local.errors import NotReady, ServerUnreachable, SettingsHalfGiven
from slipway.local.postgres_server import log_in
from slipway.local.program import Ready
from slipway.local.readiness import probe
from slipway.local.redis_server import ping
from slipway.project import Project
from slipway.settings import MlflowSettings, PostgresSettings, RedisSettings, Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class External:
    """What the user's environment and ``.env`` name; ``None`` is ours to start."""

    postgres: PostgresSettings | None
    redis: RedisSettings | None
    mlflow: MlflowSettings | None

    @property
    def names(self) -> frozenset[str]:
        return frozenset(name for name in ("postgres", "redis", "mlflow") if getattr(self, name) is not None)

    def urls(self) -> dict[str, str]:
        """Return each one's address, without its password."""
        found = {}
        if self.postgres:
            found["postgres"] = f"postgresql://{self.postgres.host}:{self.postgres.port}/{self.postgres.database}"
        if self.redis:
            found["redis"] = f"redis://{self.redis.host}:{self.redis.port}/{self.redis.database}"
        if self.mlflow:
            found["mlflow"] = self.mlflow.tracking_uri
        return found

    def environment(self) -> dict[str, str]:
        """Return the variables that name them, for programs that may have been started from another shell."""
        found: dict[str, str] = {}
        for settings in (self.postgres, self.redis, self.mlflow):
            if settings is not None:
                found |= _variables(settings)
        return found

    def check(self) -> None:
        """Raise unless each of them answers."""
        for name in self.names:
            self.check_one(name)

    def check_one(self, name: str) -> None:
        """Raise unless the server ``name`` answers; an MLflow that isn't behind HTTP is taken at its word."""
        address = self.urls()[name]
        if name == "postgres" and (postgres := self.postgres):
            _reach("PostgreSQL", "POSTGRES_HOST", address, lambda: log_in(postgres, postgres.database))
        elif name == "redis" and (redis := self.redis):
            _reach("Redis", "REDIS_HOST", address, lambda: ping(redis.port, redis.password, host=redis.host))
        elif name == "mlflow" and urlsplit(address).scheme in {"http", "https"}:
            health = Ready(http=address.rstrip("/") + "/health")
            _reach("MLflow", "MLFLOW_TRACKING_URI", address, lambda: probe(health, pid=None))


def external(project: Project) -> External:
    """Read what the user named, leaving out what the local stack itself wrote."""
    files = (project.root / ".env",)
    postgres = PostgresSettings(_env_file=files)  # type: ignore[call-arg]
    redis = RedisSettings(_env_file=files)  # type: ignore[call-arg]
    mlflow = MlflowSettings(_env_file=files)  # type: ignore[call-arg]
    return External(
        postgres=postgres if _names_server(postgres, "POSTGRES") else None,
        redis=redis if _names_server(redis, "REDIS") else None,
        mlflow=mlflow if mlflow.model_fields_set else None,
    )


def _names_server(settings: Settings, prefix: str) -> bool:
    given = settings.model_fields_set
    if given & {"host", "port"}:
        return True
    if given:
        names = ", ".join(sorted(_variables(settings)))
        msg = (
            f"{names} in the environment or .env without {prefix}_HOST: set {prefix}_HOST too to use that server, "
            "or unset it to use the local stack's own"
        )
        raise SettingsHalfGiven(msg)
    return False


def _variables(settings: Settings) -> Mapping[str, str]:
    found = {}
    for name in settings.model_fields_set:
        value = getattr(settings, name)
        text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
        found[str(type(settings).model_fields[name].alias)] = text
    return found


def _reach(what: str, variable: str, address: str, ask: Callable[[], None]) -> None:
    try:
        ask()
    except (NotReady, OSError) as error:
        msg = (
            f"{what} at {address} (from {variable} in the environment or .env) can't be reached: {error}; "
            f"start it, correct {variable}, or unset it to use the local stack's own"
        )
        raise ServerUnreachable(msg) from None
