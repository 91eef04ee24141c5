"""The journal: chained by hash, append-only, safe against a second writer and against a database that is away."""

import socket
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from slipway.monitoring.journal import (
    Entry,
    InMemoryJournal,
    Journal,
    JournalBroken,
    JournalConflict,
    JournalUnavailable,
    PostgresJournal,
    Spool,
    chain,
    verify,
)
from slipway.settings import PostgresSettings

AT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


def entries(stream: str, number: int) -> list[Entry]:
    made: list[Entry] = []
    for index in range(number):
        after = made[-1] if made else None
        body = {"weight": index * 0.1, "words": "ö", "list": [1, None, 1e-300]}
        made.append(chain(after, stream=stream, at=AT + timedelta(seconds=index), kind="look", actor="me", body=body))
    return made


@pytest.fixture(params=["memory", "postgres"])
def journal(request) -> Iterator[Journal]:
    if request.param == "memory":
        yield InMemoryJournal()
        return
    with closing(PostgresJournal(request.getfixturevalue("postgres_settings"))) as postgres:
        yield postgres


@pytest.fixture
def postgres_journal(postgres_settings) -> Iterator[PostgresJournal]:
    with closing(PostgresJournal(postgres_settings)) as journal:
        yield journal


def test_stream_reads_back_letter_by_letter(journal, request):
    stream = request.node.name
    written = entries(stream, 5)
    for entry in written:
        journal.append(entry)
    assert list(journal.read(stream)) == written
    verify(journal.read(stream))
    assert journal.read("nothing of that name") == ()


def test_same_entry_again_is_no_error_and_another_one_at_its_place_is_refused(journal, request):
    stream = request.node.name
    first, second = entries(stream, 2)
    journal.append(first)
    journal.append(first)
    journal.append(second)
    other = chain(first, stream=stream, at=AT, kind="look", actor="another controller", body={})
    with pytest.raises(JournalConflict, match="entry 1 was written by somebody else"):
        journal.append(other)
    assert len(journal.read(stream)) == 2


def test_entry_is_refused_when_the_one_before_is_missing(journal, request):
    with pytest.raises(JournalConflict, match="entry 2 has nothing to follow"):
        journal.append(entries(request.node.name, 3)[2])


def test_heads_are_the_last_entries_below_a_prefix(journal, request):
    for name in ("b", "a"):
        for entry in entries(f"{request.node.name}/{name}", 3):
            journal.append(entry)
    heads = journal.heads(f"{request.node.name}/")
    assert [(head.stream[-1], head.seq) for head in heads] == [("a", 2), ("b", 2)]


def test_database_refuses_changes_when_somebody_edits_by_hand(postgres_settings, postgres_journal):
    postgres_journal.append(entries("by-hand", 1)[0])
    with psycopg.connect(postgres_settings.url(), autocommit=True) as connection:
        for statement in (
            "update monitoring.journal set actor = 'nobody'",
            "delete from monitoring.journal",
            "truncate monitoring.journal",
        ):
            with pytest.raises(psycopg.errors.RaiseException, match="append-only"):
                connection.execute(statement)


@given(st.integers(0, 4), st.sampled_from(["kind", "actor", "body", "at"]))
def test_verify_names_the_entry_when_one_was_changed(index, field):
    made = entries("s", 5)
    changed = {"kind": "x", "actor": "x", "body": "{}", "at": AT - timedelta(days=1)}[field]
    made[index] = replace(made[index], **{field: changed})
    with pytest.raises(JournalBroken, match=f"entry {index}"):
        verify(made)


def test_verify_names_the_gap_when_an_entry_is_gone():
    made = entries("s", 5)
    with pytest.raises(JournalBroken, match="entry 2 is missing"):
        verify(made[:2] + made[3:])


def test_spool_keeps_the_order_when_the_journal_is_away_for_a_while(tmp_path: Path):
    journal = InMemoryJournal()
    spool = Spool(journal, tmp_path / "spool" / "journal.jsonl")
    first, second, third, fourth = entries("s", 4)
    spool.append(first)
    journal.available = False
    spool.spool(second)
    spool.spool(third)
    with pytest.raises(JournalUnavailable):
        spool.append(fourth)
    journal.available = True
    spool.append(fourth)
    assert list(spool.read("s")) == [first, second, third, fourth]
    assert list(Spool(journal, tmp_path / "spool" / "journal.jsonl").read("s")) == [first, second, third, fourth]


def test_spool_survives_the_process(tmp_path: Path):
    journal = InMemoryJournal()
    journal.available = False
    made = entries("s", 2)
    for entry in made:
        Spool(journal, tmp_path / "j").spool(entry)
    journal.available = True
    assert Spool(journal, tmp_path / "j").fold_in() == 2
    assert list(journal.read("s")) == made


def test_postgres_journal_is_unavailable_and_comes_back_when_the_server_is_away(postgres_settings):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        nowhere = postgres_settings.model_copy(update={"port": taken.getsockname()[1]})
        journal = PostgresJournal(nowhere)
        with pytest.raises(JournalUnavailable, match="does not answer"):
            journal.read("s")
    with closing(journal):
        journal._settings = postgres_settings
        assert journal.read("nobody's") == ()


def test_postgres_journal_connects_again_when_its_connection_was_cut(postgres_settings, postgres_journal):
    postgres_journal.append(entries("cut", 1)[0])
    with psycopg.connect(postgres_settings.url(), autocommit=True) as connection:
        connection.execute("select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid()")
    assert len(postgres_journal.read("cut")) == 1


def test_postgres_journal_gives_up_in_time_when_the_server_accepts_and_says_nothing():
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        settings = PostgresSettings(
            POSTGRES_HOST="127.0.0.1", POSTGRES_PORT=silent.getsockname()[1], POSTGRES_PASSWORD=SecretStr("x")
        )
        with pytest.raises(JournalUnavailable):
            PostgresJournal(settings).read("s")
