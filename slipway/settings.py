"""Typed settings: the connections that several packages share, and the class that each package's own settings extend.

Order: environment variables, then ``.env`` in the project's root, then ``endpoints.env``, which the running local
stack writes into ``.slipway/``. ``.env.example`` is generated from these classes.
"""

from typing import Any, Self
from urllib.parse import quote

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from slipway.project import Project

ENDPOINTS_FILE = "endpoints.env"


class Settings(BaseSettings):
    """Base of every settings class; call :meth:`load`, never the constructor, so that the files are found."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True, populate_by_name=True, env_ignore_empty=True)

    @classmethod
    def load(cls, project: Project, **given: Any) -> Self:
        """Read the settings for a project; ``given`` values win over every source."""
        return cls(_env_file=(project.home / ENDPOINTS_FILE, project.root / ".env"), **given)  # type: ignore[call-arg]


class PostgresSettings(Settings):
    """PostgreSQL: journal, feature registry, MLflow's tables."""

    host: str = Field("127.0.0.1", alias="POSTGRES_HOST", description="host of PostgreSQL")
    port: int = Field(5432, alias="POSTGRES_PORT", description="port of PostgreSQL", ge=1, le=65535)
    user: str = Field("slipway", alias="POSTGRES_USER", description="user of PostgreSQL")
    password: SecretStr = Field(SecretStr(""), alias="POSTGRES_PASSWORD", description="password of that user")
    database: str = Field("slipway", alias="POSTGRES_DB", description="database of Slipway")

    def url(self, *, driver: str = "", database: str | None = None) -> str:
        """Return a connection URL, password included: hand it on, never log it."""
        scheme = f"postgresql+{driver}" if driver else "postgresql"
        secret = quote(self.password.get_secret_value(), safe="")
        login = quote(self.user, safe="") + (f":{secret}" if secret else "")
        return f"{scheme}://{login}@{self.host}:{self.port}/{database or self.database}"


class RedisSettings(Settings):
    """Redis: the online feature store."""

    host: str = Field("127.0.0.1", alias="REDIS_HOST", description="host of Redis")
    port: int = Field(6379, alias="REDIS_PORT", description="port of Redis", ge=1, le=65535)
    password: SecretStr = Field(SecretStr(""), alias="REDIS_PASSWORD", description="password of Redis")
    database: int = Field(0, alias="REDIS_DB", description="number of the Redis database", ge=0)


class MlflowSettings(Settings):
    """MLflow: runs and the model registry."""

    tracking_uri: str = Field("http://127.0.0.1:5000", alias="MLFLOW_TRACKING_URI", description="address of MLflow")
