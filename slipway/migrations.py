"""Numbered SQL migrations: one PostgreSQL schema per package, applied once each, under an advisory lock."""

import logging
from importlib import resources

from slipway.settings import PostgresSettings

# Any constant will do: it keeps whoever migrates this database at the same moment waiting.
_LOCK = 0x51_1B_A7


def migrate(package: str, settings: PostgresSettings) -> int:
    """Apply the pending files of ``slipway/<package>/migrations/*.sql`` and return how many there were.

    Safe to run from several processes at once, and again after one that was killed. A file's name is unique among all
    packages: the library keeps one table of what was applied.
    """
    import psycopg  # noqa: PLC0415  only a command that migrates pays for this import
    import yoyo  # noqa: PLC0415  likewise

    logging.getLogger("yoyo.migrations").setLevel(logging.WARNING)
    with (
        psycopg.connect(settings.url(), autocommit=True) as guard,
        resources.as_file(resources.files(f"slipway.{package}") / "migrations") as folder,
    ):
        # An advisory lock ends with its connection. The library's own lock is a row, which a killed process leaves
        # behind: whoever holds the advisory lock knows that such a row is nobody's.
        guard.execute("SELECT pg_advisory_lock(%s)", [_LOCK])
        backend = yoyo.get_backend(settings.url(driver="psycopg"))
        try:
            backend.break_lock()
            with backend.lock():
                pending = backend.to_apply(yoyo.read_migrations(str(folder)))
                backend.apply_migrations(pending)
                return len(pending)
        finally:
            backend.connection.close()
