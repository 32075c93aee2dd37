"""Events and recorders for tests."""

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection, Engine, create_engine, event, text

from serving.audit import Action, AuditEvent, Category, Outcome, Purpose
from serving.audit.checkpoints import Signer
from serving.audit.tables import MIGRATIONS, create_schema, missing_triggers
from serving.audit.writing import DatabaseRecorder, RecorderSettings

PATIENT = "p-" + "a" * 26
OTHER_PATIENT = "p-" + "b" * 26

_READ = AuditEvent(
    category=Category.INSTANCES_ACCESSED,
    action=Action.READ,
    outcome=Outcome.ALLOWED,
    operation="studies.read",
    actor="account:17",
    role="specialist",
    purpose=Purpose.CARE,
    institution="county-hospital",
    relation="referred",
    patient=PATIENT,
    object_type="study",
    object_id="study:1",
    source_address="192.0.2.7",
    request_id="r-1",
)


def an_event(**changes: Any) -> AuditEvent:
    """An event of its own number and time, like any other but for `changes`."""
    own: dict[str, Any] = {"event_id": str(uuid4()), "occurred_at": datetime.now(UTC)}
    return replace(_READ, **(own | changes))


@contextlib.contextmanager
def an_engine(url: str) -> Iterator[Engine]:
    """An engine on `url` with the audit tables."""
    engine = create_engine(url)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", lambda dbapi, _: dbapi.execute("PRAGMA journal_mode=WAL"))
    create_schema(engine)
    try:
        yield engine
    finally:
        engine.dispose()


def a_signer() -> Signer:
    return Signer(Ed25519PrivateKey.generate())


def a_recorder(engine: Engine, signer: Signer, anchor: Path, **settings: Any) -> DatabaseRecorder:
    return DatabaseRecorder(engine, signer, anchor, RecorderSettings(**settings))


def guard_again(connection: Connection) -> None:
    """Make the triggers anew, as somebody who covers the tracks would."""
    if missing_triggers(connection):
        for script in MIGRATIONS.scripts().walk_revisions():
            for statement in getattr(script.module, "statements", lambda _: [])(
                connection.dialect.name
            ):
                connection.execute(text(statement))
