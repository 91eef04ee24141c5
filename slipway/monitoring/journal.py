"""The journal: who decided what, when and why. Append-only streams of events, each chained to the one before by hash.

The chain is computed by the writer, so that an entry that could not be stored at once (see :class:`Spool`) is the same
entry when it is stored later. :func:`verify` names the first link that was changed by hand.
"""

import json
import os
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol, TypeVar

import psycopg
from psycopg.rows import tuple_row

from slipway import digest
from slipway.errors import SlipwayError
from slipway.migrations import migrate
from slipway.settings import PostgresSettings

CONNECT_TIMEOUT_S = 2
# A server that is stopped, not dead, keeps its sockets open; no decision may wait for it longer than this.
ANSWER_TIMEOUT_S = 2.0
START = "-"

T = TypeVar("T")


class JournalError(SlipwayError):
    """Root of the journal's errors."""


class JournalUnavailable(JournalError, ConnectionError):
    """The journal can't be reached now; nothing is known to have been stored."""


class JournalConflict(JournalError, RuntimeError):
    """Somebody else has written this place of the stream: this writer is not the only one and must stop acting."""


class JournalBroken(JournalError, ValueError):
    """An entry does not fit the one before it or its own hash: it was changed after it was written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One event. ``body`` is JSON text, kept letter by letter; ``previous`` is the hash of the entry before."""

    stream: str
    seq: int
    at: datetime
    kind: str
    actor: str
    body: str
    previous: str
    hash: str

    @property
    def data(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self.body)
        return value


def chain(after: Entry | None, *, stream: str, at: datetime, kind: str, actor: str, body: Mapping[str, Any]) -> Entry:
    """Make the entry that follows ``after`` (``None``: the first of its stream).

    >>> first = chain(None, stream="s", at=datetime(2026, 1, 1, tzinfo=UTC), kind="k", actor="a", body={"x": 1})
    >>> second = chain(first, stream="s", at=datetime(2026, 1, 2, tzinfo=UTC), kind="k", actor="a", body={})
    >>> second.seq, second.previous == first.hash
    (1, True)
    """
    text = json.dumps(body, separators=(",", ":"), allow_nan=False)
    seq, previous = (after.seq + 1, after.hash) if after else (0, START)
    at = at.astimezone(UTC)
    own = _hash(stream=stream, seq=seq, at=at, kind=kind, actor=actor, body=text, previous=previous)
    return Entry(stream=stream, seq=seq, at=at, kind=kind, actor=actor, body=text, previous=previous, hash=own)


def verify(entries: Iterable[Entry]) -> None:
    """Check a stream from its start; raise :class:`JournalBroken` naming the first entry that does not fit."""
    seq, previous = 0, START
    for entry in entries:
        fields = asdict(entry)
        own = fields.pop("hash")
        if entry.seq != seq or entry.previous != previous:
            msg = f"journal {entry.stream}: entry {seq} is missing or entry {entry.seq} does not follow it"
            raise JournalBroken(msg)
        if _hash(**fields) != own:
            msg = (
                f"journal {entry.stream}: entry {seq} ({entry.kind}, {entry.at:%F %T}) was changed after it was written"
            )
            raise JournalBroken(msg)
        seq, previous = seq + 1, own


def _hash(*, at: datetime, **fields: Any) -> str:
    return digest.of_json({"at": at.astimezone(UTC).isoformat(), **fields})


class Journal(Protocol):
    """Where entries are kept. Every call raises :class:`JournalUnavailable` when that place can't be reached."""

    def append(self, entry: Entry) -> None:
        """Store an entry; the same one again is no error, another one at its place is a :class:`JournalConflict`."""

    def read(self, stream: str) -> tuple[Entry, ...]:
        """Return a stream from its start; empty for an unknown one."""

    def heads(self, prefix: str) -> tuple[Entry, ...]:
        """Return the last entry of each stream whose name starts with ``prefix``, by name."""


class InMemoryJournal:
    """A journal for tests and simulations; ``available = False`` makes it unreachable."""

    def __init__(self) -> None:
        self.available = True
        self._streams: dict[str, list[Entry]] = {}

    def append(self, entry: Entry) -> None:
        self._reach()
        entries = self._streams.setdefault(entry.stream, [])
        if entry.seq < len(entries):
            _same(entries[entry.seq], entry)
        elif entry.seq == len(entries):
            entries.append(entry)
        else:
            raise _gap(entry)

    def read(self, stream: str) -> tuple[Entry, ...]:
        self._reach()
        return tuple(self._streams.get(stream, ()))

    def heads(self, prefix: str) -> tuple[Entry, ...]:
        self._reach()
        return tuple(self._streams[name][-1] for name in sorted(self._streams) if name.startswith(prefix))

    def _reach(self) -> None:
        if not self.available:
            msg = "the journal was made unavailable"
            raise JournalUnavailable(msg)


class PostgresJournal:
    """The journal in table ``monitoring.journal``; connects when first used and again after each failure."""

    def __init__(self, settings: PostgresSettings) -> None:
        self._settings = settings
        self._connection: psycopg.Connection[Any] | None = None
        self._lock = threading.Lock()

    def append(self, entry: Entry) -> None:
        stored = self._do(lambda connection: _insert(connection, entry))
        if stored is None:
            raise _gap(entry)
        _same(stored, entry)

    def read(self, stream: str) -> tuple[Entry, ...]:
        query = f"select {_COLUMNS} from monitoring.journal where stream = %s order by seq"  # noqa: S608  constants
        return self._do(lambda connection: _entries(connection, query, (stream,)))

    def heads(self, prefix: str) -> tuple[Entry, ...]:
        query = (
            f"select distinct on (stream) {_COLUMNS} from monitoring.journal "  # noqa: S608  constants
            "where starts_with(stream, %s) order by stream, seq desc"
        )
        return self._do(lambda connection: _entries(connection, query, (prefix,)))

    def close(self) -> None:
        """Close the connection; the next call opens another."""
        if self._connection is not None:
            self._connection.close()

    def _do(self, work: "Callable[[psycopg.Connection[Any]], T]") -> T:
        with self._lock:
            # A connection may have died with an earlier server: then a fresh one is tried, once. Every call is safe to
            # repeat.
            was_open = self._connection is not None
            try:
                return self._try(work)
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                if not was_open:
                    raise self._unavailable(error) from error
            except TimeoutError as error:
                raise self._unavailable(error) from error
            try:
                return self._try(work)
            except (psycopg.OperationalError, psycopg.InterfaceError, TimeoutError) as error:
                raise self._unavailable(error) from error

    def _try(self, work: "Callable[[psycopg.Connection[Any]], T]") -> T:
        limit_s = ANSWER_TIMEOUT_S + (0 if self._connection else CONNECT_TIMEOUT_S)
        try:
            return _within(limit_s, lambda: work(self._connected()))
        except TimeoutError:
            self._connection = None  # the late thread still holds it
            raise
        except psycopg.Error:
            self.close()
            self._connection = None
            raise

    def _unavailable(self, error: Exception) -> JournalUnavailable:
        where = f"{self._settings.host}:{self._settings.port}"
        return JournalUnavailable(
            f"the journal in PostgreSQL at {where} does not answer: {str(error).strip() or 'too late'}; "
            "see 'slipway status' and 'slipway logs postgres'"
        )

    def _connected(self) -> psycopg.Connection[Any]:
        if self._connection is None or self._connection.closed:
            self._connection = psycopg.connect(
                self._settings.url(),
                autocommit=True,
                connect_timeout=CONNECT_TIMEOUT_S,
                options=f"-c statement_timeout={ANSWER_TIMEOUT_S * 1000:.0f} -c timezone=UTC",
                row_factory=tuple_row,
            )
            if self._connection.execute("select to_regclass('monitoring.journal')").fetchone() == (None,):
                migrate("monitoring", self._settings)
        return self._connection


class Spool:
    """A journal with a waiting room on disk: what must not wait for the database is stored here and folded in later.

    The order of each stream is kept: while anything waits, nothing else is stored past it.
    """

    def __init__(self, journal: Journal, file: Path) -> None:
        self._journal, self._file = journal, file

    def append(self, entry: Entry) -> None:
        self.fold_in()
        self._journal.append(entry)

    def spool(self, entry: Entry) -> None:
        """Store an entry on disk, to be folded in when the journal is back."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(entry), default=datetime.isoformat) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def fold_in(self) -> int:
        """Move what waits on disk to the journal, in order; return how many entries that were."""
        if not self._file.is_file():
            return 0
        lines = self._file.read_text(encoding="utf-8").splitlines()
        for line in lines:
            fields = json.loads(line)
            self._journal.append(Entry(**{**fields, "at": datetime.fromisoformat(fields["at"])}))
        self._file.unlink()
        return len(lines)

    def read(self, stream: str) -> tuple[Entry, ...]:
        self.fold_in()
        return self._journal.read(stream)

    def heads(self, prefix: str) -> tuple[Entry, ...]:
        self.fold_in()
        return self._journal.heads(prefix)


_COLUMNS = "stream, seq, at, kind, actor, body::text, previous, hash"


def _insert(connection: psycopg.Connection[Any], entry: Entry) -> Entry | None:
    """Insert an entry where the one before it is there, and return what stands at its place afterwards."""
    values = asdict(entry)
    connection.execute(
        "insert into monitoring.journal (stream, seq, at, kind, actor, body, previous, hash) "
        "select %(stream)s, %(seq)s, %(at)s, %(kind)s, %(actor)s, %(body)s::json, %(previous)s, %(hash)s "
        "where %(seq)s = 0 or exists (select from monitoring.journal where stream = %(stream)s and seq = %(seq)s - 1) "
        "on conflict do nothing",
        values,
    )
    query = f"select {_COLUMNS} from monitoring.journal where stream = %s and seq = %s"  # noqa: S608  constants
    found = _entries(connection, query, (entry.stream, entry.seq))
    return found[0] if found else None


def _entries(connection: psycopg.Connection[Any], query: str, values: tuple[Any, ...]) -> tuple[Entry, ...]:
    return tuple(
        Entry(
            stream=stream, seq=seq, at=at.astimezone(UTC), kind=kind, actor=actor, body=body, previous=before, hash=own
        )
        for stream, seq, at, kind, actor, body, before, own in connection.execute(query.encode(), values)
    )


def _same(stored: Entry, entry: Entry) -> None:
    if stored.hash != entry.hash:
        msg = (
            f"journal {entry.stream}: entry {entry.seq} was written by somebody else at {stored.at:%F %T} "
            f"({stored.kind}); another controller runs on this database, stop one of them"
        )
        raise JournalConflict(msg)


def _gap(entry: Entry) -> JournalConflict:
    msg = f"journal {entry.stream}: entry {entry.seq} has nothing to follow; the stream was restored from an older copy"
    return JournalConflict(msg)


def _within(seconds: float, work: Callable[[], T]) -> T:
    """Run blocking work with a time limit; work that is late goes on in a thread that nobody waits for."""
    answer: Future[T] = Future()

    def run() -> None:
        try:
            answer.set_result(work())
        except BaseException as error:  # noqa: BLE001  handed on to the caller's thread
            answer.set_exception(error)

    # Not a pool: the interpreter would wait for a pool's late thread at its end.
    threading.Thread(target=run, name="journal", daemon=True).start()
    return answer.result(timeout=seconds)
