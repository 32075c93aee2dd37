"""A person's work items: their attributes, which are sealed, name the patient."""

import json
from collections.abc import Iterator

from sqlalchemy import Connection, Engine, Row, delete, select

from serving.archive.entries import unsealed
from serving.archive.header import Attributes
from serving.persons.person import Copy, Person
from serving.privacy import Keyring
from serving.worklist.tables import EVENTS, SUBSCRIPTIONS, WORKITEMS


class WorklistItems:
    """Work items of UPS (PS3.4 annex CC) that name the person."""

    name = "worklist"

    def __init__(self, engine: Engine, keyring: Keyring) -> None:
        self._engine = engine
        self._keyring = keyring

    def export(self, person: Person) -> Iterator[Copy]:
        """Yield each work item as DICOM JSON."""
        with self._engine.connect() as connection:
            found = list(self._of(connection, person))
        for row, attributes in found:
            content = json.dumps(attributes, ensure_ascii=False, indent=1)
            yield Copy(f"worklist/{row.id}.json", content.encode())

    def erase(self, person: Person) -> int:
        """Remove the work items, whoever has a deletion lock on them, and reports of them."""
        with self._engine.begin() as connection:
            rows = [row for row, _ in self._of(connection, person)]
            uids = [row.uid for row in rows]
            connection.execute(
                delete(WORKITEMS).where(WORKITEMS.c.id.in_([row.id for row in rows]))
            )
            for table in (SUBSCRIPTIONS, EVENTS):
                connection.execute(
                    delete(table).where(
                        table.c.institution == person.institution, table.c.uid.in_(uids)
                    )
                )
        return len(rows)

    def _of(
        self, connection: Connection, person: Person
    ) -> Iterator[tuple[Row[int, str, str], Attributes]]:
        # Requests of persons are seldom; all items are opened rather than indexed for them.
        query = select(WORKITEMS.c.id, WORKITEMS.c.uid, WORKITEMS.c.attributes).where(
            WORKITEMS.c.institution == person.institution
        )
        for row in connection.execute(query).all():
            attributes = unsealed(self._keyring, row.attributes, WORKITEMS)
            if person.is_named_by(attributes, self._keyring):
                yield row, attributes
