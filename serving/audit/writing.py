"""The recorder that writes into the database: group commit, hash chain, syncs, checkpoints."""

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from models.errors import ZhuzhenError
from serving.audit.anchor import Anchor
from serving.audit.appending import Appender
from serving.audit.checkpoints import Signer
from serving.audit.events import AuditEvent
from serving.audit.recorder import AuditUnavailableError, Batch, Intake, Receipt
from serving.audit.stating import state_heads
from serving.audit.syncing import Syncer, Written
from serving.records import is_out_of_space

_LOG = logging.getLogger("zhuzhen.audit")
_STATING_ATTEMPTS = 5
"""Times that other writers may be quicker with the next checkpoint; it is then their turn's end."""


@dataclass(frozen=True, slots=True)
class RecorderSettings:
    """How events are written."""

    most_waiting: int = 20_000
    """Events that may wait for the next transaction; more are refused."""
    checkpoint_interval_s: float = 5.0
    """Seconds between checkpoints while events come: what may be cut off the end unseen by somebody
    who can write to the database after a crash."""
    write_within_s: float = 0.02
    """Seconds after which events are written that nobody waits for yet, of requests that are still
    worked on: those that take longer have theirs written beside their work."""
    attempts: int = 3
    """Times that a transaction is tried."""
    sync_within_s: float = 0.1
    """Seconds after which events outlive a loss of power that nobody waits for; with 0 everybody
    waits for that."""


class DatabaseRecorder:
    """Writes events into one lane of the database; a thread of its own syncs them.

    Who waits for an event writes it where that takes no waiting; a thread writes all others.

    Call `start` before and `close` after use; `close` writes what was taken and a last checkpoint.
    """

    def __init__(
        self,
        engine: Engine,
        signer: Signer,
        anchor_path: Path,
        settings: RecorderSettings | None = None,
    ) -> None:
        self._engine = engine
        self._signer = signer
        self._anchor = Anchor(anchor_path)
        self._settings = settings or RecorderSettings()
        self._intake = Intake(
            self._settings.most_waiting, self._settings.write_within_s, self._write_here
        )
        self._syncer = Syncer(self._settings.sync_within_s)
        self._thread = threading.Thread(target=self._run, name="audit", daemon=True)
        self._appender: Appender | None = None
        self._turn = threading.Lock()
        """Of whoever uses the appender."""
        self._stated_at = time.monotonic()
        self._unstated = False

    def start(self) -> "DatabaseRecorder":
        """Claim a lane and begin to write.

        Raises:
            AuditTamperedError: the database lacks what the anchor says was there.
            NoLaneError: there are too many writers.
        """
        with self._engine.connect() as connection:
            self._anchor.require_part_of(connection)
        self._connect()
        self._syncer.start()
        self._thread.start()
        return self

    def __enter__(self) -> "DatabaseRecorder":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Write what was taken, sign a last checkpoint and let go of the lane."""
        self._intake.close()
        if self._thread.ident is not None:
            self._thread.join()
        with self._turn:
            self._disconnect()

    def record(self, *events: AuditEvent, wait_for_disk: bool = True) -> Receipt:
        """Queue `events`; see `Recorder.record`."""
        is_urgent = wait_for_disk or self._settings.sync_within_s == 0
        return self._intake.put(events, is_urgent=is_urgent)

    def _run(self) -> None:
        patience_s = self._settings.checkpoint_interval_s
        while (batch := self._intake.take(patience_s)) is not None:
            with self._turn:
                if batch.events:
                    self._settle(batch)
                elif self._syncer.has_lost:
                    self._mend()
            if time.monotonic() - self._stated_at >= patience_s:
                self._state()
        self._syncer.close()
        with self._turn:
            if self._syncer.has_lost:
                self._mend()
        # This commit syncs whatever was written before it.
        self._state()

    def _write_here(self, batch: Batch) -> None:
        """Write `batch` in the thread that waits for it, if that itself takes no waiting."""
        if not self._turn.acquire(blocking=False):
            return
        try:
            appender = self._appender
            if appender is None or not appender.is_immediate or self._syncer.has_lost:
                return
            if self._intake.detach(batch):
                try:
                    head = appender.append(batch.events, wait=False)
                except (SQLAlchemyError, ZhuzhenError, OSError):
                    # Somebody else's transaction, or a disk that is full: the thread has patience.
                    self._intake.give_back(batch)
                else:
                    self._wrote(Written(batch, appender.lane, head, appender.disk))
        finally:
            self._turn.release()

    def _settle(self, batch: Batch) -> None:
        """Write `batch` and tell those who wait how it went."""
        try:
            written = self._write_patiently(batch)
        except (SQLAlchemyError, ZhuzhenError, OSError) as error:
            _LOG.error("audit events could not be written: %s", _cause(error))
            batch.fail(
                AuditUnavailableError(
                    "The audit record cannot be written; nothing is done that cannot be recorded. "
                    "The service's log has the cause: see to the database and its disk, then try "
                    "again."
                )
            )
        else:
            self._wrote(written)

    def _wrote(self, written: Written) -> None:
        self._unstated = True
        written.batch.written.set_result(None)
        self._syncer.add(written)

    def _write_patiently(self, batch: Batch) -> Written:
        for attempt in range(1, self._settings.attempts + 1):
            try:
                appender = self._connect()
                self._make_good(appender)
                head = appender.append(batch.events)
            except (SQLAlchemyError, OSError) as error:
                # A lost connection, a lane that another writer took, or a lock held for long: begin
                # anew from what the database says. A commit whose answer was lost is found by its
                # place being taken, and written once more: rather an event twice than not at all.
                self._disconnect()
                if attempt == self._settings.attempts:
                    raise
                if not isinstance(error, IntegrityError):
                    time.sleep(0.05 * attempt)
            else:
                return Written(batch, appender.lane, head, appender.disk)
        raise AssertionError("every attempt returns or raises")

    def _make_good(self, appender: Appender) -> None:
        """Write again what was committed and went down with the database before it was synced."""
        lost = self._syncer.take_lost()
        while lost:
            try:
                appender.secure()
                batch = _again(lost[0].batch.events)
                lane, head = lost[0].lane, lost[0].head
                if not appender.holds(lane, head):
                    lane, head = appender.lane, appender.append(batch.events)
            except BaseException:
                self._syncer.give_back(lost)
                raise
            self._syncer.add(Written(batch, lane, head, appender.disk))
            del lost[0]

    def _mend(self) -> None:
        try:
            self._make_good(self._connect())
        except (SQLAlchemyError, ZhuzhenError, OSError) as error:
            _LOG.error("audit events could not be written again: %s", _cause(error))
            self._disconnect()

    def _connect(self) -> Appender:
        """Return the open end of this writer's lane; found anew after a failure."""
        if self._appender is None:
            self._appender = Appender(self._engine, self._signer)
        return self._appender

    def _disconnect(self) -> None:
        if self._appender is not None:
            self._appender.close()
        self._appender = None

    def _state(self) -> None:
        """Sign how far all lanes have come, if anything came since."""
        self._stated_at = time.monotonic()
        if not self._unstated:
            return
        # What is written from now on is for the next one, whether this one sees it or not.
        self._unstated = False
        try:
            for _ in range(_STATING_ATTEMPTS):
                with self._engine.connect() as connection:
                    signed = state_heads(connection, self._signer)
                if signed is not None:
                    self._anchor.write(signed)
                    return
        except (SQLAlchemyError, OSError) as error:
            _LOG.error("an audit checkpoint could not be written: %s", _cause(error))
        self._unstated = True


def _again(events: Sequence[AuditEvent]) -> Batch:
    """Return a batch of what nobody waits for any more."""
    batch = Batch()
    batch.events.extend(events)
    batch.is_urgent = True
    batch.written.set_result(None)
    return batch


def _cause(error: Exception) -> str:
    """Say what failed; the driver's own text may hold the row."""
    if is_out_of_space(error):
        return "no space is left on the disk of the database"
    return type(error).__name__
