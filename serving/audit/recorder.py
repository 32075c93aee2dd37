"""Recording events: many callers, one transaction for all that came together.

`record` queues an event and returns at once; the receipt is waited for before the request is
answered. What institutions read of their own is written when the first of those who came together
waits for it, or in a moment: requests that are worked on meanwhile share a transaction, and none is
interrupted by the writing of its own event. Where the database is a file and free, whoever waits
writes: that takes less time than to wake another thread and to be woken by it.

    receipt = recorder.record(event)
    answer = await work()
    await receipt            # or receipt.wait() in a thread

Nothing is allowed that cannot be recorded: a full queue or a failed write raises, and whoever
asked is answered 503.
"""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Protocol

from models.errors import ZhuzhenError
from serving.audit.events import AuditEvent

AWAKE_S = 1.0
"""Seconds without an event after which the threads of a recorder sleep."""


class AuditUnavailableError(ZhuzhenError):
    """An event could not be recorded; what it describes must not be answered as done."""

    can_heal = True
    """It may be recorded later, so that what was not done for want of it is worth another try."""


class Receipt:
    """The promise that events are recorded: awaited in a coroutine, or `wait` in a thread."""

    __slots__ = ("_future", "_hurry")

    def __init__(self, future: "Future[None]", hurry: Callable[[], None]) -> None:
        """`hurry` has the events recorded now."""
        self._future = future
        self._hurry = hurry

    def wait(self, timeout_s: float | None = 30.0) -> None:
        """Block until the events are recorded.

        Raises:
            AuditUnavailableError: they are not, or not in time.
        """
        if not self._future.done():
            self._hurry()
        try:
            self._future.result(timeout_s)
        except TimeoutError:
            raise AuditUnavailableError(
                f"The audit record was not written within {timeout_s} s. Try again later."
            ) from None

    def __await__(self) -> Generator[object, None, None]:
        """Wait until the events are recorded.

        Raises:
            AuditUnavailableError: they are not.
        """
        if self._future.done():
            self._future.result()
            return
        self._hurry()
        if self._future.done():
            self._future.result()
            return
        # A future of this waiter's own: cancelled, it takes nothing from the batch's others.
        loop = asyncio.get_running_loop()
        waiter = loop.create_future()
        self._future.add_done_callback(lambda _: _wake(loop, waiter))
        yield from waiter
        self._future.result()


def _wake(loop: asyncio.AbstractEventLoop, waiter: "asyncio.Future[None]") -> None:
    """Let a coroutine go on, from another thread."""

    def wake() -> None:
        if not waiter.done():
            waiter.set_result(None)

    # The loop may have been closed since, with whoever waited.
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(wake)


class Recorder(Protocol):
    """Where events are recorded."""

    def record(self, *events: AuditEvent, wait_for_disk: bool = True) -> Receipt:
        """Queue `events`; cheap, never blocks, may be called from the event loop and any thread.

        They are written when somebody waits for the receipt, and at the latest within the
        recorder's bound; at once where the disk is waited for.

        The receipt waits until the events outlive a loss of power. Without `wait_for_disk` it waits
        until they outlive this process alone; the disk has them within the recorder's bound.

        Raises:
            AuditUnavailableError: too many events wait to be written, or the recorder is closed.
        """
        ...


class Batch:
    """Events that one transaction writes."""

    __slots__ = ("events", "is_awaited", "is_urgent", "synced", "written")

    def __init__(self) -> None:
        self.events: list[AuditEvent] = []
        self.is_awaited = False
        """Whether somebody waits for `written`."""
        self.is_urgent = False
        """Whether somebody waits for `synced`."""
        self.written: Future[None] = Future()
        """They outlive this process."""
        self.synced: Future[None] = Future()
        """They outlive a loss of power."""
        # Waiters cannot take back an event that others wait for in the same transaction.
        self.written.set_running_or_notify_cancel()
        self.synced.set_running_or_notify_cancel()

    def fail(self, error: AuditUnavailableError) -> None:
        """Tell everybody who waits that the events are not written."""
        self.written.set_exception(error)
        self.synced.set_exception(error)


class Intake:
    """The queue between callers and the one thread that writes.

    The writer is woken for what somebody waits for. While events come, and for a second after, it
    looks by itself; only when it sleeps does the first that comes wake it.
    """

    def __init__(
        self, most_waiting: int, write_within_s: float, write_here: Callable[[Batch], None]
    ) -> None:
        """`write_here` may write a batch in the thread of who waits for it, if it can `detach`
        it.
        """
        self._most_waiting = most_waiting
        self._write_within_s = write_within_s
        self._awake_s = AWAKE_S if write_within_s else 0.0
        self._write_here = write_here
        self._changed = threading.Condition()
        self._open = Batch()
        self._returned: list[Batch] = []
        self._asleep = False
        self._closed = False
        self._came_at = -AWAKE_S
        """When the last event came."""

    def put(self, events: Sequence[AuditEvent], *, is_urgent: bool) -> Receipt:
        """Queue `events` for the next transaction.

        Raises:
            AuditUnavailableError: too many wait already, or the intake is closed.
        """
        with self._changed:
            if self._closed:
                raise AuditUnavailableError("The audit record is closed: the service is stopping.")
            batch = self._open
            if len(batch.events) + len(events) > self._most_waiting:
                raise AuditUnavailableError(
                    f"More than {self._most_waiting} audit events wait to be written. Nothing is "
                    "done that cannot be recorded; try again in a moment."
                )
            batch.events.extend(events)
            self._came_at = time.monotonic()
            batch.is_urgent = batch.is_urgent or is_urgent
            if is_urgent or self._asleep:
                self._changed.notify()
        return Receipt(batch.synced if is_urgent else batch.written, partial(self._hurry, batch))

    def take(self, patience_s: float) -> Batch | None:
        """Return what has to be written, an empty batch if nothing came in time, `None` at the end.

        Nothing that came before the call waits for longer than the bound.
        """
        until = time.monotonic() + patience_s
        with self._changed:
            self._linger()
            # Waking a thread costs whoever does it more than a look now and then costs this one.
            while self._is_idle() and time.monotonic() < min(until, self._came_at + self._awake_s):
                self._linger()
            if self._is_idle():
                self._asleep = True
                self._changed.wait(max(0.0, until - time.monotonic()))
                self._asleep = False
                if self._open.events:
                    self._linger()
            if self._returned:
                return self._returned.pop(0)
            if self._open.events:
                batch, self._open = self._open, Batch()
                return batch
            return None if self._closed else Batch()

    def detach(self, batch: Batch) -> bool:
        """Let nobody else write `batch`; `False` if somebody does already."""
        with self._changed:
            if batch is not self._open:
                return False
            self._open = Batch()
            return True

    def give_back(self, batch: Batch) -> None:
        """Have the thread write what was detached."""
        with self._changed:
            self._returned.append(batch)
            self._changed.notify()

    def close(self) -> None:
        """Take no more; what was taken will be written."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def _is_idle(self) -> bool:
        return not (self._open.events or self._returned or self._closed)

    def _linger(self) -> None:
        """Wait until somebody waits for what has come, as long as it may wait at most."""
        is_awaited = self._open.is_urgent or self._open.is_awaited or self._returned
        if not (is_awaited or self._closed):
            self._changed.wait(self._write_within_s)

    def _hurry(self, batch: Batch) -> None:
        """Have `batch` written now; what is not open any more is being written."""
        # The thread has been woken for what has to be on disk, and writes for all who wait for it.
        if not batch.is_urgent:
            self._write_here(batch)
        with self._changed:
            if batch is self._open and not batch.is_awaited:
                batch.is_awaited = True
                self._changed.notify()
