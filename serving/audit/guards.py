"""What keeps the record append-only in the database, as verification expects to find it.

Whoever may change the schema can put a trigger of the same name in a trigger's place, or another
body into the function that refuses: names alone say nothing, so what they do is compared.
"""

from collections.abc import Iterator

from sqlalchemy import Connection, text

from serving.records.migration import Migrations

_BEFORE_ROW = 0b11
"""Of PostgreSQL's `pg_trigger.tgtype`: FOR EACH ROW (1) and BEFORE (2)."""
_KINDS = {"delete": _BEFORE_ROW | 0b1000, "update": _BEFORE_ROW | 0b10000, "truncate": 0b100010}
_FOUND = """SELECT t.tgname FROM pg_trigger t
JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_proc p ON p.oid = t.tgfoid
WHERE NOT t.tgisinternal AND t.tgenabled IN ('O', 'A') AND pg_table_is_visible(c.oid)
AND t.tgname = c.relname || '_no_' || :what AND t.tgtype = :kind
AND t.tgqual IS NULL AND t.tgattr = ''::int2vector AND p.prosrc = :source"""
"""Those that fire whatever is changed: not disabled, nor for replicas or some columns alone."""


def missing_guards(
    connection: Connection, migrations: Migrations, tables: tuple[str, ...]
) -> list[str]:
    """Return the names of triggers that should guard `tables` and do not, or not as they should."""
    statements = list(_statements(migrations, connection.dialect.name))
    if connection.dialect.name == "sqlite":
        rows = connection.execute(text("SELECT name, sql FROM sqlite_master WHERE type='trigger'"))
        there = {(row.name, row.sql) for row in rows}
        wanted = {(statement.split()[2], statement) for statement in statements}
        return sorted(name for name, _ in wanted - there)
    (function,) = (each for each in statements if each.startswith("CREATE OR REPLACE FUNCTION"))
    source = function.split("$$")[1]
    found: set[str] = set()
    for what, kind in _KINDS.items():
        asked = {"what": what, "kind": kind, "source": source}
        found |= set(connection.execute(text(_FOUND), asked).scalars())
    return sorted({f"{table}_no_{what}" for table in tables for what in _KINDS} - found)


def _statements(migrations: Migrations, dialect: str) -> Iterator[str]:
    """Yield what made the triggers, in the words of the migrations that did."""
    for script in migrations.scripts().walk_revisions():
        if hasattr(script.module, "statements"):
            yield from script.module.statements(dialect)
