"""Several processes take instances into one archive: each instance is there once."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from sqlalchemy import select

from serving.archive import Archive, Kept, Origin
from serving.archive.tables import INSTANCES, STUDIES
from serving.objects import open_objects
from serving.privacy import open_keyring
from serving.records import open_engine, upgrade
from tests.instance_samples import encoded, instance

ORIGIN = Origin("local", "modality")


def test_the_same_instances_by_two_ways_at_once(database_url: str, tmp_path: Path) -> None:
    engines = [open_engine(database_url) for _ in range(2)]
    upgrade(engines[0])
    keyring = open_keyring(tmp_path)
    # Each has a ledger of its own, as if it were a process of its own.
    archives = [Archive(engine, open_objects(tmp_path, keyring), keyring) for engine in engines]
    studies = [generate_uid() for _ in range(3)]
    sent = [encoded(instance(StudyInstanceUID=studies[number % 3])) for number in range(30)]

    def receive(number: int) -> Kept:
        # The second way comes in another order, so that the rows of the studies cross.
        archive, place = archives[number % 2], number // 2
        data_set = sent[place] if number % 2 else sent[-1 - place]
        return archive.receive(data_set, str(ExplicitVRLittleEndian), ORIGIN).kept

    with ThreadPoolExecutor(8) as pool:
        kept = list(pool.map(receive, range(60)))
    assert kept.count(Kept.NEW) == kept.count(Kept.SAME) == 30
    with engines[0].connect() as connection:
        assert len(connection.execute(select(INSTANCES.c.id)).all()) == 30
        counts = connection.execute(select(STUDIES.c.instances)).scalars().all()
    assert list(counts) == [10, 10, 10]
    for archive in archives:
        archive.close()
    for engine in engines:
        engine.dispose()
