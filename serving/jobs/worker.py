"""The worker: finds complete studies, has DBOS carry out what is queued, and keeps it going."""

import contextlib
import fcntl
import logging
import os
import socket
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, TypeVar

from dbos import DBOS, DBOSConfig
from sqlalchemy import Connection, Row, make_url

from models.errors import ZhuzhenError
from serving.archive import Archive
from serving.faults import place_of
from serving.jobs.completeness import (
    Closed,
    QuietTimes,
    close_study,
    is_complete,
    open_studies,
)
from serving.jobs.delivering import Sender, queue_returned
from serving.jobs.duties import Deliveries, Dispatcher, Duty, PreReads
from serving.jobs.forgetting import forget_workflows
from serving.jobs.heartbeat import DEAD_AFTER_S, Heartbeat
from serving.jobs.lanes import Lanes
from serving.jobs.reading import StudyReader
from serving.jobs.strays import Strays
from serving.jobs.work import WORKFLOW_VERSION, Hooks, LeavingFiles, StudyWork, Tools
from serving.routing import Node, Source

Part = TypeVar("Part")
_LOG = logging.getLogger("zhuzhen.jobs")
_SWEEP_S = 1.0
_STRAYS_S = 5.0
_STOP_S = 5
"""Seconds for what is being done to end. What waits for a peer that is away does not; it goes on
after the next start, as after a kill."""


def _is_a_fault(record: logging.LogRecord) -> bool:
    """Whether DBOS tells of more than a workflow that the node left under way when it stopped.

    Such a one goes on at the next start; DBOS tells of it as an exception of its own.
    """
    error = record.exc_info[1] if record.exc_info else None
    return "before DBOS was launched" not in str(error)


logging.getLogger("dbos").addFilter(_is_a_fault)


class WorkerBusyError(ZhuzhenError):
    """Another process already carries out jobs on this SQLite database."""


@dataclass(frozen=True, slots=True)
class WorkerConfig:
    """How the worker runs."""

    database_url: str
    """SQLAlchemy address of DBOS's own tables."""
    folder: Path
    """Where the lock of the one executing process lies, on SQLite."""
    threads: int = 1
    """Studies read at the same time."""
    sends_at_once: int = 2
    """Pre-reads sent to one destination at the same time."""
    dead_after_s: float = DEAD_AFTER_S
    """How long a worker may give no sign of life before others take its jobs over."""


class Worker:
    """Carries out jobs in this process; a context manager that stops at the end."""

    def __init__(
        self,
        config: WorkerConfig,
        archive: Archive,
        reader: StudyReader,
        node: Node,
        senders: Mapping[str, Sender],
        leaving: LeavingFiles,
        *,
        hooks: Hooks | None = None,
        duties: Sequence[Duty] = (),
        closed: Callable[[Closed], None] = lambda closed: None,
    ) -> None:
        self._config = config
        self._archive = archive
        self._node = node
        self._closed = closed
        self._duties = duties
        hooks = hooks or Hooks()
        self._clock = hooks.clock
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._lock: IO[bytes] | None = None
        self._looked_at = time.monotonic()
        self._quiet = QuietTimes()
        self._lanes = Lanes(self.wake)
        self._tools = Tools(
            archive, reader, senders, node.destinations, leaving, hooks, self._lanes, self.wake
        )
        self._dispatcher: Dispatcher | None = None
        self._strays: Strays | None = None
        self._heartbeat: Heartbeat | None = None
        self._executor_id = "local"
        self._thread = threading.Thread(target=self._run, name="worker", daemon=True)

    def __enter__(self) -> "Worker":
        self._claim()
        try:
            self._launch()
        except BaseException:
            DBOS.destroy(workflow_completion_timeout_sec=0)
            self._let_go()
            raise
        self._thread.start()
        return self

    def _launch(self) -> None:
        if self._config.database_url.startswith("sqlite"):
            _write_ahead(self._config.database_url)
        DBOS(config=self._dbos_config())
        # What waits, waits in the records; queues that DBOS has of older versions hold nothing.
        DBOS.listen_queues([])
        work = StudyWork.of_process(self._tools)
        duties: list[Duty] = [
            PreReads(work, self._archive, self._config.threads, self._clock),
            Deliveries(work, self._node.destinations, self._config.sends_at_once),
            *self._duties,
        ]
        for duty in duties:
            self._lanes.add(duty.slots)
            duty.prepare(self._lanes)
        DBOS.launch()
        self._dispatcher = Dispatcher(self._archive, duties, self._lanes)
        self._strays = Strays(
            self._archive,
            [(duty.table, duty.open_states) for duty in duties],
            self._lanes,
            self._executor_id,
        )
        self._strays.adopt_of_before()
        self._queue_returned()
        self._heartbeat = Heartbeat(
            self._archive, self._executor_id, dead_after_s=self._config.dead_after_s
        )

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopping.set()
        self._wake.set()
        self._thread.join()
        self._lanes.close()
        DBOS.destroy(workflow_completion_timeout_sec=_STOP_S)
        self._let_go()

    def _let_go(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def wake(self) -> None:
        """Look for complete studies and new jobs now."""
        self._wake.set()

    def sweep(self) -> None:
        """Close what is complete and begin what is queued."""
        now = self._clock()
        with self._archive.reading() as connection:
            studies = open_studies(connection)
        for study, quiet_s in zip(studies, self._quiet.of(studies), strict=True):
            source = self._node.source_of(study.source) or Source(study.source, study.institution)
            if not is_complete(study, source, quiet_s):
                continue
            self._archive.write(self._closing(study, now))
        self._launched(self._dispatcher).dispatch()
        self._take_over()
        self._look_for_strays()

    def _closing(self, study: Row[Any], now: float) -> Callable[[Connection], Closed | None]:
        return lambda connection: close_study(
            connection, self._archive.keyring, self._node, study, now, self._closed
        )

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self.sweep()
            except Exception as error:  # noqa: BLE001 - the next sweep may succeed
                _LOG.error("Looking for complete studies failed: %s", place_of(error))
            self._wake.wait(_SWEEP_S)
            self._wake.clear()

    @staticmethod
    def _launched(part: Part | None) -> Part:
        assert part is not None  # noqa: S101 - made on entering
        return part

    def _take_over(self) -> None:
        """Say that this worker lives, and take over from those that do not any more."""
        for dead in self._launched(self._heartbeat).beat():
            DBOS._recover_pending_workflows([dead])
            self._launched(self._heartbeat).bury(dead)
            _LOG.warning("Took over the jobs of worker %s, which gave no sign of life", dead)

    def _look_for_strays(self) -> None:
        now = time.monotonic()
        if now - self._looked_at < _STRAYS_S:
            return
        self._looked_at = now
        forget_workflows(self._config.database_url, self._launched(self._strays).gone())
        count = self._launched(self._strays).adopt()
        if count:
            _LOG.warning(
                "%d workflows had ended without a result; they are carried out anew", count
            )

    def _queue_returned(self) -> None:
        """Send what waited for destinations that are in `node.yaml` again."""
        names = tuple(self._node.destinations)
        count = self._archive.write(lambda found: queue_returned(found, names, self._clock()))
        if count:
            _LOG.info("%d deliveries are sent: their destination is in node.yaml again", count)

    def _claim(self) -> None:
        if not self._config.database_url.startswith("sqlite"):
            self._executor_id = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
            return
        self._config.folder.mkdir(parents=True, exist_ok=True)
        self._lock = (self._config.folder / "worker.lock").open("ab")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._let_go()
            raise WorkerBusyError(
                "Another process carries out the jobs of this installation; with SQLite there can "
                "be one. Stop it, or set ZHUZHEN_DATABASE_URL to a PostgreSQL database."
            ) from None

    def _dbos_config(self) -> DBOSConfig:
        return {
            "name": "zhuzhen",
            "system_database_url": self._config.database_url,
            "application_version": WORKFLOW_VERSION,
            "executor_id": self._executor_id,
            "log_level": "WARNING",
            "enable_otlp": False,
        }


def _write_ahead(url: str) -> None:
    """Have a SQLite database keep a write-ahead log: one sync a commit instead of three or four."""
    with contextlib.closing(sqlite3.connect(str(make_url(url).database))) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
