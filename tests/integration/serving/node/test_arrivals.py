"""Instances that were acknowledged and are not in the index yet: none is lost, none is twice."""

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from sqlalchemy import Connection, Engine, select, text

from serving.archive import Archive, Durability, InstanceRefusedError, Kept, Origin, Refusal
from serving.archive.arrivals import Arrival, Arrivals
from serving.archive.entries import Entry
from serving.archive.header import read_instance_header
from serving.archive.indexing import insert_instances
from serving.archive.ledger import Ledger
from serving.archive.places import Places
from serving.archive.quarantined import forget_quarantined
from serving.archive.tables import INSTANCES, QUARANTINE, STUDIES
from serving.objects import open_objects
from serving.privacy import open_keyring
from serving.records import writing
from tests.instance_samples import encoded, instance

ROOT = Path(__file__).resolve().parents[4]
SYNTAX = str(ExplicitVRLittleEndian)
ORIGIN = Origin("local", "modality")
SENDER = """
import sys
from pathlib import Path
from tests.integration.serving.node.test_arrivals import arrive, open_archive
from serving.records import open_engine
archive = open_archive(open_engine(sys.argv[1]), Path(sys.argv[2]))
for file in sorted(Path(sys.argv[3]).iterdir()):
    print(arrive(archive, file.read_bytes()).value, flush=True)
sys.stdin.read()
"""


def open_archive(engine: Engine, home: Path, durability: str = "process-end") -> Archive:
    keyring = open_keyring(home)
    objects = open_objects(home, keyring)
    return Archive(engine, objects, keyring, durability=Durability(durability))


def arrive(archive: Archive, data_set: bytes) -> Kept:
    return archive.receive(data_set, SYNTAX, ORIGIN, behind=True).kept


@pytest.fixture(params=list(Durability))
def archive(engine: Engine, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Archive]:
    with contextlib.closing(open_archive(engine, tmp_path, request.param)) as found:
        yield found


def held(home: Path) -> list[Path]:
    return list((home / "objects" / "held").iterdir())


def indexed(connection: Connection) -> list[str]:
    return list(connection.execute(select(INSTANCES.c.sop_instance_uid)).scalars())


@contextlib.contextmanager
def index_busy(engine: Engine) -> Iterator[None]:
    """Somebody else writes to the index, and takes their time."""
    with writing(engine) as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("LOCK TABLE archive_studies IN EXCLUSIVE MODE"))
        yield


def test_what_was_acknowledged_is_found_by_who_looks(archive: Archive, tmp_path: Path) -> None:
    sent = [instance() for _ in range(5)]
    for dataset in sent:
        assert arrive(archive, encoded(dataset)) is Kept.NEW
        with archive.reading() as connection:
            assert dataset.SOPInstanceUID in indexed(connection)
    assert not held(tmp_path)


def test_the_index_follows_by_itself(archive: Archive, tmp_path: Path) -> None:
    arrive(archive, encoded(instance()))
    deadline = time.monotonic() + 10
    while held(tmp_path):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    with archive.engine.connect() as connection:
        assert len(indexed(connection)) == 1


def test_a_killed_process_has_lost_nothing_that_it_acknowledged(
    engine: Engine, tmp_path: Path, database_url: str
) -> None:
    study = generate_uid()
    sent = [instance(StudyInstanceUID=study) for _ in range(8)]
    outbox = tmp_path / "outbox"
    outbox.mkdir()
    for number, dataset in enumerate([*sent, sent[0]]):
        (outbox / str(number)).write_bytes(encoded(dataset))
    before = time.time()
    with index_busy(engine):
        process = subprocess.Popen(
            [sys.executable, "-c", SENDER, database_url, str(tmp_path), str(outbox)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        told = [process.stdout.readline().strip() for _ in sent]
        process.kill()
        process.communicate()
    assert told == ["new"] * 8
    assert len(held(tmp_path)) >= 8, "nothing of it was in the index"

    with contextlib.closing(open_archive(engine, tmp_path)) as archive:
        assert archive.recover() >= 8
        assert archive.recover() == 0
        with engine.connect() as connection:
            assert sorted(indexed(connection)) == sorted(each.SOPInstanceUID for each in sent)
            (row,) = connection.execute(select(STUDIES))
        assert (row.instances, row.source, row.institution) == (8, "modality", "local")
        assert before <= row.first_received_at <= row.last_received_at <= time.time()
        assert [arrive(archive, encoded(each)) for each in sent] == [Kept.SAME] * 8
    assert not held(tmp_path)


def test_what_another_process_left_is_found_by_who_looks(engine: Engine, tmp_path: Path) -> None:
    dataset = instance()
    with contextlib.closing(open_archive(engine, tmp_path)) as one:
        with index_busy(engine):
            arrive(one, encoded(dataset))
            # As if it had been killed: the other one does not wait for it for ever.
            busy = ThreadPoolExecutor(1)
            other = open_archive(engine, tmp_path)
            found = busy.submit(other.settle)
            time.sleep(0.7)
            assert not found.done()
        found.result()
        with contextlib.closing(other), other.reading() as connection:
            assert indexed(connection) == [dataset.SOPInstanceUID]
        busy.shutdown()


def test_an_instance_that_comes_again_before_it_is_in_the_index(archive: Archive) -> None:
    dataset = instance()
    assert arrive(archive, encoded(dataset)) is Kept.NEW
    assert arrive(archive, encoded(dataset)) is Kept.SAME
    with archive.reading() as connection:
        assert len(indexed(connection)) == 1


def test_another_one_with_its_uid_is_refused_before_it_is_in_the_index(archive: Archive) -> None:
    dataset = instance()
    first = encoded(dataset)
    assert arrive(archive, first) is Kept.NEW
    dataset.PatientName = "Someone^Else"
    with pytest.raises(InstanceRefusedError) as caught:
        arrive(archive, encoded(dataset))
    assert caught.value.refusal is Refusal.CONFLICT
    with archive.reading() as connection:
        digest = connection.execute(select(INSTANCES.c.digest)).scalar_one()
        apart = connection.execute(select(QUARANTINE.c.reason)).scalars().all()
    assert archive.open(digest).endswith(first)
    assert apart == ["conflict"]


def in_one_study(*patients: str) -> list[bytes]:
    study = generate_uid()
    return [encoded(instance(StudyInstanceUID=study, PatientID=each)) for each in patients]


def test_what_comes_into_another_patients_study_is_refused(archive: Archive) -> None:
    first, other, again, unnamed = in_one_study("A-1", "B-2", "A-1", "")
    assert arrive(archive, first) is Kept.NEW
    archive.settle()
    with pytest.raises(InstanceRefusedError) as caught:
        arrive(archive, other)
    assert caught.value.refusal is Refusal.OTHER_PATIENT
    assert [arrive(archive, each) for each in (again, unnamed)] == [Kept.NEW] * 2
    with archive.reading() as connection:
        assert len(indexed(connection)) == 3
        apart = connection.execute(select(QUARANTINE.c.reason)).scalars().all()
    assert apart == ["other_patient"]


def test_another_patient_is_refused_before_the_first_one_is_indexed(
    engine: Engine, tmp_path: Path
) -> None:
    first, other, again = in_one_study("A-1", "B-2", "A-1")
    with (
        contextlib.closing(open_archive(engine, tmp_path)) as archive,
        ThreadPoolExecutor(1) as pool,
    ):
        with index_busy(engine):
            assert arrive(archive, first) == Kept.NEW
            # The quarantine is in the same database, so that the answer waits for it.
            refused = pool.submit(arrive, archive, other)
            assert arrive(archive, again) == Kept.NEW
        with pytest.raises(InstanceRefusedError) as told:
            refused.result(60)
    assert told.value.refusal == Refusal.OTHER_PATIENT


def test_two_patients_who_come_into_one_study_by_two_processes_are_kept_apart(
    engine: Engine, tmp_path: Path
) -> None:
    archives = [open_archive(engine, tmp_path) for _ in range(2)]
    with index_busy(engine):
        sent = in_one_study("A-1", "B-2", "A-1")
        by = (archives[0], archives[1], archives[0])
        kept = [arrive(archive, each) for archive, each in zip(by, sent, strict=True)]
        assert kept == [Kept.NEW] * 3
    with archives[0].reading() as connection:
        named = len(indexed(connection))
        (study,) = connection.execute(select(STUDIES))
        apart = connection.execute(select(QUARANTINE.c.reason)).scalars().all()
    # Whichever was indexed first has the study.
    assert named == study.instances == 3 - len(apart)
    assert set(apart) == {"other_patient"}
    for archive in archives:
        archive.close()


def test_one_of_many_with_a_uid_is_acknowledged_in_all_processes(
    engine: Engine, tmp_path: Path
) -> None:
    archives = [open_archive(engine, tmp_path) for _ in range(2)]
    dataset = instance()
    versions = []
    for name in ("A", "B", "C", "D"):
        dataset.PatientName = name
        versions.append(encoded(dataset))

    def send(number: int) -> str:
        try:
            return arrive(archives[number % 2], versions[number // 2]).value
        except InstanceRefusedError as refused:
            return refused.refusal.value

    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(send, range(8)))
    assert sorted(told) == ["conflict"] * 6 + ["new", "same"]
    with archives[0].reading() as connection:
        digest = connection.execute(select(INSTANCES.c.digest)).scalar_one()
        assert len(connection.execute(select(QUARANTINE.c.id)).all()) == 3
    assert archives[0].open(digest).endswith(versions[told.index("new") // 2])
    for archive in archives:
        archive.close()


def test_what_did_not_reach_the_disk_is_new_when_it_is_sent_again(
    engine: Engine, tmp_path: Path
) -> None:
    sent = [encoded(instance()) for _ in range(3)]
    with contextlib.closing(open_archive(engine, tmp_path)) as archive:
        with index_busy(engine):
            for data_set in sent:
                arrive(archive, data_set)
            torn = {
                path: path.read_bytes()[:length]
                for path, length in zip(held(tmp_path), (0, 50, 500), strict=True)
            }
        archive.settle()
    with engine.begin() as connection:
        connection.execute(INSTANCES.delete())
        connection.execute(STUDIES.delete())
    for path, content in torn.items():
        path.write_bytes(content)
    with contextlib.closing(open_archive(engine, tmp_path)) as archive:
        assert archive.recover() == 0
        assert not held(tmp_path)
        assert [arrive(archive, data_set) for data_set in sent] == [Kept.NEW] * 3


def test_what_cannot_be_in_the_index_holds_nothing_else_up(engine: Engine, tmp_path: Path) -> None:
    keyring = open_keyring(tmp_path)
    objects = open_objects(tmp_path, keyring)
    written: list[Arrival] = []
    failed: list[tuple[Arrival, Exception | None]] = []

    def write(_: Connection, arrivals: Sequence[Arrival]) -> list[str | None]:
        for arrival in arrivals:
            if arrival.entry.header.sop_instance_uid == bad.SOPInstanceUID:
                raise ValueError("of this one alone")
            written.append(arrival)
        return [None] * len(arrivals)

    good, bad = instance(), instance()
    ledger = Ledger(engine)
    places = Places()
    arrivals = Arrivals(
        engine, objects, keyring, ledger, places, write, lambda *told: failed.append(told)
    )
    for dataset in (bad, good):
        data = encoded(dataset)
        with objects.writer() as writer:
            writer.write(data)
            entry = Entry(read_instance_header(data, SYNTAX), SYNTAX, writer.finish(), "local", "x")
            arrivals.add(arrivals.claim(writer, entry, time.time(), reopens=True, synced=False))
            writer.place(entry.stored)
    arrivals.settle()
    assert [each.entry.header.sop_instance_uid for each in written][-1] == good.SOPInstanceUID
    ((apart, why),) = failed
    assert apart.entry.header.sop_instance_uid == bad.SOPInstanceUID
    assert isinstance(why, ValueError)
    assert not held(tmp_path)
    arrivals.close()
    ledger.close()


def test_who_waits_for_the_index_is_told_that_the_study_is_another_patients_by_now(
    engine: Engine, tmp_path: Path
) -> None:
    first, second = instance(PatientID="P-1"), instance(PatientID="P-1")
    others = instance(PatientID="P-2")
    for each in (second, others):
        each.StudyInstanceUID = first.StudyInstanceUID
        each.SeriesInstanceUID = first.SeriesInstanceUID
    with contextlib.closing(open_archive(engine, tmp_path)) as archive:
        archive.receive(encoded(first), SYNTAX, ORIGIN)
        with writing(engine) as connection:
            connection.execute(STUDIES.delete())
        with contextlib.closing(open_archive(engine, tmp_path)) as another:
            another.receive(encoded(others), SYNTAX, ORIGIN)
        with pytest.raises(InstanceRefusedError) as caught:
            archive.receive(encoded(second), SYNTAX, ORIGIN)
    assert caught.value.refusal is Refusal.OTHER_PATIENT


def test_what_is_acknowledged_outlives_its_like_in_quarantine(
    engine: Engine, tmp_path: Path
) -> None:
    dataset = instance(PatientID="P-1")
    others = instance(PatientID="P-2", StudyInstanceUID=dataset.StudyInstanceUID)
    with contextlib.closing(open_archive(engine, tmp_path)) as archive:
        archive.receive(encoded(others), SYNTAX, ORIGIN)
        with pytest.raises(InstanceRefusedError):
            arrive(archive, encoded(dataset))
        with writing(engine) as connection:
            connection.execute(STUDIES.delete())
    with contextlib.closing(open_archive(engine, tmp_path)) as archive:
        assert arrive(archive, encoded(dataset)) is Kept.NEW
        with writing(engine) as connection:
            (number,) = connection.execute(select(QUARANTINE.c.id)).scalars()
            digest = forget_quarantined(connection, number)
        assert digest is not None
        archive.objects.delete(digest)
        archive.settle()
        assert archive.open(digest).endswith(encoded(dataset))


def test_want_of_memory_is_not_the_instances_fault(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanting = iter([True, True])

    def write(*told: Any) -> list[str | None]:
        if next(wanting, False):
            raise MemoryError
        return insert_instances(*told)

    monkeypatch.setattr("serving.archive.archive.insert_instances", write)
    with contextlib.closing(open_archive(engine, tmp_path)) as archive:
        arrive(archive, encoded(instance()))
        for _ in range(3):
            with contextlib.suppress(MemoryError):
                archive.settle()
    with engine.connect() as connection:
        assert len(connection.execute(select(INSTANCES.c.id)).all()) == 1
        assert not connection.execute(select(QUARANTINE.c.id)).all()


def test_a_name_that_is_not_let_go_is_not_waited_for_without_end(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.archive.arrivals._LONGEST_S", 0.6)
    dataset = instance()
    with contextlib.closing(open_archive(engine, tmp_path)) as archive:
        monkeypatch.setattr("serving.archive.archive.insert_instances", lambda *told: unwritten())
        assert arrive(archive, encoded(dataset)) is Kept.NEW
        (name,) = held(tmp_path)
        monkeypatch.setattr(Arrivals, "settle", lambda _: None)
        monkeypatch.setattr(Arrivals, "adopt", lambda *_: 0)
        with pytest.raises(OSError, match="cannot be indexed"):
            arrive(archive, encoded(dataset))
        assert held(tmp_path) == [name]
        monkeypatch.undo()
        archive.settle()
        assert arrive(archive, encoded(dataset)) is Kept.SAME


def unwritten() -> list[str | None]:
    raise OSError("the disk is away")
