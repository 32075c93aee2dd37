"""Making what was committed outlive a loss of power, for all who wait, one sync at a time.

A commit is a write: it outlives this process, but not the machine. What makes it outlive that, too,
takes milliseconds, so it happens beside the writing of the next events, once for all transactions
that were committed meanwhile.
"""

import logging
import os
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError

from serving.audit.chain import Head
from serving.audit.recorder import AWAKE_S, AuditUnavailableError, Batch

_LOG = logging.getLogger("zhuzhen.audit")


class Disk(Protocol):
    """Where commits of one connection end up."""

    def sync(self) -> None:
        """Return when every commit before the call outlives a loss of power.

        Raises:
            OSError: that is not certain.
            SQLAlchemyError: likewise.
        """

    def close(self) -> None:
        """Let go; a later `sync` raises."""


class WalFile:
    """SQLite's write-ahead log, which holds the commits (https://sqlite.org/wal.html).

    SQLite takes its locks on other files, so that this one may be opened and closed beside it. It
    stays the same file for as long as a connection is open.
    """

    def __init__(self, database: Path) -> None:
        path = database.with_name(f"{database.name}-wal")
        self._file: int | None = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        self._lock = threading.Lock()
        # The file's name must outlive the power, too.
        folder = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def sync(self) -> None:
        """Sync the log."""
        # A number of a file that was closed meanwhile might be another file's.
        with self._lock:
            if self._file is None:
                raise OSError("The write-ahead log was closed.")
            os.fdatasync(self._file)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._file is not None:
                os.close(self._file)
                self._file = None


class ServerLog:
    """PostgreSQL's write-ahead log, asked over a connection of its own.

    The connection is opened before anything is committed that it answers for: had the server gone
    down in between, with commits that it had not written, the connection would be gone as well.
    """

    def __init__(self, engine: Engine) -> None:
        self._lock = threading.Lock()
        connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        self._connection: Connection | None = connection
        connection.execute(text("SET synchronous_commit = on"))

    def sync(self) -> None:
        """Commit a message that nobody reads: it returns when the log up to it is on disk."""
        with self._lock:
            if self._connection is None:
                raise OSError("The connection to PostgreSQL's log was closed.")
            self._connection.execute(_MESSAGE)

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            if self._connection is not None:
                self._connection.invalidate()
                self._connection.close()
                self._connection = None


_MESSAGE = text("SELECT pg_logical_emit_message(true, 'zhuzhen-audit', '')")


class NoDisk:
    """Of a database whose commits outlive a loss of power by themselves, or that is in memory."""

    def sync(self) -> None:
        """There is nothing to do."""

    def close(self) -> None:
        """There is nothing to close."""


@dataclass(frozen=True, slots=True)
class Written:
    """Events that were committed."""

    batch: Batch
    lane: int
    head: Head
    """The last of them."""
    disk: Disk


class Syncer:
    """The thread that syncs: at once where somebody waits for it, else within a bound.

    While events come, and for a second after, it looks for them by itself, once in that time; then
    it sleeps, and the next one wakes it.

    What could not be synced is handed back (`take_lost`): it may be gone.
    """

    def __init__(self, within_s: float) -> None:
        # The sync itself takes time, and is to be over by then.
        self._patience_s = within_s / 2
        # Without a bound everybody waits, and wakes the thread.
        self._awake_s = AWAKE_S if within_s else 0.0
        self._changed = threading.Condition()
        self._waiting: list[Written] = []
        self._lost: list[Written] = []
        self._is_urgent = False
        self._asleep = False
        self._closed = False
        self._came_at = -AWAKE_S
        self._thread = threading.Thread(target=self._run, name="audit-sync", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """Sync what waits, and end."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread.ident is not None:
            self._thread.join()

    def add(self, written: Written) -> None:
        """Have `written` synced."""
        with self._changed:
            self._waiting.append(written)
            self._came_at = time.monotonic()
            self._is_urgent = self._is_urgent or written.batch.is_urgent
            if self._is_urgent or self._asleep:
                self._changed.notify()

    @property
    def has_lost(self) -> bool:
        """Whether something was handed back."""
        return bool(self._lost)

    def take_lost(self) -> list[Written]:
        """Return what could not be synced since the last call."""
        with self._changed:
            lost, self._lost = self._lost, []
            return lost

    def give_back(self, lost: Iterable[Written]) -> None:
        """Keep what was taken and could not be made good."""
        with self._changed:
            self._lost = [*lost, *self._lost]

    def _run(self) -> None:
        while due := self._due():
            for disk in {id(written.disk): written.disk for written in due}.values():
                self._sync(disk, [written for written in due if written.disk is disk])

    def _due(self) -> list[Written]:
        """Wait until something has to be synced; return nothing at the end."""
        with self._changed:
            self._linger()
            while self._is_idle() and time.monotonic() < self._came_at + self._awake_s:
                self._linger()
            while self._is_idle():
                self._asleep = True
                self._changed.wait()
                self._asleep = False
                self._linger()
            due, self._waiting = self._waiting, []
            self._is_urgent = False
            return due

    def _is_idle(self) -> bool:
        return not self._waiting and not self._closed

    def _linger(self) -> None:
        """Wait for more, unless somebody waits for what has come."""
        if not self._is_urgent and not self._closed:
            self._changed.wait(self._patience_s)

    def _sync(self, disk: Disk, due: list[Written]) -> None:
        try:
            disk.sync()
        except (OSError, SQLAlchemyError) as error:
            _LOG.error("audit events could not be synced: %s", type(error).__name__)
            with self._changed:
                self._lost.extend(due)
            failure = AuditUnavailableError(
                "The audit record was written, but it is not certain that it would outlive a loss "
                "of power. See to the database and its disk, then try again."
            )
            for written in due:
                written.batch.synced.set_exception(failure)
        else:
            for written in due:
                written.batch.synced.set_result(None)
