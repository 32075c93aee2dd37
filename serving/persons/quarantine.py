"""What was refused and lies in quarantine, as far as it says, or the archive knows, whose it is."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, Engine, Row, delete, select

from serving.archive.entries import text_of
from serving.archive.patients import PATIENT_ID, said_of_patient
from serving.archive.tables import INSTANCES, QUARANTINE, SERIES
from serving.objects import ObjectNotFoundError, ObjectStore
from serving.persons.images import studies_of
from serving.persons.person import Copy, Person
from serving.privacy import Keyring


class QuarantinedInstances:
    """Instances that name the person, or name nobody and have the UID of one of the person's.

    What is too broken to tell either belongs to nobody that is known here.
    """

    name = "quarantine"

    def __init__(self, engine: Engine, keyring: Keyring, objects: ObjectStore) -> None:
        self._engine = engine
        self._keyring = keyring
        self._objects = objects

    def export(self, person: Person) -> Iterator[Copy]:
        """Yield each as it was sent."""
        with self._engine.connect() as connection:
            found = list(self._of(connection, person))
        for row, content in found:
            yield Copy(f"quarantine/{row.id}.dcm", content)

    def erase(self, person: Person) -> int:
        """Remove them, objects first; one that something else is stored in stays for that."""
        with self._engine.connect() as connection:
            rows = [row for row, _ in self._of(connection, person)]
            ids, digests = [row.id for row in rows], {row.digest for row in rows}
            for column, is_other in (
                (INSTANCES.c.digest, INSTANCES.c.digest.in_(digests)),
                (QUARANTINE.c.digest, QUARANTINE.c.id.not_in(ids)),
            ):
                query = select(column).where(is_other, column.in_(digests))
                digests.difference_update(connection.execute(query).scalars().all())
        for digest in digests:
            self._objects.delete(digest)
        with self._engine.begin() as connection:
            connection.execute(delete(QUARANTINE).where(QUARANTINE.c.id.in_(ids)))
        return len(rows)

    def _of(self, connection: Connection, person: Person) -> Iterator[tuple[Row[Any], bytes]]:
        studies = [study.id for study in studies_of(connection, self._keyring, person)]
        uids = set(
            connection.execute(
                select(INSTANCES.c.sop_instance_uid)
                .join(SERIES, SERIES.c.id == INSTANCES.c.series_id)
                .where(SERIES.c.study_id.in_(studies))
            ).scalars()
        )
        query = select(QUARANTINE).where(QUARANTINE.c.institution == person.institution)
        for row in connection.execute(query).all():
            try:
                content = self._objects.get(row.digest)
            except ObjectNotFoundError:
                # An erasure that was cut short; the row alone cannot tell whose it was.
                content = b""
            said = said_of_patient(content, row.transfer_syntax_uid)
            is_nobodys = not text_of(said, PATIENT_ID)
            if person.is_named_by(said, self._keyring) or (
                is_nobodys and row.sop_instance_uid in uids
            ):
                yield row, content
