"""The recorder that writes into the database: group commit, hash chain, checkpoints."""

import logging
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, Engine, insert, text
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from models.errors import ZhuzhenError
from serving.audit.anchor import Anchor
from serving.audit.chain import Head, link
from serving.audit.checkpoints import Signer
from serving.audit.events import AuditEvent, utc_text
from serving.audit.lanes import LaneClaim, claim_lane
from serving.audit.recorder import AuditUnavailableError, Batch, Intake, Receipt
from serving.audit.stating import head_of, state_heads
from serving.audit.tables import EVENTS

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
    attempts: int = 3
    """Times that a transaction is tried."""


class DatabaseRecorder:
    """Writes events into one lane of the database, from one thread.

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
        self._intake = Intake(self._settings.most_waiting)
        self._thread = threading.Thread(target=self._run, name="audit", daemon=True)
        self._connection: Connection | None = None
        self._claim: LaneClaim | None = None
        self._head: Head | None = None
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
        self._disconnect()

    def record(self, *events: AuditEvent) -> Receipt:
        """Queue `events`; see `Recorder.record`."""
        return self._intake.put(events)

    def _run(self) -> None:
        patience_s = self._settings.checkpoint_interval_s
        while (batch := self._intake.take(patience_s)) is not None:
            if batch.events:
                self._settle(batch)
            if time.monotonic() - self._stated_at >= patience_s:
                self._state()
        self._state()

    def _settle(self, batch: Batch) -> None:
        """Write `batch` and tell those who wait how it went."""
        try:
            self._write_patiently(batch.events)
        except (SQLAlchemyError, ZhuzhenError, OSError) as error:
            # The driver's text may hold the row; its kind is enough to look for the cause.
            _LOG.error("audit events could not be written: %s", type(error).__name__)
            failure = AuditUnavailableError(
                "The audit record cannot be written; nothing is done that cannot be recorded. The "
                "service's log has the cause: see to the database and its disk, then try again."
            )
            batch.future.set_exception(failure)
        else:
            batch.future.set_result(None)
            self._unstated = True

    def _write_patiently(self, events: list[AuditEvent]) -> None:
        for attempt in range(1, self._settings.attempts + 1):
            try:
                self._write(events)
            except SQLAlchemyError as error:
                # A lost connection, a lane that another writer took, or a lock held for long: begin
                # anew from what the database says. A commit whose answer was lost is found by its
                # place being taken, and written once more: rather an event twice than not at all.
                self._disconnect()
                if attempt == self._settings.attempts:
                    raise
                if not isinstance(error, IntegrityError):
                    time.sleep(0.05 * attempt)
            else:
                return

    def _write(self, events: list[AuditEvent]) -> None:
        connection, lane, head = self._connect()
        rows: list[dict[str, object]] = []
        for event in events:
            payload = event.canonical()
            following = Head(head.sequence + 1, link(lane, head.sequence + 1, head.hash, payload))
            rows.append(
                {
                    "lane": lane,
                    "sequence": following.sequence,
                    "previous": head.hash,
                    "hash": following.hash,
                    "payload": payload.decode(),
                    "signature": None,
                    "occurred_at": utc_text(event.occurred_at),
                    "patient": event.patient,
                }
            )
            head = following
        rows[-1]["signature"] = self._signer.sign_head(lane, head)
        with connection.begin():
            connection.execute(insert(EVENTS), rows)
        self._head = head

    def _connect(self) -> tuple[Connection, int, Head]:
        """Return the connection, lane and head of this writer; found anew after a failure."""
        if self._connection is None or self._claim is None or self._head is None:
            self._disconnect()
            connection = self._connection = self._engine.connect()
            _demand_durability(connection)
            self._claim = claim_lane(connection)
            self._head = head_of(connection, self._claim.lane)
            connection.rollback()
        return self._connection, self._claim.lane, self._head

    def _disconnect(self) -> None:
        if self._claim is not None:
            self._claim.release()
        if self._connection is not None:
            # Not back into the pool: the advisory lock must go with it.
            self._connection.invalidate()
            self._connection.close()
        self._connection = self._claim = self._head = None

    def _state(self) -> None:
        """Sign how far all lanes have come, if anything came since."""
        self._stated_at = time.monotonic()
        if not self._unstated:
            return
        try:
            for _ in range(_STATING_ATTEMPTS):
                with self._engine.connect() as connection:
                    signed = state_heads(connection, self._signer)
                if signed is not None:
                    self._anchor.write(signed)
                    self._unstated = False
                    return
        except (SQLAlchemyError, OSError) as error:
            _LOG.error("an audit checkpoint could not be written: %s", type(error).__name__)


def _demand_durability(connection: Connection) -> None:
    """A commit returns when it is on disk, whatever the database's defaults are."""
    sqlite = connection.dialect.name == "sqlite"
    connection.execute(
        text("PRAGMA synchronous = FULL" if sqlite else "SET synchronous_commit = on")
    )
    connection.commit()
