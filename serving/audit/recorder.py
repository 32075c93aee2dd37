"""Recording events: many callers, one transaction for all that came together.

`record` queues an event and returns at once; the receipt is waited for before the request is
answered, so that the work of the request and the writing of its event run side by side:

    receipt = recorder.record(event)
    answer = await work()
    await receipt            # or receipt.wait() in a thread

Nothing is allowed that cannot be recorded: a full queue or a failed write raises, and whoever
asked is answered 503.
"""

import asyncio
import contextlib
import threading
from collections.abc import Generator, Sequence
from concurrent.futures import Future
from typing import Protocol

from models.errors import ZhuzhenError
from serving.audit.events import AuditEvent


class AuditUnavailableError(ZhuzhenError):
    """An event could not be recorded; what it describes must not be answered as done."""

    can_heal = True
    """It may be recorded later, so that what was not done for want of it is worth another try."""


class Receipt:
    """The promise that events are recorded: awaited in a coroutine, or `wait` in a thread."""

    __slots__ = ("_future",)

    def __init__(self, future: "Future[None]") -> None:
        self._future = future

    def wait(self, timeout_s: float | None = 30.0) -> None:
        """Block until the events are recorded.

        Raises:
            AuditUnavailableError: they are not, or not in time.
        """
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

        The receipt waits until the events outlive a loss of power. Without `wait_for_disk` it waits
        until they outlive this process alone; the disk has them within the recorder's bound.

        Raises:
            AuditUnavailableError: too many events wait to be written, or the recorder is closed.
        """
        ...


class Batch:
    """Events that one transaction writes."""

    __slots__ = ("events", "is_urgent", "synced", "written")

    def __init__(self) -> None:
        self.events: list[AuditEvent] = []
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
    """The queue between callers and the one thread that writes."""

    def __init__(self, most_waiting: int) -> None:
        self._most_waiting = most_waiting
        self._changed = threading.Condition()
        self._open = Batch()
        self._closed = False

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
            batch.is_urgent = batch.is_urgent or is_urgent
            self._changed.notify()
        return Receipt(batch.synced if is_urgent else batch.written)

    def take(self, patience_s: float) -> Batch | None:
        """Return what has come, an empty batch if nothing came in time, `None` at the end."""
        with self._changed:
            if not self._open.events and not self._closed:
                self._changed.wait(patience_s)
            if self._open.events:
                batch, self._open = self._open, Batch()
                return batch
            return None if self._closed else Batch()

    def close(self) -> None:
        """Take no more; what was taken will be written."""
        with self._changed:
            self._closed = True
            self._changed.notify()
