"""Making the next checkpoint, and reading those that were made."""

import logging
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from sqlalchemy import Connection, Row, insert, select, text
from sqlalchemy.exc import IntegrityError

from serving.audit.chain import Head, genesis
from serving.audit.checkpoints import (
    Checkpoint,
    SignedCheckpoint,
    Signer,
    Tombstone,
    first_previous,
    is_signed_head,
)
from serving.audit.events import utc_text
from serving.audit.tables import CHECKPOINTS, EVENTS

_LOG = logging.getLogger("zhuzhen.audit")


def state_heads(connection: Connection, signer: Signer) -> SignedCheckpoint | None:
    """Sign how far every lane has come and store it.

    Returns the last checkpoint if nothing came since, and `None` if another writer was quicker.
    """
    last = last_checkpoint(connection)
    checkpoint = next_checkpoint(connection, last, signer)
    if last is not None and checkpoint.heads == last.opened().heads:
        return last
    signed = signer.sign(checkpoint)
    try:
        insert_checkpoint(connection, checkpoint.number, signed)
        connection.commit()
    except IntegrityError:
        connection.rollback()
        return None
    return signed


def next_checkpoint(
    connection: Connection,
    last: SignedCheckpoint | None,
    signer: Signer,
    tombstones: Mapping[int, Tombstone] | None = None,
) -> Checkpoint:
    """Return what can be signed now, after `last`.

    What it says has been committed before: `last` is read first and the heads after it, so that no
    checkpoint is behind the one that it follows. Of a lane at whose end somebody without the key
    has put an event it says what `last` did, so that the event stays in sight.
    """
    opened = last.opened() if last is not None else None
    stated = opened.heads if opened else {}
    heads = heads_of_all(connection)
    return Checkpoint(
        number=opened.number + 1 if opened else 1,
        made_at=utc_text(datetime.now(UTC)),
        heads={
            **stated,
            **{
                lane: head
                for lane, head in heads.items()
                if head == stated.get(lane) or is_a_writers(connection, lane, signer)
            },
        },
        previous=last.digest if last else first_previous(),
        tombstones={**(opened.tombstones if opened else {}), **(tombstones or {})},
    )


def insert_checkpoint(connection: Connection, number: int, signed: SignedCheckpoint) -> None:
    """Add a checkpoint to the chain.

    Raises:
        IntegrityError: another writer has just made one of that number.
    """
    row = {
        "number": number,
        "payload": signed.payload.decode(),
        "key_id": signed.key_id,
        "signature": signed.signature,
    }
    if connection.dialect.name == "postgresql":
        # The anchor, which is written next, must not know more than the database after a loss of
        # power. (On SQLite, connections are opened so that every commit is synced.)
        connection.execute(text("SET LOCAL synchronous_commit = on"))
    connection.execute(insert(CHECKPOINTS), row)


def heads_of_all(connection: Connection) -> dict[int, Head]:
    """Return the last event of each lane that has any."""
    found: dict[int, Head] = {}
    lane = _lane_after(connection, -1)
    while lane is not None:
        found[lane] = head_of(connection, lane)
        lane = _lane_after(connection, lane)
    return found


def head_of(connection: Connection, lane: int) -> Head:
    """Return the last event of `lane`."""
    query = (
        select(EVENTS.c.sequence, EVENTS.c.hash)
        .where(EVENTS.c.lane == lane)
        .order_by(EVENTS.c.sequence.desc())
        .limit(1)
    )
    row = connection.execute(query).first()
    return genesis(lane) if row is None else Head(row.sequence, bytes(row.hash))


def is_a_writers(connection: Connection, lane: int, signer: Signer) -> bool:
    """Whether a holder of the key wrote the last event of `lane`; also if it has none."""
    query = (
        select(EVENTS.c.sequence, EVENTS.c.hash, EVENTS.c.signature)
        .where(EVENTS.c.lane == lane)
        .order_by(EVENTS.c.sequence.desc())
        .limit(1)
    )
    row = connection.execute(query).first()
    if row is None:
        return True
    signature = None if row.signature is None else bytes(row.signature)
    keys = {signer.key_id: signer.key.public_key()}
    if is_signed_head(signature, lane, Head(row.sequence, bytes(row.hash)), keys):
        return True
    _LOG.error("lane %d of the audit record ends in an event that no writer of it signed", lane)
    return False


def _lane_after(connection: Connection, lane: int) -> int | None:
    """Return the next lane that has events, by a look into the primary key, not a walk along it."""
    query = select(EVENTS.c.lane).where(EVENTS.c.lane > lane).order_by(EVENTS.c.lane).limit(1)
    return connection.execute(query).scalar()


def last_checkpoint(connection: Connection) -> SignedCheckpoint | None:
    """Return the checkpoint with the highest number."""
    query = select(CHECKPOINTS).order_by(CHECKPOINTS.c.number.desc()).limit(1)
    row = connection.execute(query).first()
    return None if row is None else _signed(row)


def checkpoint_numbered(connection: Connection, number: int) -> SignedCheckpoint | None:
    """Return the checkpoint of that number."""
    query = select(CHECKPOINTS).where(CHECKPOINTS.c.number == number)
    row = connection.execute(query).first()
    return None if row is None else _signed(row)


def all_checkpoints(connection: Connection) -> Iterator[tuple[int, SignedCheckpoint]]:
    """Yield the number and content of every checkpoint, in order."""
    query = select(CHECKPOINTS).order_by(CHECKPOINTS.c.number)
    for row in connection.execute(query.execution_options(yield_per=1000)):
        yield row.number, _signed(row)


def _signed(row: Row[tuple[object, ...]]) -> SignedCheckpoint:
    return SignedCheckpoint(row.payload.encode(), row.key_id, bytes(row.signature))
