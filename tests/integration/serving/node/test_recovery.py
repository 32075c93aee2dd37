"""What is there after the power was lost: nothing that is only half kept."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.uid import ExplicitVRLittleEndian
from sqlalchemy import Engine, select

from serving.archive import Archive, Durability, Kept, Origin, Receipt
from serving.archive.recovery import recover, recover_after_boot
from serving.archive.tables import INSTANCES, STUDIES
from serving.objects import ObjectStore, open_objects
from serving.objects.folder import FolderShelf
from serving.privacy import open_keyring
from serving.records import open_engine, upgrade
from tests.instance_samples import encoded, instance

ORIGIN = Origin("local", "modality")


@pytest.fixture(params=list(Durability))
def archive(tmp_path: Path, database_url: str, request: pytest.FixtureRequest) -> Iterator[Archive]:
    keyring = open_keyring(tmp_path)
    engine = open_engine(database_url)
    upgrade(engine)
    found = Archive(engine, open_objects(tmp_path, keyring), keyring, durability=request.param)
    yield found
    found.close()
    engine.dispose()


def receive(archive: Archive, data_set: bytes) -> Receipt:
    return archive.receive(data_set, str(ExplicitVRLittleEndian), ORIGIN)


def file_of(archive: Archive, folder: Path, receipt: Receipt) -> Path:
    return FolderShelf(folder / "objects").path_of(archive.objects.name_of(receipt.digest))


@pytest.mark.parametrize("kept_bytes", [None, 0, 50, 500])
def test_what_did_not_reach_the_disk_is_new_when_it_is_sent_again(
    archive: Archive, tmp_path: Path, kept_bytes: int | None
) -> None:
    torn, whole = encoded(instance()), encoded(instance())
    receive(archive, whole)
    file = file_of(archive, tmp_path, receive(archive, torn))
    if kept_bytes is None:
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:kept_bytes])

    assert recover(archive) == 1
    assert recover(archive) == 0

    assert receive(archive, whole).kept is Kept.SAME
    again = receive(archive, torn)
    assert again.kept is Kept.NEW
    assert archive.open(again.digest).endswith(torn)
    with archive.engine.connect() as connection:
        counts = connection.execute(select(STUDIES.c.instances)).scalars().all()
    assert list(counts) == [1, 1]


def test_an_installation_is_looked_through_once_a_boot(archive: Archive, tmp_path: Path) -> None:
    assert recover_after_boot(archive, tmp_path) == 0
    file_of(archive, tmp_path, receive(archive, encoded(instance()))).unlink()
    assert recover_after_boot(archive, tmp_path) == 0
    (tmp_path / "boot").write_text("another boot")
    assert recover_after_boot(archive, tmp_path) == 1


def test_rows_that_were_removed_and_numbered_anew_are_not_mistaken(archive: Archive) -> None:
    first = instance()
    receive(archive, encoded(first))
    with archive.engine.begin() as connection:
        connection.execute(STUDIES.delete())
    other = instance()
    receive(archive, encoded(other))
    second = instance(
        StudyInstanceUID=first.StudyInstanceUID, SeriesInstanceUID=first.SeriesInstanceUID
    )
    receive(archive, encoded(second))
    assert studies_of(archive.engine) == {
        str(other.StudyInstanceUID): 1,
        str(first.StudyInstanceUID): 1,
    }


def test_one_that_fails_does_not_take_others_with_it(archive: Archive) -> None:
    def broken(_: object) -> None:
        raise ValueError("this one alone")

    def slow(_: object) -> None:
        time.sleep(0.2)

    # The first keeps the ledger busy, so that the others go into one transaction.
    held = archive.submit(slow)
    failing, good = archive.submit(broken), archive.submit(lambda _: 7)
    held.result()
    assert good.result() == 7
    with pytest.raises(ValueError, match="this one alone"):
        failing.result()


def studies_of(engine: Engine) -> dict[str, int]:
    with engine.connect() as connection:
        rows = connection.execute(select(STUDIES.c.study_uid, STUDIES.c.instances)).all()
        count = len(connection.execute(select(INSTANCES.c.id)).all())
    assert count == sum(row.instances for row in rows)
    return {row.study_uid: row.instances for row in rows}


def test_an_object_is_where_all_can_read_it_before_it_is_durable(tmp_path: Path) -> None:
    store: ObjectStore = open_objects(tmp_path)
    with store.writer() as writer:
        writer.write(b"content")
        stored = writer.finish()
        writer.place(stored)
        assert store.get(stored.digest) == b"content"
        writer.sync()
    assert store.get(stored.digest) == b"content"
