"""Instances that go into the index together: each once, and their study counts them."""

from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from sqlalchemy import Engine, select

from serving.archive import InstanceRefusedError, Refusal
from serving.archive.entries import PATIENT_ID, Entry, text_of, unsealed
from serving.archive.header import read_instance_header
from serving.archive.indexing import Coming, insert_instances
from serving.archive.places import Places
from serving.archive.tables import INSTANCES, STUDIES
from serving.objects import StoredObject
from serving.privacy import Keyring, blind_index, open_keyring
from serving.records import writing
from tests.instance_samples import encoded, instance

SYNTAX = str(ExplicitVRLittleEndian)


class Index:
    """The index, and what one process knows of it."""

    def __init__(self, engine: Engine, keyring: Keyring) -> None:
        self.engine, self.keyring, self.places = engine, keyring, Places()

    def add(self, *datasets: Dataset, at: float = 1.0, digest: str = "a") -> list[str | None]:
        coming = [Coming(entry(each, digest), at, reopens=True) for each in datasets]
        with writing(self.engine) as connection:
            return insert_instances(connection, self.keyring, coming, self.places)

    def counted(self) -> list[tuple[str, int]]:
        """Instances by study, as it counts them; it is held against its rows."""
        with self.engine.connect() as connection:
            rows = connection.execute(select(STUDIES.c.study_uid, STUDIES.c.instances)).all()
            assert sum(row.instances for row in rows) == len(
                connection.execute(select(INSTANCES.c.id)).all()
            )
            return [(row.study_uid, row.instances) for row in rows]


def entry(dataset: Dataset, digest: str) -> Entry:
    header = read_instance_header(encoded(dataset), SYNTAX)
    return Entry(header, SYNTAX, StoredObject(f"blake3:{digest * 64}", 1), "local", "modality")


def slices(count: int, **elements: str) -> list[Dataset]:
    study, series = generate_uid(), generate_uid()
    own = {"StudyInstanceUID": study, "SeriesInstanceUID": series, **elements}
    return [instance(**own) for _ in range(count)]


@pytest.fixture
def index(engine: Engine, tmp_path: Path) -> Index:
    return Index(engine, open_keyring(tmp_path))


def test_a_study_counts_what_comes_together(index: Index) -> None:
    one, other = slices(5), slices(3)
    mixed = [one[0], other[0], *one[1:3], *other[1:]]
    assert index.add(*mixed) == [None] * 6
    assert index.add(*one[3:]) == [None] * 2
    assert dict(index.counted()) == {one[0].StudyInstanceUID: 5, other[0].StudyInstanceUID: 3}


@pytest.mark.parametrize("by", ["this process", "another one"])
def test_what_is_known_is_counted_once(index: Index, by: str) -> None:
    first, second, third = slices(3)
    index.add(first, digest="b")
    if by == "another one":
        # To which the place of the study is new.
        index = Index(index.engine, index.keyring)
    assert index.add(second, first, third) == [None, "blake3:" + "b" * 64, None]
    assert index.add(first, third) == ["blake3:" + "b" * 64, "blake3:" + "a" * 64]
    assert index.counted() == [(first.StudyInstanceUID, 3)]


def test_a_place_is_not_trusted_that_is_another_patients_by_now(index: Index) -> None:
    first, second = slices(2, PatientID="P-1")
    index.add(first)
    with writing(index.engine) as connection:
        connection.execute(INSTANCES.delete())
        connection.execute(STUDIES.delete())
    (others,) = slices(1, PatientID="P-2", StudyInstanceUID=first.StudyInstanceUID)
    others.SeriesInstanceUID = first.SeriesInstanceUID
    Index(index.engine, index.keyring).add(others)
    with pytest.raises(InstanceRefusedError) as caught:
        index.add(second)
    assert caught.value.refusal is Refusal.OTHER_PATIENT
    assert index.counted() == [(first.StudyInstanceUID, 1)]


def test_a_study_without_a_patient_becomes_the_first_ones_that_is_stated(index: Index) -> None:
    nobodys, first, others = slices(3)
    nobodys.PatientID, first.PatientID, others.PatientID = "", "P-1", "P-2"
    index.add(nobodys)
    index.add(first)
    with pytest.raises(InstanceRefusedError) as caught:
        index.add(others)
    assert caught.value.refusal is Refusal.OTHER_PATIENT
    with index.engine.connect() as connection:
        (study,) = connection.execute(select(STUDIES)).all()
    assert study.patient_index == blind_index(index.keyring, "P-1", PATIENT_ID)
    assert text_of(unsealed(index.keyring, study.attributes, STUDIES), "00100020") == "P-1"
    nobodys.SOPInstanceUID = generate_uid()
    assert index.add(nobodys) == [None]
    assert index.counted() == [(first.StudyInstanceUID, 3)]
