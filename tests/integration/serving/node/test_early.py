"""Instances that are written while they arrive: kept whole, or nothing of them is left."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian
from sqlalchemy import select

from serving.archive import Archive, InstanceRefusedError, Kept, Origin, Receipt, Refusal
from serving.archive.announced import Announced
from serving.archive.early import EarlyFile
from serving.archive.tables import INSTANCES, QUARANTINE
from serving.objects import open_objects
from serving.privacy import open_keyring
from serving.records import open_engine, upgrade
from tests.instance_samples import encoded, instance

SYNTAX = str(ExplicitVRLittleEndian)


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    keyring = open_keyring(tmp_path)
    engine = open_engine(f"sqlite:///{tmp_path}/records.sqlite3")
    upgrade(engine)
    found = Archive(engine, open_objects(tmp_path, keyring), keyring)
    yield found
    found.close()
    engine.dispose()


def large() -> Dataset:
    dataset = instance(Rows=300, Columns=500)
    dataset.PixelData = bytes(range(250)) * 600
    return dataset


def begin(archive: Archive, dataset: Dataset) -> EarlyFile:
    return archive.begin(dataset.SOPClassUID, dataset.SOPInstanceUID, SYNTAX)


def finish(archive: Archive, early: EarlyFile, data: bytes, announced: Dataset) -> Receipt:
    try:
        return archive.receive(
            memoryview(data),
            SYNTAX,
            Origin("local", "modality"),
            Announced(announced.SOPClassUID, announced.SOPInstanceUID),
            early=early,
        )
    finally:
        early.close()


def files(folder: Path) -> list[Path]:
    return [path for path in (folder / "objects").glob("*/*") if path.is_file()]


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """A disk on which no file grows beyond `size` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("piece", [7_001, 65_536, 131_060, 1_000_000])
def test_it_is_the_file_that_it_would_be_if_written_at_once(archive: Archive, piece: int) -> None:
    dataset = large()
    data = encoded(dataset)
    early = begin(archive, dataset)
    file = memoryview(early.head + data)
    for end in range(piece, len(file) + piece, piece):
        early.add(file[:end])
    receipt = finish(archive, early, data, dataset)
    assert receipt.kept is Kept.NEW
    assert archive.open(receipt.digest).endswith(data)
    assert finish(archive, begin(archive, dataset), data, dataset).kept is Kept.SAME


def test_it_is_the_same_instance_for_another_version_of_this_software(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = large()
    data = encoded(dataset)
    with monkeypatch.context() as patch:
        patch.setattr("serving.archive.file_meta.IMPLEMENTATION_VERSION_NAME", "ZHUZHEN_0.0.1")
        first = finish(archive, begin(archive, dataset), data, dataset)
    again = finish(archive, begin(archive, dataset), data, dataset)
    assert (again.kept, again.digest) == (Kept.SAME, first.digest)
    assert len(files(tmp_path)) == 1
    dataset.PatientName = "Somebody^Else"
    other = encoded(dataset)
    with pytest.raises(InstanceRefusedError) as caught:
        finish(archive, begin(archive, dataset), other, dataset)
    assert caught.value.refusal is Refusal.CONFLICT


def test_of_what_is_something_else_only_the_quarantine_has_a_copy(
    archive: Archive, tmp_path: Path
) -> None:
    announced, dataset = large(), large()
    data = encoded(dataset)
    early = begin(archive, announced)
    early.add(memoryview(early.head + data))
    with pytest.raises(InstanceRefusedError) as caught:
        finish(archive, early, data, announced)
    assert caught.value.refusal is Refusal.NOT_AS_ANNOUNCED
    with archive.engine.connect() as connection:
        assert not connection.execute(select(INSTANCES)).all()
        quarantined = connection.execute(select(QUARANTINE.c.digest)).scalar_one()
    assert archive.open(quarantined) == data
    assert len(files(tmp_path)) == 1


@pytest.mark.parametrize("uid", ["", "../../x", "1.2\ufffd"])
def test_what_is_announced_by_no_uid_is_not_begun(
    archive: Archive, tmp_path: Path, uid: str
) -> None:
    early = archive.begin("1.2.3", uid, SYNTAX)
    early.add(memoryview(bytes(200_000)))
    assert not files(tmp_path)


def test_a_sender_that_leaves_leaves_nothing(archive: Archive, tmp_path: Path) -> None:
    early = begin(archive, large())
    early.add(memoryview(bytes(200_000)))
    assert len(files(tmp_path)) == 1
    early.close()
    assert not files(tmp_path)


def test_a_disk_that_fills_up_is_told_at_the_end_and_keeps_nothing(
    archive: Archive, tmp_path: Path
) -> None:
    dataset = large()
    data = encoded(dataset)
    early = begin(archive, dataset)
    with largest_file(100_000):
        early.add(memoryview(early.head + data))
        assert not files(tmp_path)
        with pytest.raises(InstanceRefusedError) as caught:
            finish(archive, early, data, dataset)
    assert caught.value.refusal is Refusal.OUT_OF_SPACE
    assert finish(archive, begin(archive, dataset), data, dataset).kept is Kept.NEW
