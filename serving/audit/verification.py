"""Finding out whether the record is what was written.

Read in this order, so that a service may go on writing meanwhile: the anchor, the checkpoints, the
events. Every event's hash is computed anew from what is stored, every link followed, every
signature checked, and what was signed is held against what is there.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from sqlalchemy import Connection, Engine, Row, select

from serving.audit.chain import Head, genesis, link
from serving.audit.checkpoints import (
    Checkpoint,
    CheckpointError,
    SignedCheckpoint,
    Tombstone,
    digest_of_kept,
    first_previous,
    is_signed_head,
)
from serving.audit.events import SERVICE_START, SERVICE_STOP
from serving.audit.stating import all_checkpoints, heads_of_all
from serving.audit.tables import EVENTS, KEPT, TOMBSTONES, missing_triggers

_MOST_TOLD = 100
"""Defects that are listed; more are counted."""


class Defect(StrEnum):
    """What can be wrong."""

    MISSING = "missing"
    """Events are not there that must have been."""
    CHANGED = "changed"
    """An event is not the one that was recorded in its place: edited, inserted or moved."""
    CUT_OFF = "cut_off"
    """The end of a lane or of the checkpoints is not there."""
    UNSIGNED = "unsigned"
    """Events after the last checkpoint that no writer of this installation signed."""
    CHECKPOINT = "checkpoint"
    """A checkpoint does not follow from the one before it, or is not signed by a trusted key."""
    UNGUARDED = "unguarded"
    """The database no longer refuses changes."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong, and where."""

    defect: Defect
    detail: str
    lane: int | None = None
    sequence: int | None = None


@dataclass(slots=True)
class Verification:
    """What was found."""

    events: int = 0
    lanes: int = 0
    checkpoints: int = 0
    pruned: int = 0
    """Events deleted under a signed tombstone."""
    kept: int = 0
    """Events that a legal hold kept from that."""
    after_last_checkpoint: int = 0
    """Events that their writers' signatures alone cover so far."""
    unclean_stops: int = 0
    """Starts of the service that follow no stop: the process was killed, or the machine lost power,
    and with it up to `RecorderSettings.sync_within_s` of what institutions read of their own."""
    faults: list[Fault] = field(default_factory=list)
    fault_count: int = 0

    @property
    def intact(self) -> bool:
        """Whether nothing is wrong."""
        return self.fault_count == 0

    def fault(
        self, defect: Defect, detail: str, lane: int | None = None, sequence: int | None = None
    ) -> None:
        """Note a fault."""
        self.fault_count += 1
        if len(self.faults) < _MOST_TOLD:
            self.faults.append(Fault(defect, detail, lane, sequence))


def verify(
    connection: Connection,
    keys: Mapping[str, Ed25519PublicKey],
    anchors: Sequence[SignedCheckpoint] = (),
) -> Verification:
    """Check the whole record.

    Args:
        connection: to the database; `snapshot` gives one.
        keys: trusted public keys by their `key_id_of`.
        anchors: checkpoints kept elsewhere, which must be part of the record. Read them before the
            snapshot is taken.
    """
    found = Verification()
    for name in missing_triggers(connection):
        found.fault(Defect.UNGUARDED, f"the trigger {name} is not there or is switched off")
    stated = _Stated()
    last = _check_checkpoints(connection, keys, anchors, stated, found)
    lanes = set(heads_of_all(connection)) | {lane for lane, _ in stated.hashes}
    found.lanes = len(lanes)
    for lane in sorted(lanes):
        _Lane(connection, lane, last, stated, found).check(keys)
    return found


@contextmanager
def snapshot(engine: Engine) -> Iterator[Connection]:
    """Yield a connection that sees the database as it is now."""
    with engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            connection.execution_options(isolation_level="REPEATABLE READ")
        yield connection


@dataclass(slots=True)
class _Stated:
    """What checkpoints say of events: the hash that each of these must have."""

    hashes: dict[tuple[int, int], bytes] = field(default_factory=dict)


def _check_checkpoints(
    connection: Connection,
    keys: Mapping[str, Ed25519PublicKey],
    anchors: Sequence[SignedCheckpoint],
    stated: _Stated,
    found: Verification,
) -> Checkpoint | None:
    """Check the chain of checkpoints; return the last one that is signed."""
    awaited = _by_number(anchors, keys, found)
    digest, last, number = first_previous(), None, 0
    for number, signed in all_checkpoints(connection):
        found.checkpoints += 1
        anchored = awaited.pop(number, None)
        if anchored is not None and anchored != signed:
            found.fault(Defect.CHECKPOINT, f"checkpoint {number} is not the anchored one")
        try:
            signed.require_signature(keys)
            opened = signed.opened()
            _require_follows(opened, number, found.checkpoints, digest, last)
        except CheckpointError as error:
            found.fault(Defect.CHECKPOINT, f"checkpoint {number}: {error}")
        else:
            for lane, head in opened.heads.items():
                stated.hashes[lane, head.sequence] = head.hash
            last = opened
        digest = signed.digest
    for missing in awaited:
        found.fault(
            Defect.CUT_OFF,
            f"checkpoint {missing} is anchored outside the database, which ends at {number}",
        )
        # What the anchor states of the events still holds.
        for lane, head in awaited[missing].opened().heads.items():
            stated.hashes[lane, head.sequence] = head.hash
    return last


def _by_number(
    anchors: Sequence[SignedCheckpoint],
    keys: Mapping[str, Ed25519PublicKey],
    found: Verification,
) -> dict[int, SignedCheckpoint]:
    numbered = {}
    for anchor in anchors:
        try:
            anchor.require_signature(keys)
            numbered[anchor.opened().number] = anchor
        except CheckpointError as error:
            found.fault(Defect.CHECKPOINT, f"an anchor: {error}")
    return numbered


def _require_follows(
    opened: Checkpoint, number: int, position: int, digest: str, last: Checkpoint | None
) -> None:
    if opened.number != number or number != position:
        raise CheckpointError(f"its place is {position}; checkpoints before it are not there.")
    if opened.previous != digest:
        raise CheckpointError("it does not follow the one before it.")
    if last is not None and any(
        lane not in opened.heads or opened.heads[lane].sequence < head.sequence
        for lane, head in last.heads.items()
    ):
        raise CheckpointError("it states less than the one before it.")


class _Lane:
    """The check of one lane."""

    def __init__(
        self,
        connection: Connection,
        lane: int,
        last: Checkpoint | None,
        stated: _Stated,
        found: Verification,
    ) -> None:
        self._connection = connection
        self._lane = lane
        self._stone = last.tombstones.get(lane) if last else None
        self._stated_to = last.heads[lane].sequence if last and lane in last.heads else 0
        self._awaited = {
            sequence: value for (at, sequence), value in stated.hashes.items() if at == lane
        }
        self._found = found
        self._is_serving = False

    def check(self, keys: Mapping[str, Ed25519PublicKey]) -> None:
        """Follow the lane from its beginning, or from its tombstone, to its end."""
        head = genesis(self._lane)
        if self._stone is not None:
            self._check_pruned(self._stone)
            head = self._stone.through
            self._awaited = {at: kept for at, kept in self._awaited.items() if at >= head.sequence}
            self._require_stated(head)
        signature: bytes | None = None
        for row in self._rows_after(head.sequence):
            if row.sequence != head.sequence + 1:
                self._tell(
                    Defect.MISSING, head.sequence + 1, f"not there, up to {row.sequence - 1}"
                )
            elif bytes(row.previous) != head.hash:
                self._tell(Defect.CHANGED, row.sequence, "does not follow the event before it")
            self._check_row(row)
            head, signature = Head(row.sequence, bytes(row.hash)), row.signature
            self._require_stated(head)
            self._found.events += 1
            self._found.after_last_checkpoint += row.sequence > self._stated_to
        stated_to = max(self._awaited, default=0)
        if stated_to > head.sequence:
            self._tell(Defect.CUT_OFF, head.sequence + 1, f"not there, up to {stated_to} at least")
        elif head.sequence > self._stated_to and not is_signed_head(
            None if signature is None else bytes(signature), self._lane, head, keys
        ):
            self._tell(Defect.UNSIGNED, head.sequence, "no writer signed the end of the lane")

    def _require_stated(self, head: Head) -> None:
        stated = self._awaited.pop(head.sequence, head.hash)
        if stated != head.hash:
            self._tell(Defect.CHANGED, head.sequence, "a checkpoint states another event here")

    def _check_row(self, row: Row[tuple[object, ...]]) -> None:
        payload = row.payload.encode()
        if link(self._lane, row.sequence, bytes(row.previous), payload) != bytes(row.hash):
            self._tell(Defect.CHANGED, row.sequence, "is not what its hash was made of")
            return
        event = _content_of(payload)
        if (row.occurred_at, row.patient) != (event.get("occurred_at"), event.get("patient")):
            self._tell(Defect.CHANGED, row.sequence, "is filed under another patient or time")
        self._note_service(event.get("operation"))

    def _note_service(self, operation: object) -> None:
        if operation == SERVICE_START:
            self._found.unclean_stops += self._is_serving
            self._is_serving = True
        elif operation == SERVICE_STOP:
            self._is_serving = False

    def _check_pruned(self, stone: Tombstone) -> None:
        """What is left below a tombstone is what a legal hold kept, unchanged."""
        latest = select(TOMBSTONES.c.checkpoint).where(TOMBSTONES.c.lane == self._lane)
        number = self._connection.scalar(latest.order_by(TOMBSTONES.c.checkpoint.desc()).limit(1))
        listed = {
            row.sequence: bytes(row.hash)
            for row in self._connection.execute(
                select(KEPT).where(KEPT.c.lane == self._lane, KEPT.c.checkpoint == number)
            )
        }
        if digest_of_kept(listed) != stone.kept_digest:
            self._tell(Defect.CHANGED, stone.through.sequence, "the list of kept events differs")
        there = {}
        for row in self._rows(EVENTS.c.sequence <= stone.through.sequence):
            self._check_row(row)
            there[row.sequence] = bytes(row.hash)
        for sequence in sorted(set(listed) ^ set(there)):
            self._tell(Defect.MISSING, sequence, "an event under legal hold, or one too many")
        for sequence in sorted(set(listed) & set(there)):
            if listed[sequence] != there[sequence]:
                self._tell(Defect.CHANGED, sequence, "an event under legal hold")
        self._found.kept += len(there)
        self._found.pruned += stone.through.sequence - len(there)

    def _rows_after(self, sequence: int) -> Iterator[Row[tuple[object, ...]]]:
        return self._rows(EVENTS.c.sequence > sequence)

    def _rows(self, which: object) -> Iterator[Row[tuple[object, ...]]]:
        query = select(EVENTS).where(EVENTS.c.lane == self._lane, which)  # type: ignore[arg-type]
        query = query.order_by(EVENTS.c.sequence).execution_options(yield_per=2000)
        yield from self._connection.execute(query)

    def _tell(self, defect: Defect, sequence: int, detail: str) -> None:
        self._found.fault(
            defect, f"lane {self._lane}, event {sequence}: {detail}", self._lane, sequence
        )


def _content_of(payload: bytes) -> dict[str, object]:
    """Return the fields of an event, none if it is no event."""
    try:
        event = json.loads(payload)
    except ValueError:
        return {}
    return event if isinstance(event, dict) else {}
