"""Where events and checkpoints are kept, and what keeps them from being changed there.

Rows are only ever added. Triggers refuse UPDATE, DELETE and TRUNCATE, except the deletion of events
that a tombstone covers (`retention`); who drops the triggers is found by verification.
"""

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Engine,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    func,
    inspect,
    select,
    text,
)

METADATA = MetaData()
_SCHEMA_LOCK = 0x5A5A5A
"""Advisory lock under which the tables are made."""

EVENTS = Table(
    "audit_events",
    METADATA,
    Column("lane", Integer, primary_key=True, autoincrement=False),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("previous", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("payload", Text, nullable=False),
    Column("signature", LargeBinary),
    # Copies of what is in the payload, to search by; verification holds them against it.
    Column("occurred_at", String(27), nullable=False),
    Column("patient", String(28)),
    sqlite_with_rowid=False,
)
"""One row an event. `payload` is the canonical JSON that `hash` covers; the last event of each
transaction has a signature, so that nobody else can add to the end of a lane."""
Index("audit_events_by_patient", EVENTS.c.patient, EVENTS.c.occurred_at)

CHECKPOINTS = Table(
    "audit_checkpoints",
    METADATA,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("payload", Text, nullable=False),
    Column("key_id", String(16), nullable=False),
    Column("signature", LargeBinary, nullable=False),
)
"""The chain of signed checkpoints, one for the whole installation."""

TOMBSTONES = Table(
    "audit_tombstones",
    METADATA,
    Column("lane", Integer, primary_key=True, autoincrement=False),
    Column("checkpoint", BigInteger, primary_key=True, autoincrement=False),
    Column("through", BigInteger, nullable=False),
)
"""Up to which event a lane has been pruned, as the signed checkpoint of that number says, too. The
one with the highest number counts."""

KEPT = Table(
    "audit_kept",
    METADATA,
    Column("lane", Integer, primary_key=True, autoincrement=False),
    Column("checkpoint", BigInteger, primary_key=True, autoincrement=False),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("hash", LargeBinary, nullable=False),
)
"""Events below that tombstone that a legal hold keeps."""

_PRUNABLE = """EXISTS (
    SELECT 1 FROM audit_tombstones t WHERE t.lane = OLD.lane AND t.through >= OLD.sequence
    AND t.checkpoint = (SELECT max(checkpoint) FROM audit_tombstones WHERE lane = OLD.lane)
  ) AND NOT EXISTS (
    SELECT 1 FROM audit_kept k WHERE k.lane = OLD.lane AND k.sequence = OLD.sequence
    AND k.checkpoint = (SELECT max(checkpoint) FROM audit_tombstones WHERE lane = OLD.lane)
  )"""
_APPEND_ONLY = "the audit record is append-only"
_FIXED = ("audit_events", "audit_checkpoints", "audit_tombstones", "audit_kept")

TRIGGERS = tuple(sorted(f"{table}_no_{what}" for table in _FIXED for what in ("update", "delete")))
"""Names of the triggers that must exist; PostgreSQL has `*_no_truncate` besides."""


_POSTGRESQL_TRIGGERS = """SELECT t.tgname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
WHERE NOT t.tgisinternal AND t.tgenabled IN ('O', 'A') AND pg_table_is_visible(c.oid)"""
"""Those that fire: neither disabled nor for replicas alone."""


def create_schema(engine: Engine) -> None:
    """Create the tables and their triggers in a database that has none.

    Triggers that are missing later are not made again: verification must find that they are gone.
    Several processes may call it at once.
    """
    if has_schema(engine):
        return
    with engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(select(func.pg_advisory_xact_lock(_SCHEMA_LOCK)))
        else:
            # Python's driver begins no transaction for statements that define tables.
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        if not inspect(connection).has_table(EVENTS.name):
            METADATA.create_all(connection)
            create_triggers(connection)
        connection.commit()


def create_triggers(connection: Connection) -> None:
    """Create the triggers that are missing."""
    for statement in _statements(connection.dialect.name):
        connection.execute(text(statement))


def missing_triggers(connection: Connection) -> list[str]:
    """Return the names of triggers that should guard the tables and do not."""
    if connection.dialect.name == "sqlite":
        query, wanted = "SELECT name FROM sqlite_master WHERE type = 'trigger'", set(TRIGGERS)
    else:
        query, wanted = _POSTGRESQL_TRIGGERS, {*TRIGGERS, *(f"{t}_no_truncate" for t in _FIXED)}
    return sorted(wanted - set(connection.execute(text(query)).scalars()))


def has_schema(engine: Engine) -> bool:
    """Whether the tables exist."""
    return set(_FIXED) <= set(inspect(engine).get_table_names())


def _statements(dialect: str) -> list[str]:
    if dialect == "sqlite":
        return [_sqlite_trigger(table, what) for table in _FIXED for what in ("UPDATE", "DELETE")]
    return [
        _POSTGRESQL_REFUSAL,
        *(statement for table in _FIXED for statement in _postgresql_triggers(table)),
    ]


def _sqlite_trigger(table: str, what: str) -> str:
    when = f"WHEN NOT ({_PRUNABLE})" if (table, what) == ("audit_events", "DELETE") else ""
    return (
        f"CREATE TRIGGER IF NOT EXISTS {table}_no_{what.lower()} BEFORE {what} ON {table} {when} "
        f"BEGIN SELECT RAISE(ABORT, '{_APPEND_ONLY}'); END"
    )


_POSTGRESQL_REFUSAL = f"""CREATE OR REPLACE FUNCTION audit_refuse() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  IF TG_TABLE_NAME = 'audit_events' AND TG_OP = 'DELETE' THEN
    IF {_PRUNABLE} THEN RETURN OLD; END IF;
  END IF;
  RAISE EXCEPTION '{_APPEND_ONLY}';
END $$"""


def _postgresql_triggers(table: str) -> list[str]:
    kinds = (("update", "ROW"), ("delete", "ROW"), ("truncate", "STATEMENT"))
    return [
        f"CREATE OR REPLACE TRIGGER {table}_no_{what} BEFORE {what.upper()} ON {table} "
        f"FOR EACH {level} EXECUTE FUNCTION audit_refuse()"
        for what, level in kinds
    ]
