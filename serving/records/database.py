"""Opening the database that the settings name."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from models import store
from models.errors import ZhuzhenError
from serving.records.prepared import drive

FILE = "records.sqlite3"
_KINDS = ("sqlite", "postgresql")
_MOST_READING = 2
"""Connections that are kept open to read; more are closed after use."""
_BUSY_S = 30
"""Seconds that a writer waits for another one, on SQLite, which has one at a time."""


class DatabaseError(ZhuzhenError):
    """The database that the settings name cannot be used."""


def database_url(environment: Mapping[str, str] = os.environ, home: Path | None = None) -> str:
    """Return the address in `ZHUZHEN_DATABASE_URL`, by default a file in `ZHUZHEN_HOME`."""
    default = f"sqlite:///{(home or store.home()).resolve() / FILE}"
    return environment.get("ZHUZHEN_DATABASE_URL") or default


def open_engine(url: str) -> Engine:
    """Return an engine for `url`, set up so that what was committed outlives a loss of power.

    Raises:
        DatabaseError: it is no address of SQLite or PostgreSQL; the message does not repeat it, for
            it may hold a password.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        parsed = None
    if parsed is None or parsed.get_backend_name() not in _KINDS:
        raise DatabaseError(
            "ZHUZHEN_DATABASE_URL is not an address that is understood; expected sqlite:///FILE or "
            "postgresql+psycopg://USER@HOST/DATABASE."
        )
    if parsed.get_backend_name() == "postgresql":
        return create_engine(parsed.set(drivername="postgresql+psycopg"), pool_pre_ping=True)
    if parsed.database:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(parsed, connect_args={"timeout": _BUSY_S})
    event.listen(engine, "connect", _set_up_sqlite)
    return engine


@contextmanager
def writing(engine: Engine, *, synced: bool = True) -> Iterator[Connection]:
    """Yield a connection in a transaction that waits for its turn to write.

    What need not be `synced` is committed without waiting for the disk: it outlives a kill of the
    process, and not always a loss of power; the database is whole in any case.

    On SQLite a transaction that has read before it writes fails at once where another process has
    committed in between, however long it might wait; one that takes the lock at its begin waits.
    """
    with (
        engine.connect() as connection,
        _unsynced(connection, is_so=not synced),
        connection.begin(),
    ):
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        elif not synced:
            connection.exec_driver_sql("SET LOCAL synchronous_commit = off")
        yield connection


@contextmanager
def _unsynced(connection: Connection, *, is_so: bool) -> Iterator[None]:
    """On SQLite, which has no such setting of a transaction: commit without a sync for a while."""
    if not is_so or connection.dialect.name != "sqlite":
        yield
        return
    raw = connection.connection.driver_connection
    assert raw is not None  # noqa: S101 - it is connected
    raw.execute("PRAGMA synchronous = NORMAL")
    try:
        yield
    finally:
        raw.execute("PRAGMA synchronous = FULL")


class Writer:
    """What `writing` does, for who writes all the time: on SQLite over one connection kept open.

    Used by one thread at a time.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._connection: Connection | None = None
        self._is_synced = True

    @contextmanager
    def writing(self, *, synced: bool) -> Iterator[Connection]:
        """Yield a connection in a transaction; see `writing`."""
        if self._engine.dialect.name != "sqlite":
            with writing(self._engine, synced=synced) as connection:
                yield connection
            return
        if self._connection is None:
            self._connection, self._is_synced = self._engine.connect(), True
        try:
            if synced != self._is_synced:
                setting = "FULL" if synced else "NORMAL"
                drive(self._connection, f"PRAGMA synchronous = {setting}")
                self._is_synced = synced
            with self._connection.begin():
                drive(self._connection, "BEGIN IMMEDIATE")
                yield self._connection
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the connection; it is opened anew when it is needed."""
        if self._connection is not None:
            # Not given back, for it may be set not to sync.
            self._connection.invalidate()
            self._connection.close()
            self._connection = None


Result = TypeVar("Result")


class Reader:
    """Small single reads of what is committed by then, for who reads all the time.

    Used by many threads at once.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._idle: list[Connection] = []

    def read(self, read: Callable[[Connection], Result]) -> Result:
        """Return what `read` gives; over a fresh connection where one kept open has failed.

        Raises:
            DBAPIError: the database did not answer.
        """
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                break
            try:
                return self._over(connection, read)
            except DBAPIError:
                continue
        fresh = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        return self._over(fresh, read)

    def _over(self, connection: Connection, read: Callable[[Connection], Result]) -> Result:
        try:
            found = read(connection)
        except BaseException:
            connection.invalidate()
            connection.close()
            raise
        if len(self._idle) < _MOST_READING:
            self._idle.append(connection)
        else:
            connection.close()
        return found

    def close(self) -> None:
        """Close what is kept open."""
        while self._idle:
            self._idle.pop().close()


def empty_log(engine: Engine) -> None:
    """On SQLite, take what was deleted out of the write-ahead log, too, which keeps pages as they
    were until it needs their place. (PostgreSQL recycles its own.)
    """
    if engine.dialect.name == "sqlite":
        with engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")


def _set_up_sqlite(connection: Any, _: object) -> None:
    cursor = connection.cursor()
    # Readers and the writer do not wait for each other.
    cursor.execute("PRAGMA journal_mode = WAL")
    # With NORMAL the last commits could be lost with the power; what was acknowledged must not be.
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    # What is deleted is overwritten, and does not lie in the file until its place is needed.
    cursor.execute("PRAGMA secure_delete = ON")
    cursor.close()
