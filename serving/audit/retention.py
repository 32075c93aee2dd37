"""What may be removed from the record when its time is over, and how it still proves the rest.

The oldest events of a lane go, up to the first that is too young; those of a patient under legal
hold stay. A signed checkpoint says up to where, with the hash that the remaining chain continues
from and a digest of what was kept: the tombstone. The database lets go of what a tombstone covers
and of nothing else.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, delete, func, insert, select
from sqlalchemy.exc import IntegrityError

from models.errors import ZhuzhenError
from serving.audit.chain import Head
from serving.audit.checkpoints import SignedCheckpoint, Signer, Tombstone, digest_of_kept
from serving.audit.events import utc_text
from serving.audit.stating import (
    heads_of_all,
    insert_checkpoint,
    last_checkpoint,
    next_checkpoint,
)
from serving.audit.tables import EVENTS, KEPT, TOMBSTONES

SHORTEST = timedelta(days=183)
"""Network logs are kept for six months at least: Cybersecurity Law of the PRC, article 21 (3)."""
USUAL = timedelta(days=15 * 366)
"""As long as outpatient records: 15 years after the last visit (电子病历应用管理规范（试行）2017,
article 19)."""

_ATTEMPTS = 5


class RetentionError(ZhuzhenError, ValueError):
    """Events are to be removed that must be kept."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was done."""

    removed: int
    kept: int
    """Events that a legal hold kept."""
    checkpoint: SignedCheckpoint | None
    """The signed tombstone; `None` if nothing was old enough."""


@dataclass(frozen=True, slots=True)
class _Part:
    """The beginning of a lane that goes."""

    lane: int
    through: Head
    kept: dict[int, bytes]
    removed: int


def prune(
    connection: Connection,
    signer: Signer,
    *,
    keep: timedelta,
    is_held: Callable[[str], bool],
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Pruned:
    """Remove events older than `keep`, in one transaction. Verify the record before.

    The age of an event is counted back from the newest one, or from now where that is earlier: a
    clock that is years ahead removes nothing that is young.

    Args:
        connection: to the database; committed here.
        signer: signs the tombstone.
        keep: how long events are kept.
        is_held: whether the patient of that pseudonym is under legal hold.
        clock: says what time it is.

    Raises:
        RetentionError: `keep` is shorter than the law allows.
    """
    if keep < SHORTEST:
        raise RetentionError(
            f"Events are to be kept for {keep.days} days; expected {SHORTEST.days} or more."
        )
    newest = connection.scalar(select(func.max(EVENTS.c.occurred_at)))
    connection.rollback()
    if newest is None:
        return Pruned(0, 0, None)
    limit = utc_text(min(clock(), datetime.fromisoformat(newest)) - keep)
    for _ in range(_ATTEMPTS):
        try:
            return _prune(connection, signer, limit, is_held)
        except IntegrityError:
            # A writer made the checkpoint of that number.
            connection.rollback()
    raise RetentionError("Writers were quicker with each checkpoint; try again in a moment.")


def _prune(
    connection: Connection, signer: Signer, limit: str, is_held: Callable[[str], bool]
) -> Pruned:
    parts = [
        part
        for lane, head in heads_of_all(connection).items()
        if (part := _part_of(connection, lane, head, limit, is_held)) is not None
    ]
    if not parts:
        return Pruned(0, 0, None)
    signed = _bury(connection, signer, parts)
    connection.commit()
    return Pruned(
        sum(part.removed for part in parts), sum(len(part.kept) for part in parts), signed
    )


def _part_of(
    connection: Connection, lane: int, head: Head, limit: str, is_held: Callable[[str], bool]
) -> _Part | None:
    young = select(EVENTS.c.sequence).where(EVENTS.c.lane == lane, EVENTS.c.occurred_at >= limit)
    first_young = connection.scalar(young.order_by(EVENTS.c.sequence).limit(1))
    # The last event of a lane always stays: the next one continues from it.
    end = min(first_young or head.sequence, head.sequence)
    query = select(EVENTS.c.sequence, EVENTS.c.hash, EVENTS.c.patient).where(
        EVENTS.c.lane == lane, EVENTS.c.sequence < end
    )
    query = query.order_by(EVENTS.c.sequence).execution_options(yield_per=2000)
    kept, through, removed = {}, None, 0
    for row in connection.execute(query):
        through = Head(row.sequence, bytes(row.hash))
        if row.patient and is_held(row.patient):
            kept[row.sequence] = through.hash
        else:
            removed += 1
    return _Part(lane, through, kept, removed) if through and removed else None


def _bury(connection: Connection, signer: Signer, parts: list[_Part]) -> SignedCheckpoint:
    last = last_checkpoint(connection)
    stones = {part.lane: _stone_of(part, last) for part in parts}
    checkpoint = next_checkpoint(connection, last, signer, stones)
    signed = signer.sign(checkpoint)
    insert_checkpoint(connection, checkpoint.number, signed)
    for part in parts:
        through = stones[part.lane].through.sequence
        stone = {"lane": part.lane, "checkpoint": checkpoint.number, "through": through}
        connection.execute(insert(TOMBSTONES), stone)
        if part.kept:
            rows = [
                {
                    "lane": part.lane,
                    "checkpoint": checkpoint.number,
                    "sequence": number,
                    "hash": part.kept[number],
                }
                for number in part.kept
            ]
            connection.execute(insert(KEPT), rows)
        held = select(KEPT.c.sequence).where(
            KEPT.c.lane == part.lane, KEPT.c.checkpoint == checkpoint.number
        )
        gone = (EVENTS.c.lane == part.lane) & (EVENTS.c.sequence <= through)
        connection.execute(delete(EVENTS).where(gone, EVENTS.c.sequence.not_in(held)))
    return signed


def _stone_of(part: _Part, last: SignedCheckpoint | None) -> Tombstone:
    """The tombstone moves forward only: what is left before it may be held events alone."""
    before = last.opened().tombstones.get(part.lane) if last is not None else None
    through = part.through
    if before is not None and before.through.sequence > through.sequence:
        through = before.through
    return Tombstone(through, digest_of_kept(part.kept))
