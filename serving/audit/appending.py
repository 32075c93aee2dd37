"""One writer's lane, open in the database: adding events to its end."""

import contextlib
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import Connection, Engine, select, text
from sqlalchemy.exc import DBAPIError

from serving.audit.chain import Head, link
from serving.audit.checkpoints import Signer
from serving.audit.events import AuditEvent, utc_text
from serving.audit.lanes import LaneClaim, claim_lane
from serving.audit.stating import head_of, is_a_writers
from serving.audit.syncing import Disk, NoDisk, ServerLog, WalFile
from serving.audit.tables import EVENTS


class Appender:
    """A connection, the lane that is claimed over it, and the lane's last event.

    Commits outlive this process when they return; `disk` makes them outlive a loss of power.

    Raises:
        NoLaneError: there are too many writers.
        SQLAlchemyError: the database cannot be used.
    """

    def __init__(self, engine: Engine, signer: Signer) -> None:
        self._signer = signer
        self._claim: LaneClaim | None = None
        self.disk: Disk = NoDisk()
        self._connection = engine.connect()
        dbapi = engine.dialect.loaded_dbapi
        self._errors: type[Exception] = dbapi.Error
        self._waits = True
        try:
            self._claim = claim_lane(self._connection, self._is_a_writers)
            self.lane = self._claim.lane
            self.head = head_of(self._connection, self.lane)
            self._busy_ms = _busy_ms_of(self._connection)
            self._connection.rollback()
            self.disk = _disk_of(engine, self._connection)
        except BaseException:
            self.close()
            raise

    @property
    def is_immediate(self) -> bool:
        """Whether a commit is a few writes of this process and waits for nothing."""
        return isinstance(self.disk, WalFile)

    def append(self, events: Sequence[AuditEvent], *, wait: bool = True) -> Head:
        """Add `events` in one transaction; return the last of them.

        Without `wait` it is an error, after which the next call may follow, that another process
        is writing to SQLite's file just now.
        """
        if wait != self._waits:
            self._set_waiting(wait)
        rows, head = self._rows(events)
        self._insert(rows)
        self.head = head
        return head

    def _insert(self, rows: list[dict[str, object]]) -> None:
        """Add `rows` by the driver itself: every request waits for it, and SQLAlchemy's way of
        taking a statement there has as many steps as all the rest of a request's event.
        """
        statement = _INSERTS[self._connection.dialect.name]
        driver = self._connection.connection
        try:
            cursor = driver.cursor()
            # The first statement that writes begins a transaction, with both drivers.
            cursor.executemany(statement, rows)
            driver.commit()
            cursor.close()
        except self._errors as error:
            with contextlib.suppress(self._errors):
                driver.rollback()
            # Rows are not among what is told: they are the event's.
            raise DBAPIError.instance(
                statement, None, error, self._errors, hide_parameters=True
            ) from error

    def _set_waiting(self, wait: bool) -> None:
        if self._connection.dialect.name == "sqlite":
            cursor = self._connection.connection.cursor()
            cursor.execute(f"PRAGMA busy_timeout = {self._busy_ms if wait else 0}")
            cursor.close()
        self._waits = wait

    def holds(self, lane: int, head: Head) -> bool:
        """Whether an event is in the database, and so are those of its lane before it."""
        query = select(EVENTS.c.hash).where(
            EVENTS.c.lane == lane, EVENTS.c.sequence == head.sequence
        )
        found = self._connection.scalar(query)
        self._connection.rollback()
        return found is not None and bytes(found) == head.hash

    def secure(self) -> None:
        """Bring what SQLite's log holds into the database file, and sync that.

        After a sync that failed, the next one says nothing of what the failed one was for: Linux
        tells of a page that could not be written once, and takes it for written from then on.

        Raises:
            OSError: somebody else is writing or reading for too long.
        """
        if self._connection.dialect.name != "sqlite" or isinstance(self.disk, NoDisk):
            return
        busy = self._connection.exec_driver_sql("PRAGMA wal_checkpoint(FULL)").one()[0]
        self._connection.rollback()
        if busy:
            raise OSError("The write-ahead log could not be brought into the database.")

    def close(self) -> None:
        """Let go of the lane."""
        self.disk.close()
        if self._claim is not None:
            self._claim.release()
        # Not back into the pool: the advisory lock must go with it, and so must the settings.
        self._connection.invalidate()
        self._connection.close()

    def _is_a_writers(self, lane: int) -> bool:
        return is_a_writers(self._connection, lane, self._signer)

    def _rows(self, events: Sequence[AuditEvent]) -> tuple[list[dict[str, object]], Head]:
        head, rows = self.head, []
        for event in events:
            payload = event.canonical()
            number = head.sequence + 1
            following = Head(number, link(self.lane, number, head.hash, payload))
            rows.append(
                {
                    "lane": self.lane,
                    "sequence": number,
                    "previous": head.hash,
                    "hash": following.hash,
                    "payload": payload.decode(),
                    "signature": None,
                    "occurred_at": utc_text(event.occurred_at),
                    "patient": event.patient,
                }
            )
            head = following
        rows[-1]["signature"] = self._signer.sign_head(self.lane, head)
        return rows, head


def _insertion(placeholder: str) -> str:
    names = [column.name for column in EVENTS.columns]
    values = ", ".join(placeholder % name for name in names)
    return f"INSERT INTO {EVENTS.name} ({', '.join(names)}) VALUES ({values})"  # noqa: S608


_INSERTS = {"sqlite": _insertion(":%s"), "postgresql": _insertion("%%(%s)s")}
"""In the drivers' own words."""


_MOST_PAGES = 8192
"""Of the write-ahead log, 32 MiB."""


def _busy_ms_of(connection: Connection) -> int:
    """Return for how long a commit waits for another process's, on SQLite."""
    if connection.dialect.name != "sqlite":
        return 0
    return int(connection.exec_driver_sql("PRAGMA busy_timeout").scalar_one())


def _disk_of(engine: Engine, connection: Connection) -> Disk:
    """Let commits return before they outlive a loss of power; return what sees to that."""
    if connection.dialect.name == "postgresql":
        disk = ServerLog(engine)
        connection.execute(text("SET synchronous_commit = off"))
        connection.commit()
        return disk
    mode = connection.exec_driver_sql("PRAGMA journal_mode").scalar_one()
    database = engine.url.database
    if mode != "wal" or not database:
        connection.exec_driver_sql("PRAGMA synchronous = FULL")
        connection.rollback()
        return NoDisk()
    connection.exec_driver_sql("PRAGMA synchronous = NORMAL")
    # Checkpoints sync both files. Those of the signed heads, over another connection, come every
    # few seconds and bring the log into the database; an event's commit, which somebody waits for,
    # does it only if they do not keep up.
    connection.exec_driver_sql(f"PRAGMA wal_autocheckpoint = {_MOST_PAGES}")
    connection.rollback()
    return WalFile(Path(database))
