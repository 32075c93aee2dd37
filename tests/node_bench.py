"""A node without its doors: archive, jobs and a sender that fails when it is told."""

import time
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from sqlalchemy import select

from models.errors import ZhuzhenError
from serving.archive import Archive, Origin
from serving.archive.file_meta import open_file
from serving.archive.header import Attributes
from serving.jobs.delivering import Sender
from serving.jobs.heartbeat import DEAD_AFTER_S
from serving.jobs.listing import JobLine, list_jobs
from serving.jobs.reading import StudyReader
from serving.jobs.tables import PRE_READS
from serving.jobs.work import Hooks
from serving.jobs.worker import Worker, WorkerConfig
from serving.objects import open_objects
from serving.outside import Leaving
from serving.privacy import open_keyring
from serving.records import open_engine, upgrade
from serving.routing.node_file import parse_node
from serving.shelf import Shelf
from serving.worklist.items import Worklist

EXAMPLE = Path(__file__).parents[1] / "examples" / "child-normal-1.dcm"
NODE = """
sources:
  - {name: slow, institution: local, quiet_time_s: 600}
  - {name: quick, institution: local, quiet_time_s: 0}
  - {name: counted, institution: local, quiet_time_s: 600, expected_instances: 2}
rules:
  - {name: urgent, when: {description: urgent}, models: [chest-xray-pneumonia], priority: urgent}
  - {name: nothing-there, when: {description: missing}, models: [no-such-model]}
  - {name: chest, when: {modality: [CR]}, models: [chest-xray-pneumonia], destinations: [pacs]}
destinations: [{name: pacs, to: "folder:out"}]
"""


class AwayError(ZhuzhenError):
    """The PACS is away, or refuses."""

    def __init__(self, *, can_heal: bool) -> None:
        super().__init__("The PACS is away.")
        self.can_heal = can_heal


class Pacs:
    """Keeps what it is sent; fails first as often as it is told."""

    def __init__(self) -> None:
        self.failures: list[AwayError] = []
        self.received: dict[str, Dataset] = {}
        self.sends = 0

    def send(self, files: Sequence[bytes]) -> None:
        self.sends += 1
        if self.failures:
            raise self.failures.pop(0)
        for file in files:
            dataset = pydicom.dcmread(BytesIO(file))
            self.received[dataset.SOPInstanceUID] = dataset


class Bench:
    """A node without its doors."""

    def __init__(self, home: Path, url: str | None = None) -> None:
        """With the records at `url`, and the jobs on the same kind of database; by default SQLite.

        On PostgreSQL it is one database, as in an installation.
        """
        keyring = open_keyring(home)
        self.home = home
        self.engine = open_engine(url or f"sqlite:///{home}/records.sqlite3")
        on_sqlite = self.engine.dialect.name == "sqlite"
        self._jobs_url = url if url and not on_sqlite else f"sqlite:///{home}/jobs.sqlite3"
        upgrade(self.engine)
        self.archive = Archive(self.engine, open_objects(home, keyring), keyring)
        self.pacs = Pacs()
        self.reader = StudyReader(self.archive, SHELF)

    def close(self) -> None:
        """Let go of the database."""
        self.archive.close()
        self.engine.dispose()

    def worker(
        self,
        text: str = NODE,
        senders: Mapping[str, Sender] | None = None,
        hooks: Hooks | None = None,
        dead_after_s: float = DEAD_AFTER_S,
    ) -> Worker:
        config = WorkerConfig(self._jobs_url, self.home, dead_after_s=dead_after_s)
        node = parse_node(text)
        leaving = Leaving(self.archive, SHELF, node.destinations, self.home)
        known = {"pacs": self.pacs, **(senders or {})}
        found = {name: each for name, each in known.items() if name in node.destinations}
        return Worker(config, self.archive, self.reader, node, found, leaving, hooks=hooks)

    def receive(self, dataset: Dataset, source: str) -> None:
        stream = BytesIO()
        dataset.save_as(stream)
        opened = open_file(stream.getvalue())
        origin = Origin("local", source)
        self.archive.receive(opened.data_set, opened.transfer_syntax_uid, origin)

    def current(self) -> list[int]:
        """Versions of the pre-reads that are current."""
        with self.engine.connect() as connection:
            found = select(PRE_READS.c.version).where(PRE_READS.c.is_current)
            return list(connection.execute(found).scalars())

    def work_items(self, wanted: Mapping[str, str]) -> list[Attributes]:
        """The work items that match."""
        with self.engine.connect() as connection:
            return Worklist(connection, self.archive.keyring, "local").search(wanted)

    def settled(self, count: int, seconds: float = 60) -> list[JobLine]:
        """Wait until `count` jobs and all their deliveries have ended."""

        def ended() -> list[JobLine]:
            lines = list_jobs(self.engine)
            open_ends = {"queued", "running"}
            waits = any(open_ends & {line.state, *line.deliveries.values()} for line in lines)
            return [] if waits or len(lines) < count else lines

        return eventually(ended, seconds)


SHELF = Shelf()


def eventually(condition: Callable[[], list[JobLine]], seconds: float = 60) -> list[JobLine]:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.1)
    pytest.fail("it did not happen in time")


def radiograph(**elements: str) -> Dataset:
    dataset = pydicom.dcmread(EXAMPLE)
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    return dataset
