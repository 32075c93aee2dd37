"""Where events and checkpoints are kept, and what keeps them from being changed there.

Rows are only ever added. Triggers refuse UPDATE, DELETE and TRUNCATE, except the deletion of events
that a tombstone covers (`retention`); who drops the triggers is found by verification.
"""

from pathlib import Path

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
    inspect,
)

from serving.audit.guards import missing_guards
from serving.records.migration import Migrations, upgrade

METADATA = MetaData()
MIGRATIONS = Migrations(Path(__file__).parent / "migrations", "audit_alembic_version")
"""A line of its own: on SQLite the record is a database of its own."""

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
_HAS_PATIENT = EVENTS.c.patient.is_not(None)
Index(
    "audit_events_by_patient",
    EVENTS.c.patient,
    EVENTS.c.occurred_at,
    sqlite_where=_HAS_PATIENT,
    postgresql_where=_HAS_PATIENT,
)

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

_FIXED = ("audit_events", "audit_checkpoints", "audit_tombstones", "audit_kept")


def create_schema(engine: Engine) -> None:
    """Bring a database to the tables and triggers of the audit record (`migrations/`).

    Triggers that are missing later are not made again: verification must find that they are gone.

    Raises:
        DatabaseError: a newer version of the service has changed them.
    """
    upgrade(engine, MIGRATIONS)


def missing_triggers(connection: Connection) -> list[str]:
    """Return the names of triggers that should guard the tables and do not, or do something else
    than they should.
    """
    return missing_guards(connection, MIGRATIONS, _FIXED)


def has_schema(engine: Engine) -> bool:
    """Whether the tables exist."""
    return set(_FIXED) <= set(inspect(engine).get_table_names())
