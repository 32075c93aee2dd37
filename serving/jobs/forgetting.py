"""What DBOS keeps of workflows whose rows in the records are gone: removed as the rows are.

It names studies and results by their UIDs. DBOS itself never removes anything of a workflow that
has ended.
"""

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from sqlalchemy import Connection, Engine, MetaData, Table, inspect, make_url, or_, select

from models import store
from serving.records import empty_log, open_engine

_FILE = "jobs.sqlite3"
_SCHEMA = "dbos"
"""Of DBOS's tables on PostgreSQL."""
_KEY, _STATUS = "workflow_uuid", "workflow_status"
_TO_GO_ON = (_STATUS, "workflow_input")
"""Without which DBOS could not go on with a workflow; they have the row's own identifier alone."""
UNDER_WAY = ("ENQUEUED", "DELAYED", "PENDING")
"""What DBOS says of workflows that have not ended."""
_AT_ONCE = 100


def jobs_url(environment: Mapping[str, str] = os.environ, home: Path | None = None) -> str:
    """Return the address of the database that DBOS keeps its own tables in."""
    default = f"sqlite:///{(home or store.home()).resolve() / _FILE}"
    return environment.get("ZHUZHEN_DATABASE_URL") or default


def forget_workflows(url: str, row_ids: Iterable[str]) -> None:
    """Remove what DBOS has at `url` of every attempt to carry out these rows.

    Of what is under way, or will be gone on with, that it is stays until it ends: it finds its row
    gone, ends by itself, and the worker asks again.
    """
    wanted = sorted(set(row_ids))
    with _opened(url) as engine:
        if engine is None or not wanted:
            return
        with engine.begin() as connection:
            tables = _tables(connection)
            for start in range(0, len(wanted), _AT_ONCE):
                _forget(connection, tables, wanted[start : start + _AT_ONCE])
        empty_log(engine)


def _forget(connection: Connection, tables: dict[str, Table], row_ids: Sequence[str]) -> None:
    if _STATUS not in tables:
        return
    status = tables[_STATUS]
    live = select(status.c[_KEY]).where(status.c.status.in_(UNDER_WAY))
    # The status last: what else there is of a workflow is told from it.
    for name in sorted(tables, key=lambda name: name == _STATUS):
        key = tables[name].c[_KEY]
        begins = (key.startswith(f"{row_id}.", autoescape=True) for row_id in row_ids)
        gone = tables[name].delete().where(or_(*begins))
        if name in _TO_GO_ON:
            gone = gone.where(key.not_in(live))
        connection.execute(gone)


@contextlib.contextmanager
def _opened(url: str) -> Iterator[Engine | None]:
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite" and not Path(str(parsed.database)).exists():
        # No job was ever carried out.
        yield None
        return
    engine = open_engine(url)
    try:
        yield engine
    finally:
        engine.dispose()


def _tables(connection: Connection) -> dict[str, Table]:
    """Return DBOS's tables that are about workflows, by name."""
    schema = None if connection.dialect.name == "sqlite" else _SCHEMA
    found, tables = inspect(connection), MetaData()
    return {
        name: Table(name, tables, schema=schema, autoload_with=connection, resolve_fks=False)
        for name in found.get_table_names(schema)
        if any(column["name"] == _KEY for column in found.get_columns(name, schema))
    }
