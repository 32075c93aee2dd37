"""Writes to the index, many senders' together in one transaction.

A commit costs the same for one instance as for thirty: whatever arrives while one transaction is
being written goes into the next. Who waits for their write anyway, and finds nobody writing, does
so themselves, for all who wait: to hand it to another thread and back takes longer than a commit
that does not wait for the disk.
"""

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, IntegrityError

from models.errors import ZhuzhenError
from serving.records import Writer

Result = TypeVar("Result")
_MOST_TOGETHER = 64
_ATTEMPTS = 5
_CROSSED = ("40001", "40P01")
"""serialization_failure and deadlock_detected, of PostgreSQL's table of error codes."""


class LedgerClosedError(ZhuzhenError):
    """The node is stopping; nothing is written any more."""


class _Entry(Generic[Result]):
    """One sender's write and the promise of its result."""

    def __init__(self, write: Callable[[Connection], Result], *, synced: bool) -> None:
        self._write = write
        self.synced = synced
        self.future: Future[Result] = Future()
        self._result: Result

    def run(self, connection: Connection) -> None:
        """Write."""
        self._result = self._write(connection)

    def settle(self) -> None:
        """Tell the result, now that it is committed."""
        self.future.set_result(self._result)


class Ledger:
    """The one writer of a process."""

    def __init__(self, engine: Engine) -> None:
        self._writer = Writer(engine)
        self._waiting: deque[_Entry[object]] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._turn = threading.Lock()
        """Held by who writes."""
        self._thread = threading.Thread(target=self._run, name="ledger", daemon=True)
        self._thread.start()

    def write(self, write: Callable[[Connection], Result], *, synced: bool = True) -> Result:
        """Run `write` in a transaction and return its result once that is committed; see `submit`.

        Raises:
            LedgerClosedError: the node is stopping.
            Exception: what `write` raised, or the database.
        """
        entry = _Entry(write, synced=synced)
        with self._changed:
            self._add(entry)
        with self._turn:
            while not entry.future.done():
                self._commit_next()
        return entry.future.result()

    def submit(
        self, write: Callable[[Connection], Result], *, synced: bool = True
    ) -> Future[Result]:
        """Have `write` run in a transaction; the future is settled once that is committed.

        `write` may run more than once, each time as if for the first. What need not be `synced`
        outlives this process, and not a loss of power in the moments after.

        Raises:
            LedgerClosedError: the node is stopping.
        """
        entry = _Entry(write, synced=synced)
        with self._changed:
            self._add(entry)
            self._changed.notify()
        return entry.future

    def close(self) -> None:
        """Write what waits and stop."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()
        with self._turn:
            self._writer.close()

    def _add(self, entry: _Entry[Result]) -> None:
        if self._closed:
            raise LedgerClosedError("The node is stopping; send again in a moment.")
        self._waiting.append(entry)  # type: ignore[arg-type]  # each gets its own result back

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._closed:
                    self._changed.wait()
                if not self._waiting:
                    return
            with self._turn:
                self._commit_next()

    def _commit_next(self) -> None:
        """Commit what waits; by whoever has the turn."""
        with self._changed:
            count = min(len(self._waiting), _MOST_TOGETHER)
            batch = [self._waiting.popleft() for _ in range(count)]
        if batch:
            self._commit(batch)

    def _commit(self, batch: list[_Entry[object]], attempt: int = 1) -> None:
        """Commit a batch; where one of it fails, each alone, so that it fails for itself."""
        try:
            synced = any(entry.synced for entry in batch)
            with self._writer.writing(synced=synced) as connection:
                for entry in batch:
                    entry.run(connection)
        except Exception as error:  # noqa: BLE001 - it is handed to whoever waits
            if len(batch) == 1 and (attempt == _ATTEMPTS or not _was_crossed(error)):
                batch[0].future.set_exception(error)
                return
            for entry in batch:
                self._commit([entry], attempt + 1 if len(batch) == 1 else 1)
            return
        for entry in batch:
            entry.settle()


def _was_crossed(error: Exception) -> bool:
    """Whether another process wrote the same at the same time: the next try sees what it wrote."""
    if isinstance(error, IntegrityError):
        return True
    found = error.orig if isinstance(error, DBAPIError) else None
    return getattr(found, "sqlstate", None) in _CROSSED
