"""The durable workflows: what DBOS carries out and, after a kill, goes on with.

Each step may run twice, if the process is killed after its work and before DBOS has recorded it, so
each step does the same when it does it again.
"""

import contextlib
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Protocol, TypeVar

from dbos import DBOS, DBOSConfiguredInstance
from sqlalchemy import Connection, select
from sqlalchemy.exc import OperationalError

from models.errors import ZhuzhenError
from serving import tracing
from serving.archive import Archive
from serving.audit import AuditUnavailableError
from serving.faults import place_of
from serving.jobs.delivering import (
    NOT_IN_NODE_FILE,
    Sender,
    Tried,
    files_of,
    give_up_after_s,
    note_try,
    pause_s,
    plan_deliveries,
)
from serving.jobs.errors import JobGoneError
from serving.jobs.lanes import Lanes
from serving.jobs.reading import Kept, StudyReader, forget, record_pre_read
from serving.jobs.tables import DELIVERIES, JOBS, DeliveryState, JobState
from serving.privacy import Keyring
from serving.records import is_out_of_space
from serving.tracing import Stage
from serving.worklist.job_items import report_job

_LOG = logging.getLogger("zhuzhen.jobs")
WORKFLOW_VERSION = "3"
"""Raised when the steps of a workflow change: what was begun under another version is begun anew by
this one, instead of going on with steps that are not its own."""

Result = TypeVar("Result")


_MOST_READINGS = 300
"""Times that a study is tried to be read, for a day and a bit at the pauses of `pause_s`."""


@dataclass(frozen=True, slots=True)
class Read:
    """How a try to read a study ended."""

    kept: dict[str, Any] | None = None
    can_heal: bool = False
    reason: str = ""


def _nothing(*_: str) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Hooks:
    """What the node does around jobs."""

    permit: Callable[[str, str, str], None] = _nothing
    """Asked with an action, a job and a destination (none: empty) before each; raises where the
    policy forbids it."""
    failed: Callable[[str, str, str], None] = _nothing
    """Told that what was permitted did not come about."""
    clock: Callable[[], float] = time.time


class LeavingFiles(Protocol):
    """Makes what leaves the institution, for the destinations that are outside of it."""

    def concerns(self, destination: str) -> bool:
        """Whether what goes to `destination` leaves the institution."""

    def files(self, delivery_id: str) -> list[bytes]:
        """Return the files of a delivery, de-identified; the same however often it is asked."""

    def done(self, delivery_id: str) -> None:
        """Let the files of a confirmed delivery go."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What workflows work with."""

    archive: Archive
    reader: StudyReader
    senders: Mapping[str, Sender]
    entries: Mapping[str, Mapping[str, Any]]
    """Of the destinations, as `node.yaml` has them."""
    leaving: LeavingFiles
    hooks: Hooks
    lanes: Lanes
    wake: Callable[[], None]
    """Told when there is something to deliver."""


def _heals(error: BaseException) -> bool:
    return bool(getattr(error, "can_heal", False))


@DBOS.dbos_class()
class StudyWork(DBOSConfiguredInstance):
    """The workflows and what they work with."""

    _of_process: ClassVar["StudyWork | None"] = None

    def __init__(self, tools: Tools) -> None:
        # Jobs are found again after a restart by this name.
        super().__init__("node")
        self._equip(tools)

    @classmethod
    def of_process(cls, tools: Tools) -> "StudyWork":
        """Return the workflows of this process, working with `tools` from now on.

        DBOS knows its instances for as long as the process lives, and by name one.
        """
        if cls._of_process is None:
            cls._of_process = cls(tools)
        cls._of_process._equip(tools)
        return cls._of_process

    def _equip(self, tools: Tools) -> None:
        self._archive = tools.archive
        self._reader = tools.reader
        self._senders = tools.senders
        self._entries = tools.entries
        self._leaving = tools.leaving
        self._hooks = tools.hooks
        self._clock = tools.hooks.clock
        self._lanes = tools.lanes
        self._wake = tools.wake

    @DBOS.workflow()
    def pre_read(self, job_id: str, lane: str) -> str:
        """Read a study and see its results off; returns the state that the job ended in."""
        with self._lanes.held(lane, str(DBOS.workflow_id)):
            read = self._read_patiently(job_id)
            if read["kept"] is None:
                self.fail(job_id, read["reason"])
                return JobState.FAILED.value
            self.record(job_id, read["kept"])
            return JobState.DONE.value

    def _read_patiently(self, job_id: str) -> dict[str, Any]:
        """Read, in as many steps as it takes: what is wanting, space say, may be there later."""
        tries = 1
        while (read := self.read(job_id))["can_heal"] and tries < _MOST_READINGS:
            DBOS.sleep(pause_s(tries))
            tries += 1
        return read

    @DBOS.workflow()
    def deliver(self, delivery_id: str, lane: str) -> str:
        """Deliver to one destination, however long it is away; returns the state of the end."""
        with self._lanes.held(lane, str(DBOS.workflow_id)):
            tries, waited_s = 1, 0.0
            while not (tried := self.try_delivery(delivery_id, waited_s))["done"]:
                if not tried["can_heal"]:
                    break
                DBOS.sleep(pause_s(tries))
                waited_s += pause_s(tries)
                tries += 1
            return (DeliveryState.DONE if tried["done"] else DeliveryState.FAILED).value

    @DBOS.step()
    def read(self, job_id: str) -> dict[str, Any]:
        """Gate, infer, build results and keep them; what was kept, or why it was not."""
        try:
            with tracing.beginning(Stage.JOB):
                self._hooks.permit("process_study", job_id, "")
                return asdict(Read(asdict(self._reader.read(job_id))))
        except JobGoneError as gone:
            _LOG.info("Job %s ends: %s", job_id, gone)
            return asdict(Read(reason=str(gone)))
        except Exception as error:  # noqa: BLE001 - whatever it was ends this try alone
            read = _why_not(error)
        if read.can_heal:
            _LOG.warning("Job %s will be tried again: %s", job_id, read.reason)
        else:
            _LOG.error("Job %s failed: %s", job_id, read.reason)
        return asdict(read)

    @DBOS.step(retries_allowed=True, max_attempts=6, interval_seconds=0.5)
    def record(self, job_id: str, kept: dict[str, Any]) -> bool:
        """Make the pre-read the study's current one, to be delivered; whether it is."""

        def write(connection: Connection) -> bool:
            now = self._clock()
            is_current = record_pre_read(connection, job_id, Kept(**kept), now)
            report_job(connection, self._archive.keyring, job_id)
            if is_current:
                plan_deliveries(connection, job_id, now)
            return is_current

        try:
            is_current = self._write(write)
        except JobGoneError:
            forget(self._archive, Kept(**kept))
            return False
        self._wake()
        return is_current

    @DBOS.step(retries_allowed=True, max_attempts=6, interval_seconds=0.5)
    def fail(self, job_id: str, told: str) -> None:
        """Put a job on the dead-letter list."""
        self._note_failure("process_study", job_id)

        def write(connection: Connection) -> None:
            keyring, now = self._archive.keyring, self._clock()
            set_state(connection, keyring, job_id, JobState.FAILED, told, now=now)

        self._write(write)

    @DBOS.step(retries_allowed=True, max_attempts=6, interval_seconds=0.5)
    def try_delivery(self, delivery_id: str, waited_s: float) -> dict[str, Any]:
        """Try once to deliver; whether it was done, and whether it is worth another try.

        It is not after pauses of `waited_s` together that are longer than the destination's entry
        has patience for. What the clock on the wall says does not matter, nor does the time in
        which others were served first, or in which this node was off.
        """
        with self._archive.engine.connect() as connection:
            row = connection.execute(
                select(DELIVERIES).where(DELIVERIES.c.id == delivery_id)
            ).one_or_none()
        if row is None:
            return asdict(Tried(False, can_heal=False, reason=str(JobGoneError())))
        if row.state != DeliveryState.QUEUED.value:
            return asdict(Tried(done=row.state == DeliveryState.DONE.value, can_heal=False))
        tried = self._send(delivery_id, row.job_id, row.destination)
        entry = self._entries.get(row.destination, {})
        if waited_s > give_up_after_s(entry):
            tried = Tried(tried.done, can_heal=False, reason=tried.reason)
        self._write(lambda connection: note_try(connection, delivery_id, tried, self._clock()))
        if tried.done:
            self._leaving.done(delivery_id)
        return asdict(tried)

    def _send(self, delivery_id: str, job_id: str, destination: str) -> Tried:
        sender = self._senders.get(destination)
        if sender is None:
            return Tried(False, can_heal=False, reason=NOT_IN_NODE_FILE)
        leaves = self._leaving.concerns(destination)
        action = "export_deidentified" if leaves else "deliver_results"
        permitted = False
        try:
            with tracing.beginning(Stage.DELIVERY):
                self._hooks.permit(action, job_id, destination)
                permitted = True
                files = (
                    self._leaving.files(delivery_id)
                    if leaves
                    else files_of(self._archive, job_id, destination)
                )
                sender.send(files)
        except ZhuzhenError as error:
            tried = Tried(False, can_heal=_heals(error), reason=str(error))
        except Exception as error:  # noqa: BLE001 - networks and their libraries fail in many ways
            _LOG.warning("Delivery to %s failed: %s", destination, place_of(error))
            tried = Tried(False, reason=f"{type(error).__name__}; the log of the node says where.")
        else:
            return Tried(True)
        if permitted:
            self._note_failure(action, job_id, destination)
        return tried

    def _note_failure(self, action: str, job_id: str, destination: str = "") -> None:
        # Where even that cannot be recorded, the record says more than happened, not less.
        with contextlib.suppress(AuditUnavailableError, JobGoneError):
            self._hooks.failed(action, job_id, destination)

    def _write(self, write: Callable[[Connection], Result]) -> Result:
        return self._archive.write(write)


def set_state(
    connection: Connection,
    keyring: Keyring,
    job_id: str,
    state: JobState,
    reason: str = "",
    *,
    now: float,
) -> None:
    """Note where a job stands, and tell those who watch the worklist."""
    connection.execute(
        JOBS.update()
        .where(JOBS.c.id == job_id)
        .values(state=state.value, reason=reason, updated_at=now)
    )
    report_job(connection, keyring, job_id)


def _why_not(error: Exception) -> Read:
    """Return why a study could not be read, and whether it may be later."""
    if isinstance(error, ZhuzhenError):
        return Read(can_heal=_heals(error), reason=str(error))
    if isinstance(error, OSError | OperationalError):
        full = "; no space is left" if is_out_of_space(error) else ""
        return Read(can_heal=True, reason=f"Disk or database could not be used{full}.")
    _LOG.error("A study could not be read: %s", place_of(error))
    return Read(reason="A fault of this program; the log of the node says where.")
