"""A person's work items: their attributes, which are sealed, name the patient."""

import json
from collections.abc import Iterator

from sqlalchemy import Connection, Engine, Row, delete, select

from serving.archive.entries import unsealed
from serving.archive.header import Attributes
from serving.persons.images import studies_of
from serving.persons.person import Copy, Person
from serving.privacy import Keyring
from serving.worklist.tables import EVENTS, GLOBAL_SUBSCRIPTIONS, SUBSCRIPTIONS, WORKITEMS


class WorklistItems:
    """Work items of UPS (PS3.4 annex CC) that name the person or one of the person's studies, and
    subscriptions to whatever is about the person.
    """

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
            return len(rows) + self._erase_filters(connection, person)

    def _erase_filters(self, connection: Connection, person: Person) -> int:
        """Remove global subscriptions whose filter names the person, or one of the studies."""
        studies = {study.uid for study in studies_of(connection, self._keyring, person)}
        query = select(GLOBAL_SUBSCRIPTIONS).where(
            GLOBAL_SUBSCRIPTIONS.c.institution == person.institution,
            GLOBAL_SUBSCRIPTIONS.c.attributes.is_not(None),
        )
        erased = 0
        for row in connection.execute(query).all():
            wanted = unsealed(self._keyring, row.attributes, GLOBAL_SUBSCRIPTIONS)
            named = {tag: {"Value": [value]} for tag, value in wanted.items()}
            if person.is_named_by(named, self._keyring) or studies & set(wanted.values()):
                connection.execute(
                    delete(GLOBAL_SUBSCRIPTIONS).where(
                        GLOBAL_SUBSCRIPTIONS.c.institution == person.institution,
                        GLOBAL_SUBSCRIPTIONS.c.subscriber == row.subscriber,
                    )
                )
                erased += 1
        return erased

    def _of(
        self, connection: Connection, person: Person
    ) -> Iterator[tuple[Row[int, str, str], Attributes]]:
        # Requests of persons are seldom; all items are opened rather than indexed for them.
        query = select(WORKITEMS.c.id, WORKITEMS.c.uid, WORKITEMS.c.attributes).where(
            WORKITEMS.c.institution == person.institution
        )
        studies = [f'"{study.uid}"' for study in studies_of(connection, self._keyring, person)]
        for row in connection.execute(query).all():
            attributes = unsealed(self._keyring, row.attributes, WORKITEMS)
            text = json.dumps(attributes) if studies else ""
            if person.is_named_by(attributes, self._keyring) or any(uid in text for uid in studies):
                yield row, attributes
