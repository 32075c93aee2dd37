"""Writes audit events as fast as they become durable: `python -m benchmarks.audit_writer`.

Arguments: the database's address, a folder for the anchor, and seconds.
Says `ready`, waits for a line, and says how many events a second became durable.
"""

import asyncio
import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Engine, create_engine, event

from serving.audit import Action, AuditEvent, Category, Outcome, Purpose
from serving.audit.checkpoints import Signer
from serving.audit.tables import create_schema
from serving.audit.writing import DatabaseRecorder

TASKS = 64
"""Requests in flight at the same time, each of which waits for its event."""
_SEED = bytes(32)
"""Of the key: a writer does not go on from events that another key signed."""


@contextlib.contextmanager
def audit_engine(url: str) -> Iterator[Engine]:
    """Yield an engine on `url` with the tables of the audit record."""
    engine = create_engine(url)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", lambda dbapi, _: dbapi.execute("PRAGMA journal_mode=WAL"))
    create_schema(engine)
    try:
        yield engine
    finally:
        engine.dispose()


def new_recorder(engine: Engine, folder: Path) -> DatabaseRecorder:
    """Return a recorder with an anchor of its own, and the key of all who write there."""
    # An anchor of its own each time: several databases take turns.
    anchor = folder / f"anchor-{time.monotonic_ns()}"
    return DatabaseRecorder(engine, Signer(Ed25519PrivateKey.from_private_bytes(_SEED)), anchor)


def an_event() -> AuditEvent:
    """Return an event as most are."""
    return AuditEvent(
        category=Category.INSTANCES_ACCESSED,
        action=Action.READ,
        outcome=Outcome.ALLOWED,
        operation="read_images",
        actor="account:17",
        role="specialist",
        purpose=Purpose.CARE,
        institution="county-hospital",
        relation="referred",
        patient="p-" + "a" * 26,
        object_type="study",
        object_id="study:1",
        request_id="r-1",
    )


async def record_for(recorder: DatabaseRecorder, seconds: float) -> int:
    """Record events for some time and return how many became durable."""
    end = time.perf_counter() + seconds

    async def one() -> int:
        done = 0
        while time.perf_counter() < end:
            await recorder.record(an_event())
            done += 1
        return done

    return sum(await asyncio.gather(*(one() for _ in range(TASKS))))


def main() -> None:
    """Write when told to."""
    url, folder, seconds = sys.argv[1:]
    with audit_engine(url) as engine, new_recorder(engine, Path(folder)) as recorder:
        print("ready", flush=True)
        sys.stdin.readline()
        print(asyncio.run(record_for(recorder, float(seconds))) / float(seconds), flush=True)


if __name__ == "__main__":
    main()
