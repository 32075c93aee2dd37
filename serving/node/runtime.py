"""The node as it runs: what is opened with the service and closed with it."""

import contextlib
import gc
import logging
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError

from models import store
from serving.access import Guard
from serving.archive import Archive
from serving.archive.recovery import recover_after_boot
from serving.faults import place_of
from serving.jobs.completeness import Closed
from serving.node.access import Gatekeeper
from serving.objects import open_objects
from serving.privacy import open_keyring
from serving.routing import Node, read_node
from serving.settings import Settings
from serving.watching import Watcher

if TYPE_CHECKING:
    from serving.jobs.duties import Duty

_LOG = logging.getLogger("zhuzhen.node")
PARTS_SETTING = "ZHUZHEN_NODE"
_PARTS = ("dimse", "worker")
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 30.0


class Runtime:
    """Archive, listener and worker of this process."""

    def __init__(
        self, archive: Archive, node: Node, gatekeeper: Gatekeeper, watcher: Watcher | None
    ) -> None:
        self.archive = archive
        self._watcher = watcher
        self.node = node
        self.gatekeeper = gatekeeper
        self.port: int | None = None
        """Where the DICOM listener listens, None where there is none."""
        self.worker_runs = threading.Event()
        self._wake: Callable[[], None] = lambda: None

    def wake(self) -> None:
        """Have the worker look for complete studies and new jobs now."""
        self._wake()

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Take associations as long as the context lasts."""
        from serving.dimse.listener import Listener
        from serving.node.acceptors import Acceptors
        from serving.node.storing import Storing

        handler = Storing(self.archive, self.gatekeeper, self.node, self.wake)
        with (
            Acceptors(self.node, self.gatekeeper, self.wake, self._recover) as acceptors,
            Listener(self.node.listener, handler, acceptors.hand_over) as listener,
        ):
            self.port = listener.port
            _LOG.info("DICOM: %s on port %d", self.node.listener.ae_title, listener.port)
            yield

    @contextlib.contextmanager
    def working(self) -> Iterator[None]:
        """Carry out jobs as long as the context lasts; beginning to do so takes seconds."""
        stopping = threading.Event()
        thread = threading.Thread(target=self._work, args=(stopping,), name="node-worker")
        thread.start()
        try:
            yield
        finally:
            stopping.set()
            self.wake()
            thread.join()

    def _work(self, stopping: threading.Event) -> None:
        """Carry out jobs; where that cannot begin, try again: receiving goes on meanwhile."""
        pause_s, told = _FIRST_PAUSE_S, ""
        while not stopping.is_set():
            try:
                self._work_until(stopping)
            except Exception as error:  # noqa: BLE001 - a disk may be full, another one at work
                why = f"{place_of(error)}: {told_of(error)}"
                if why != told:
                    _LOG.error("Jobs are not carried out, which is tried again: %s", why)
                told = why
                stopping.wait(pause_s)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def _work_until(self, stopping: threading.Event) -> None:
        from serving.jobs.forgetting import jobs_url
        from serving.jobs.reading import StudyReader
        from serving.jobs.work import Hooks
        from serving.jobs.worker import Worker, WorkerConfig
        from serving.node.senders import open_senders
        from serving.outside import Leaving
        from serving.shelf import Shelf

        settings = Settings.from_environment()
        config = WorkerConfig(
            jobs_url(),
            store.home(),
            threads=settings.threads,
        )
        shelf = Shelf(settings.precision)
        reader = StudyReader(self.archive, shelf, self._watcher)
        models = tuple(dict.fromkeys(model for rule in self.node.rules for model in rule.models))
        reader.prepare(models)
        hooks = Hooks(permit=self.gatekeeper.permit, failed=self.gatekeeper.failed)
        entries = self.node.destinations
        worker = Worker(
            config,
            self.archive,
            reader,
            self.node,
            open_senders(entries, store.home()),
            Leaving(self.archive, shelf, entries, store.home()),
            hooks=hooks,
            duties=(self._fetching(),),
            closed=self._closed,
        )
        with worker:
            self._wake = worker.wake
            self.worker_runs.set()
            # What comes meanwhile is read all the same: this thread has nothing else to do.
            reader.rehearse(models)
            _keep_what_is_in_memory()
            stopping.wait()
            self._wake = lambda: None

    def _fetching(self) -> "Duty":
        from serving.fetching.entries import open_origins
        from serving.fetching.work import Fetching, FetchTools

        origins = open_origins(self.node, store.home())
        return Fetching(
            FetchTools(
                self.archive,
                self.node,
                origins,
                permit=self.gatekeeper.permit_fetch,
                fetched=self.gatekeeper.fetched,
                wake=self.wake,
            )
        )

    def _recover(self) -> None:
        _recover(self.archive)

    def _closed(self, closed: Closed) -> None:
        source = self.node.source_of(closed.source)
        if source is not None:
            self.gatekeeper.received(source, closed.study_id)


def _recover(archive: Archive) -> None:
    """Index what a process that ended had kept."""
    try:
        archive.recover()
    except (OSError, SQLAlchemyError) as error:
        _LOG.error("What was kept cannot be indexed now: %s", place_of(error))


def _keep_what_is_in_memory() -> None:
    """As when the service opened: what is there now stays until the end."""
    gc.collect()
    gc.freeze()


def told_of(error: BaseException) -> str:
    """Return what an error of this project says; others may name a patient and say nothing."""
    from models.errors import ZhuzhenError

    return str(error) if isinstance(error, ZhuzhenError) else type(error).__name__


@contextlib.contextmanager
def open_runtime(
    guard: Guard,
    watcher: Watcher | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Iterator[Runtime]:
    """Open the archive and, where `node.yaml` says who sends, the listener and the worker.

    What the worker reads is monitored by `watcher`, where there is one.
    `ZHUZHEN_NODE` names what of `dimse,worker` runs in this process; by default both.

    Raises:
        NodeFileError: `node.yaml` cannot be used.
        DimseListenError: the port cannot be had.
    """
    parts = environment.get(PARTS_SETTING, ",".join(_PARTS)).split(",")
    node = read_node()
    keyring, gatekeeper = open_keyring(), Gatekeeper(guard)
    archive = Archive(
        guard.engine,
        open_objects(keyring=keyring),
        keyring,
        durability=node.durability,
        tell_apart=gatekeeper.set_apart,
    )
    runtime = Runtime(archive, node, gatekeeper, watcher)
    with contextlib.ExitStack() as stack:
        stack.callback(archive.close)
        recover_after_boot(archive, store.home())
        _recover(archive)
        archive.objects.sweep()
        if node.sources and "worker" in parts:
            stack.enter_context(runtime.working())
        if node.listener.callers and "dimse" in parts:
            stack.enter_context(runtime.listening())
        yield runtime
