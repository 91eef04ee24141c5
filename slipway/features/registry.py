"""The registry: which definitions exist, in which versions, and which feature set reads which of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Self

import psycopg
from psycopg.types.json import Jsonb

from slipway.features.definitions import FeatureSet, RowView
from slipway.features.errors import RegistryError
from slipway.features.layout import FeatureSetLayout
from slipway.features.load import Definitions
from slipway.migrations import migrate
from slipway.settings import PostgresSettings

_CONNECT_TIMEOUT_S = 5
# Two applies at once wait for each other: the revision counts changes one after the other.
_LOCK = "SELECT pg_advisory_xact_lock(hashtext('slipway.features.registry'))"

_ENTITY = """
INSERT INTO features.entity AS known VALUES (%(name)s, %(description)s)
ON CONFLICT (name) DO UPDATE SET description = excluded.description WHERE known IS DISTINCT FROM excluded
"""
_SOURCE = """
INSERT INTO features.source AS known VALUES (%(name)s, %(owner)s, %(description)s, %(definition)s)
ON CONFLICT (name) DO UPDATE
SET owner = excluded.owner, description = excluded.description, definition = excluded.definition
WHERE known IS DISTINCT FROM excluded
"""
_VIEW = """
INSERT INTO features.view AS known
VALUES (%(name)s, %(version)s, %(entity)s, %(source)s, %(ttl_s)s, %(owner)s, %(description)s)
ON CONFLICT (name, version) DO UPDATE
SET ttl_s = excluded.ttl_s, owner = excluded.owner, description = excluded.description
WHERE known IS DISTINCT FROM excluded
"""
_FEATURE = """
INSERT INTO features.feature
VALUES (%(view)s, %(version)s, %(name)s, %(position)s, %(column)s, %(dtype)s, %(vocabulary)s)
ON CONFLICT DO NOTHING
"""
_FEATURE_SET = """
INSERT INTO features.feature_set AS known VALUES (%(hash)s, %(name)s, %(owner)s, %(description)s)
ON CONFLICT (hash) DO UPDATE
SET name = excluded.name, owner = excluded.owner, description = excluded.description
WHERE known IS DISTINCT FROM excluded
"""
_FEATURE_SET_FEATURE = """
INSERT INTO features.feature_set_feature
VALUES (%(hash)s, %(position)s, %(view)s, %(version)s, %(feature)s)
ON CONFLICT DO NOTHING
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """The registry's revision after an apply, and what was added or changed by it."""

    revision: int
    changed: tuple[str, ...]


class Registry:
    """The registry in PostgreSQL, schema ``features``."""

    def __init__(self, settings: PostgresSettings) -> None:
        self._settings = settings

    @classmethod
    def migrated(cls, settings: PostgresSettings) -> Self:
        """Return a registry whose tables are up to date."""
        migrate("features", settings)
        return cls(settings)

    def apply(self, definitions: Definitions) -> Applied:
        """Record definitions, all or none; what is recorded already is left alone, nothing is ever dropped."""
        changed: list[str] = []
        with self._cursor() as cursor:
            cursor.execute(_LOCK)
            for entity in definitions.entities:
                cursor.execute(_ENTITY, asdict(entity))
                changed += [f"entity {entity.name}"] * cursor.rowcount
            for source in definitions.sources:
                definition = Jsonb(
                    {
                        "key": source.key,
                        "snapshot_time": source.snapshot_time.isoformat(),
                        "columns": [asdict(column) for column in source.columns],
                        "repairs": [asdict(repair) for repair in source.repairs],
                    }
                )
                told = {"name": source.name, "owner": source.owner, "description": source.description}
                cursor.execute(_SOURCE, told | {"definition": definition})
                changed += [f"source {source.name}"] * cursor.rowcount
            for view in definitions.views:
                changed += _apply_view(cursor, view)
            for feature_set in definitions.feature_sets:
                changed += _apply_feature_set(cursor, feature_set)
            if changed:
                cursor.execute("INSERT INTO features.revision (changed) VALUES (%s)", [changed])
            cursor.execute("SELECT coalesce(max(number), 0) FROM features.revision")
            (revision,) = cursor.fetchone() or (0,)
        return Applied(revision=revision, changed=tuple(changed))

    def views(self) -> list[dict[str, Any]]:
        """Return every view version with the number of its features and the feature sets that read it."""
        with self._cursor() as cursor:
            cursor.execute(
                """
                SELECT name, version, entity, source,
                       (SELECT count(*) FROM features.feature f WHERE (f.view, f.version) = (v.name, v.version)),
                       (SELECT coalesce(array_agg(DISTINCT s.name), '{}') FROM features.feature_set_feature r
                        JOIN features.feature_set s USING (hash) WHERE (r.view, r.version) = (v.name, v.version))
                FROM features.view v ORDER BY name, version
                """
            )
            names = ("name", "version", "entity", "source", "features", "feature_sets")
            return [dict(zip(names, row, strict=True)) for row in cursor]

    @contextmanager
    def _cursor(self) -> Iterator[psycopg.Cursor[Any]]:
        settings = self._settings
        try:
            with (
                psycopg.connect(settings.url(), connect_timeout=_CONNECT_TIMEOUT_S) as connection,
                connection.cursor() as cursor,
            ):
                yield cursor
        except psycopg.OperationalError as error:
            where = f"{settings.host}:{settings.port}/{settings.database}"
            seen = str(error).partition("\n")[0]
            raise RegistryError(
                f"PostgreSQL at {where}: {seen}; see 'slipway status', and start the local stack with 'slipway up'"
            ) from error


def _apply_view(cursor: psycopg.Cursor[Any], view: RowView) -> list[str]:
    version = view.version
    cursor.execute(
        _VIEW,
        {
            "name": view.name,
            "version": version,
            "entity": view.entity.name,
            "source": view.source.name,
            "ttl_s": None if view.ttl is None else view.ttl.total_seconds(),
            "owner": view.owner,
            "description": view.description,
        },
    )
    if not cursor.rowcount:
        return []
    cursor.executemany(
        _FEATURE,
        [
            {
                "view": view.name,
                "version": version,
                "name": feature.name,
                "position": position,
                "column": feature.column.name,
                "dtype": feature.column.dtype.value,
                "vocabulary": list(feature.column.vocabulary),
            }
            for position, feature in enumerate(view.features)
        ],
    )
    return [f"view {view.name}.{version}"]


def _apply_feature_set(cursor: psycopg.Cursor[Any], feature_set: FeatureSet) -> list[str]:
    layout = FeatureSetLayout.of(feature_set)
    told = {"name": feature_set.name, "owner": feature_set.owner, "description": feature_set.description}
    cursor.execute(_FEATURE_SET, told | {"hash": layout.hash})
    if not cursor.rowcount:
        return []
    cursor.executemany(
        _FEATURE_SET_FEATURE,
        [
            {
                "hash": layout.hash,
                "position": position,
                "view": layout.view,
                "version": layout.view_version,
                "feature": name,
            }
            for position, name in enumerate(layout.features)
        ],
    )
    return [f"feature set {feature_set.name}"]
