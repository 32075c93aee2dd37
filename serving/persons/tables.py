"""Rows that name a person by pseudonym: every table of the records with a column `patient`."""

import json
from collections.abc import Iterator

from sqlalchemy import ColumnElement, Engine, Table, delete, literal, select

from serving.persons.person import Copy, Person
from serving.records.tables import METADATA

_KEPT_BY_LAW = frozenset({"legal_holds", "consents", "emergency_overrides"})
"""What shows on what ground data were used, or may not be erased: kept as the audit record is (PIPL
articles 47 and 55-56: records of processing; they hold pseudonyms and no words in clear)."""


_OWNER = {"consents": "owner", "referrals": "from_id"}
"""Column that says whose patient it is. Of tables without one, only what is about a number that the
institution itself gave is its patient's for certain."""


class TableRows:
    """Consents, referrals and whatever else names a patient in the records."""

    name = "records"

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def export(self, person: Person) -> Iterator[Copy]:
        """Yield a file of JSON for each table that knows the person."""
        with self._engine.connect() as connection:
            for table in _tables():
                query = select(table).where(*_of(table, person))
                rows = [dict(row._mapping) for row in connection.execute(query)]
                if rows:
                    content = json.dumps(rows, default=str, ensure_ascii=False, indent=1)
                    yield Copy(f"records/{table.name}.json", content.encode())

    def erase(self, person: Person) -> int:
        """Remove the rows of the person, but for what the law keeps."""
        removed = 0
        with self._engine.begin() as connection:
            # What refers to something goes before it.
            for table in reversed(_tables()):
                if table.name not in _KEPT_BY_LAW:
                    gone = delete(table).where(*_of(table, person))
                    removed += connection.execute(gone).rowcount
        return removed


def _of(table: Table, person: Person) -> tuple[ColumnElement[bool], ...]:
    """Say which rows are of the person, as a patient of that institution."""
    named = table.c.patient == person.pseudonym
    if table.name in _OWNER:
        return (named, table.c[_OWNER[table.name]] == person.institution)
    return (named, literal(person.has_own_number))


def _tables() -> list[Table]:
    return [table for table in METADATA.sorted_tables if "patient" in table.c]
