"""Statements that run for every instance that comes in, thousands of times a minute.

SQLAlchemy keeps the SQL of a statement, and still makes a dozen objects each time that it runs:
five times the work of SQLite itself. A prepared statement goes to the database's driver at once.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Executable
from sqlalchemy.engine import Compiled
from sqlalchemy.exc import DBAPIError


def drive(
    connection: Connection, sql: str, parameters: Mapping[str, Any] | Sequence[Any] = ()
) -> Any:
    """Have the driver under `connection` run `sql`; return its cursor.

    Raises:
        DBAPIError: the database did not; as SQLAlchemy tells it, without the parameters.
    """
    driver: Any = connection.connection.driver_connection
    try:
        return driver.execute(sql, parameters)
    except connection.dialect.dbapi.Error as error:  # type: ignore[union-attr]  # it is connected
        kinds = connection.dialect.dbapi.Error  # type: ignore[union-attr]
        raise DBAPIError.instance(sql, None, error, kinds, dialect=connection.dialect) from error


class Prepared:
    """A statement of SQLAlchemy whose values are named by `bindparam`.

    Only for columns whose values a driver takes as they are: numbers and texts.
    """

    def __init__(self, statement: Executable) -> None:
        self._statement = statement
        self._compiled: dict[str, _Driven] = {}

    def run(self, connection: Connection, values: Mapping[str, Any]) -> Any:
        """Run it in the transaction of `connection`; return the driver's cursor.

        Raises:
            DBAPIError: the database did not.
        """
        driven = self._compiled.get(connection.dialect.name)
        if driven is None:
            driven = _Driven(self._statement.compile(dialect=connection.dialect))  # type: ignore[attr-defined]
            self._compiled[connection.dialect.name] = driven
        return drive(connection, driven.sql, driven.parameters(values))


class _Driven:
    """A statement as one kind of database takes it."""

    def __init__(self, compiled: Compiled) -> None:
        self.sql = str(compiled)
        self._fixed: dict[str, Any] = {
            name: value for name, value in compiled.params.items() if value is not None
        }
        self._order: list[str] | None = getattr(compiled, "positiontup", None)

    def parameters(self, values: Mapping[str, Any]) -> Mapping[str, Any] | list[Any]:
        """Return `values` in the way that the driver takes them."""
        named = {**self._fixed, **values}
        return named if self._order is None else [named[name] for name in self._order]
