"""An erasure takes what comes while it goes on."""

import contextlib
from pathlib import Path

import pytest
from pydicom.uid import ExplicitVRLittleEndian
from sqlalchemy import Engine, select

from serving.archive import Archive, Origin
from serving.archive.tables import INSTANCES, STUDIES
from serving.objects import ObjectStore, open_objects
from serving.persons.images import ArchivedImages
from serving.persons.person import Person
from serving.privacy import open_keyring
from tests.instance_samples import encoded, instance

SYNTAX = str(ExplicitVRLittleEndian)


def test_an_instance_that_comes_meanwhile_is_erased_with_its_study(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keyring = open_keyring(tmp_path)
    objects = open_objects(tmp_path, keyring)
    first, late = instance(), instance()
    late.StudyInstanceUID = first.StudyInstanceUID
    late.SeriesInstanceUID = first.SeriesInstanceUID
    delete = ObjectStore.delete
    came: list[str] = []

    with contextlib.closing(Archive(engine, objects, keyring)) as archive:

        def delete_slowly(store: ObjectStore, digest: str) -> bool:
            if not came:
                came.append("")
                came[0] = archive.receive(encoded(late), SYNTAX, Origin("local", "CT")).digest
            return delete(store, digest)

        archive.receive(encoded(first), SYNTAX, Origin("local", "CT"))
        monkeypatch.setattr(ObjectStore, "delete", delete_slowly)
        person = Person.of(keyring, "local", first.PatientID)
        ArchivedImages(engine, keyring, objects, f"sqlite:///{tmp_path}/jobs").erase(person)
        assert came[0]
        assert not objects.exists(came[0])
        with engine.connect() as connection:
            assert not connection.execute(select(INSTANCES.c.id)).all()
            assert not connection.execute(select(STUDIES.c.id)).all()
