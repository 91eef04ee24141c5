from dataclasses import replace

import psycopg
import pytest

from slipway.features.errors import RegistryError
from slipway.features.registry import Registry
from slipway.migrations import migrate


@pytest.fixture
def registry(postgres_settings):
    registry = Registry.migrated(postgres_settings)
    with psycopg.connect(postgres_settings.url()) as connection:
        tables = "entity, source, view, feature, feature_set, feature_set_feature, revision"
        names = ", ".join(f"features.{name}" for name in tables.split(", "))
        connection.execute(f"TRUNCATE {names} RESTART IDENTITY CASCADE")
    return registry


def test_tables_are_made_when_another_package_has_migrated_and_one_was_killed_while_it_did(postgres_settings):
    migrate("monitoring", postgres_settings)
    with psycopg.connect(postgres_settings.url()) as connection:
        connection.execute("INSERT INTO yoyo_lock (locked, ctime, pid) VALUES (1, now(), 1)")

    Registry.migrated(postgres_settings)

    assert migrate("features", postgres_settings) == 0
    assert Registry(postgres_settings).views() is not None


def test_everything_is_recorded_when_definitions_are_applied_first(registry, definitions):
    applied = registry.apply(definitions)

    view = definitions.view("customer_profile")
    assert applied.revision == 1
    assert applied.changed == (
        "entity customer",
        "source telco",
        f"view customer_profile.{view.version}",
        "feature set churn",
    )
    (recorded,) = registry.views()
    assert recorded == {
        "name": "customer_profile",
        "version": view.version,
        "entity": "customer",
        "source": "telco",
        "features": 19,
        "feature_sets": ["churn"],
    }


def test_revision_stays_when_nothing_changed(registry, definitions):
    first = registry.apply(definitions)
    second = registry.apply(definitions)

    assert (second.revision, second.changed) == (first.revision, ())


def test_new_version_joins_the_old_one_when_a_vocabulary_grows(registry, definitions):
    registry.apply(definitions)
    old = definitions.view("customer_profile")
    contract = replace(definitions.source("telco").column("Contract"), shares={}, vocabulary=("Daily", "Monthly"))
    columns = tuple(contract if c.name == contract.name else c for c in old.source.columns)
    features = tuple(replace(f, column=contract) if f.name == contract.name else f for f in old.features)
    source = replace(old.source, columns=columns)
    view = replace(old, source=source, features=features)
    churn = replace(definitions.feature_set("churn"), view=view)

    applied = registry.apply(replace(definitions, sources=(source,), views=(view,), feature_sets=(churn,)))

    assert applied.revision == 2
    assert [name.split()[0] for name in applied.changed] == ["source", "view", "feature"]
    assert {v["version"] for v in registry.views()} == {old.version, view.version}


def test_pinned_version_stays_when_it_is_dropped_by_hand(registry, definitions, postgres_settings):
    registry.apply(definitions)

    with psycopg.connect(postgres_settings.url()) as connection, pytest.raises(psycopg.errors.ForeignKeyViolation):
        connection.execute("DELETE FROM features.feature")


def test_address_and_next_command_are_told_when_the_server_is_away(postgres_settings, definitions):
    away = postgres_settings.model_copy(update={"port": 1})

    with pytest.raises(RegistryError, match=r"127\.0\.0\.1:1/.*slipway up"):
        Registry(away).apply(definitions)
