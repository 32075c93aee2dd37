"""Jobs, as the node carries them out: real models and results, a sender that fails when told."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
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
from serving.jobs.listing import JobLine, list_jobs, retry_job, show_job
from serving.jobs.reading import StudyReader
from serving.jobs.tables import PRE_READS
from serving.jobs.worker import Worker, WorkerConfig
from serving.objects import open_objects
from serving.privacy import open_keyring
from serving.records import open_engine, upgrade
from serving.routing.node_file import parse_node
from serving.shelf import Shelf

EXAMPLE = Path(__file__).parents[4] / "examples" / "child-normal-1.dcm"
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

    def __init__(self, home: Path) -> None:
        keyring = open_keyring(home)
        self.home = home
        self.engine = open_engine(f"sqlite:///{home}/records.sqlite3")
        upgrade(self.engine)
        self.archive = Archive(self.engine, open_objects(home, keyring), keyring)
        self.pacs = Pacs()
        self.reader = StudyReader(self.archive, SHELF)

    def worker(self) -> Worker:
        config = WorkerConfig(f"sqlite:///{self.home}/jobs.sqlite3", self.home)
        return Worker(config, self.archive, self.reader, parse_node(NODE), {"pacs": self.pacs})

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

    def settled(self, count: int) -> list[JobLine]:
        """Wait until `count` jobs and all their deliveries have ended."""

        def ended() -> list[JobLine]:
            lines = list_jobs(self.engine)
            open_ends = {"queued", "running"}
            waits = any(open_ends & {line.state, *line.deliveries.values()} for line in lines)
            return [] if waits or len(lines) < count else lines

        return eventually(ended)


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


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    found = Bench(tmp_path)
    yield found
    found.archive.close()
    found.engine.dispose()


def test_late_instances_give_a_new_version_that_names_the_old(bench: Bench) -> None:
    study = generate_uid()
    with bench.worker():
        bench.receive(radiograph(StudyInstanceUID=study), "quick")
        bench.settled(1)
        bench.receive(radiograph(StudyInstanceUID=study), "quick")
        jobs = bench.settled(2)
    assert [(job.version, job.state) for job in jobs] == [(2, "done"), (1, "done")]
    assert bench.current() == [2]
    reports = [each for each in bench.pacs.received.values() if each.Modality == "SR"]
    assert len(reports) == 2
    second = next(each for each in reports if "PredecessorDocumentsSequence" in each)
    first = next(each for each in reports if each is not second)
    (item,) = second.PredecessorDocumentsSequence
    named = item.ReferencedSeriesSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID
    assert named == first.SOPInstanceUID


def test_an_expected_count_needs_no_quiet_time(bench: Bench) -> None:
    study = generate_uid()
    with bench.worker() as worker:
        bench.receive(radiograph(StudyInstanceUID=study), "counted")
        bench.receive(radiograph(), "slow")
        worker.sweep()
        assert list_jobs(bench.engine) == []
        bench.receive(radiograph(StudyInstanceUID=study), "counted")
        (job,) = bench.settled(1)
    assert job.source == "counted"


def test_what_no_rule_fits_is_listed_and_not_run(bench: Bench) -> None:
    with bench.worker():
        bench.receive(radiograph(StudyInstanceUID=generate_uid(), Modality="US"), "quick")
        (job,) = bench.settled(1)
    assert job.state == "unrouted"
    assert "modality is US" in job.reason
    assert bench.current() == []


def test_a_destination_that_was_away_gets_everything_once(bench: Bench) -> None:
    bench.pacs.failures = [AwayError(can_heal=True), AwayError(can_heal=True)]
    with bench.worker():
        bench.receive(radiograph(StudyInstanceUID=generate_uid()), "quick")
        (job,) = bench.settled(1)
    assert job.deliveries == {"pacs": "done"}
    assert bench.pacs.sends == 3
    (delivery,) = show_job(bench.engine, job.id)["deliveries"]
    assert delivery["tries"] == 3


def test_what_cannot_heal_is_on_the_dead_letter_list_and_can_be_retried(bench: Bench) -> None:
    bench.pacs.failures = [AwayError(can_heal=False)]
    with bench.worker() as worker:
        bench.receive(radiograph(StudyInstanceUID=generate_uid()), "quick")
        missing = radiograph(StudyInstanceUID=generate_uid(), StudyDescription="missing")
        bench.receive(missing, "quick")
        bench.settled(2)
        dead = list_jobs(bench.engine, "dead")
        assert {job.state for job in dead} == {"done", "failed"}
        assert bench.pacs.sends == 1
        undelivered = next(job for job in dead if job.state == "done")
        with bench.engine.begin() as connection:
            retry_job(connection, undelivered.id)
        worker.wake()
        bench.settled(2)
    assert [job.state for job in list_jobs(bench.engine, "dead")] == ["failed"]
    assert bench.pacs.received


def test_urgent_goes_before_routine(bench: Bench) -> None:
    order: list[str] = []
    gate = threading.Event()
    read = bench.reader.read

    def slowly(job_id: str) -> object:
        gate.wait(30)
        order.append(job_id)
        return read(job_id)

    bench.reader.read = slowly  # type: ignore[method-assign, assignment]
    with bench.worker():
        for description in ("a", "b", "urgent"):
            study = radiograph(StudyInstanceUID=generate_uid(), StudyDescription=description)
            bench.receive(study, "quick")
            time.sleep(0.05)
        eventually(lambda: found if len(found := list_jobs(bench.engine)) == 3 else [])
        time.sleep(1.5)
        gate.set()
        bench.settled(3)
    urgent = next(job.id for job in list_jobs(bench.engine) if job.priority == "urgent")
    # One routine job may have been begun before the urgent one was there.
    assert order.index(urgent) <= 1


def test_one_process_carries_out_jobs_on_sqlite(bench: Bench) -> None:
    with bench.worker(), pytest.raises(ZhuzhenError, match="Another process"):
        bench.worker().__enter__()
