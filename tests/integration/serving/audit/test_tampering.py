"""Whoever can write to the database as they like, triggers switched off, is found out."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    bindparam,
    delete,
    insert,
    select,
    text,
    update,
)

from serving.audit import AuditEvent
from serving.audit.anchor import Anchor
from serving.audit.chain import Head, link
from serving.audit.checkpoints import SignedCheckpoint, Signer, key_id_of
from serving.audit.stating import last_checkpoint
from serving.audit.tables import CHECKPOINTS, EVENTS
from serving.audit.verification import Defect, Verification, verify
from tests.audit_samples import (
    OTHER_PATIENT,
    a_recorder,
    a_signer,
    an_engine,
    an_event,
    guard_again,
)

EVENTS_IN_ALL = 10_000


@dataclass
class Record:
    """10,000 events in two lanes with some checkpoints, and its anchor."""

    engine: Engine
    signer: Signer
    anchor: SignedCheckpoint

    def verify(self, connection: Connection, *, anchored: bool = True) -> Verification:
        public = self.signer.key.public_key()
        anchors = [self.anchor] if anchored else []
        return verify(connection, {key_id_of(public): public}, anchors)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def record(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Record]:
    folder = tmp_path_factory.mktemp("record")
    if request.param == "sqlite":
        with an_engine(f"sqlite:///{folder / 'audit.sqlite3'}") as engine:
            yield _filled(engine, folder / "anchor")
    else:
        server = request.getfixturevalue("postgresql")
        with server.fresh_database() as url, an_engine(url) as engine:
            yield _filled(engine, folder / "anchor")


def _filled(engine: Engine, anchor: Path) -> Record:
    signer = a_signer()
    with (
        a_recorder(engine, signer, anchor, checkpoint_interval_s=0.0) as one,
        a_recorder(engine, signer, anchor, checkpoint_interval_s=0.0) as two,
    ):
        for _ in range(20):
            receipts = [
                recorder.record(*(an_event() for _ in range(EVENTS_IN_ALL // 40)))
                for recorder in (one, two)
            ]
            for receipt in receipts:
                receipt.wait()
    signed = Anchor(anchor).read()
    assert signed is not None
    return Record(engine, signer, signed)


@pytest.fixture
def intruder(record: Record) -> Iterator[Connection]:
    """A connection whose changes nothing guards against; they are taken back after the test."""
    with record.engine.connect() as connection:
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            names = text("SELECT name FROM sqlite_master WHERE type = 'trigger'")
            for name in connection.execute(names).scalars().all():
                connection.exec_driver_sql(f"DROP TRIGGER {name}")
        else:
            connection.execute(text("DROP FUNCTION audit_refuse CASCADE"))
        try:
            yield connection
        finally:
            connection.rollback()


def after(connection: Connection, record: Record, *, anchored: bool = True) -> set[Defect]:
    """Cover the tracks, verify, and return the kinds of what is wrong."""
    guard_again(connection)
    found = record.verify(connection, anchored=anchored)
    assert not found.intact
    return {fault.defect for fault in found.faults}


def at(sequence: int, lane: int = 0) -> ColumnElement[bool]:
    return (EVENTS.c.lane == lane) & (EVENTS.c.sequence == sequence)


def rechain(connection: Connection, start: int, lane: int = 0) -> None:
    """Compute all hashes of a lane anew from an event on, as a skilled intruder would."""
    query = select(EVENTS).where(EVENTS.c.lane == lane, EVENTS.c.sequence >= start)
    rows = connection.execute(query.order_by(EVENTS.c.sequence)).all()
    previous, changed = bytes(rows[0].previous), []
    for row in rows:
        fresh = link(lane, row.sequence, previous, row.payload.encode())
        changed.append({"at": row.sequence, "previous": previous, "hash": fresh})
        previous = fresh
    statement = update(EVENTS).where(EVENTS.c.lane == lane, EVENTS.c.sequence == bindparam("at"))
    connection.execute(statement, changed)


def shifted_down(connection: Connection, gap: int) -> None:
    """Close the gap that a removed event left."""
    statement = text(
        "UPDATE audit_events SET sequence = sequence - 1 WHERE lane = 0 AND sequence = :at"
    )
    last = connection.execute(
        select(EVENTS.c.sequence).where(EVENTS.c.lane == 0).order_by(EVENTS.c.sequence.desc())
    ).scalar()
    connection.execute(statement, [{"at": number} for number in range(gap + 1, (last or 0) + 1)])


def test_nothing_is_wrong_with_what_was_recorded(record: Record) -> None:
    with record.engine.connect() as connection:
        found = record.verify(connection)
    assert (found.faults, found.events, found.lanes) == ([], EVENTS_IN_ALL, 2)
    assert found.checkpoints > 5
    assert found.after_last_checkpoint == 0


def test_one_deleted_event_is_found(record: Record, intruder: Connection) -> None:
    intruder.execute(delete(EVENTS).where(at(2500)))
    assert after(intruder, record) == {Defect.MISSING}


def test_a_deleted_event_is_found_though_the_chain_was_made_anew(
    record: Record, intruder: Connection
) -> None:
    intruder.execute(delete(EVENTS).where(at(4900)))
    shifted_down(intruder, 4900)
    rechain(intruder, 4900)
    assert after(intruder, record) >= {Defect.CHANGED, Defect.CUT_OFF}


@pytest.mark.parametrize("column", ["payload", "hash", "previous", "occurred_at", "patient"])
def test_an_edited_column_is_found(record: Record, intruder: Connection, column: str) -> None:
    value: object = {
        "payload": an_event(actor="account:999").canonical().decode(),
        "hash": bytes(32),
        "previous": bytes(32),
        "occurred_at": "2026-01-01T00:00:00.000000Z",
        "patient": OTHER_PATIENT,
    }[column]
    intruder.execute(update(EVENTS).where(at(17, lane=1)).values({column: value}))
    assert after(intruder, record) == {Defect.CHANGED}


def test_an_edited_event_is_found_though_the_chain_was_made_anew(
    record: Record, intruder: Connection
) -> None:
    edited = an_event(actor="account:999")
    values = {"payload": edited.canonical().decode(), "occurred_at": _time_of(edited)}
    intruder.execute(update(EVENTS).where(at(4990)).values(values))
    rechain(intruder, 4990)
    assert after(intruder, record) == {Defect.CHANGED}


def test_two_events_in_each_others_place_are_found(record: Record, intruder: Connection) -> None:
    for here, there in ((-1, 100), (100, 101), (101, -1)):
        move = text("UPDATE audit_events SET sequence = :to WHERE lane = 0 AND sequence = :at")
        intruder.execute(move, {"at": there, "to": here})
    assert after(intruder, record) == {Defect.CHANGED}


def test_an_event_in_the_other_lane_is_found(record: Record, intruder: Connection) -> None:
    intruder.execute(delete(EVENTS).where(at(50, lane=1)))
    intruder.execute(update(EVENTS).where(at(50, lane=0)).values(lane=1))
    assert after(intruder, record) == {Defect.CHANGED, Defect.MISSING}


@pytest.mark.parametrize("signature", ["none", "copied", "own"])
def test_an_event_added_at_the_end_is_found(
    record: Record, intruder: Connection, signature: str
) -> None:
    last = intruder.execute(
        select(EVENTS).where(EVENTS.c.lane == 0).order_by(EVENTS.c.sequence.desc()).limit(1)
    ).one()
    forged = an_event()
    payload = forged.canonical()
    own = Signer(Ed25519PrivateKey.generate())
    fresh = link(0, last.sequence + 1, bytes(last.hash), payload)
    row = {
        "lane": 0,
        "sequence": last.sequence + 1,
        "previous": last.hash,
        "hash": fresh,
        "payload": payload.decode(),
        "occurred_at": _time_of(forged),
        "patient": forged.patient,
        "signature": {
            "none": None,
            "copied": last.signature,
            "own": own.sign_head(0, Head(last.sequence + 1, fresh)),
        }[signature],
    }
    intruder.execute(insert(EVENTS), row)
    assert after(intruder, record) == {Defect.UNSIGNED}


def test_an_event_put_between_is_found(record: Record, intruder: Connection) -> None:
    intruder.execute(delete(EVENTS).where(at(3000)))
    forged = an_event()
    row = {
        "lane": 0,
        "sequence": 3000,
        "previous": bytes(32),
        "hash": link(0, 3000, bytes(32), forged.canonical()),
        "payload": forged.canonical().decode(),
        "occurred_at": _time_of(forged),
        "patient": forged.patient,
    }
    intruder.execute(insert(EVENTS), row)
    assert after(intruder, record) == {Defect.CHANGED}


def test_an_end_cut_off_is_found(record: Record, intruder: Connection) -> None:
    intruder.execute(delete(EVENTS).where(EVENTS.c.sequence > 4000))
    assert after(intruder, record) == {Defect.CUT_OFF}


def test_an_end_cut_off_with_its_checkpoints_is_found_by_the_anchor(
    record: Record, intruder: Connection
) -> None:
    early = intruder.execute(select(CHECKPOINTS).order_by(CHECKPOINTS.c.number).limit(1)).one()
    heads = json.loads(early.payload)["heads"]
    intruder.execute(delete(CHECKPOINTS).where(CHECKPOINTS.c.number > early.number))
    for lane in (0, 1):
        through = heads.get(str(lane), [0])[0]
        kept = (EVENTS.c.lane == lane) & (EVENTS.c.sequence > through)
        intruder.execute(delete(EVENTS).where(kept))
    guard_again(intruder)
    assert record.verify(intruder, anchored=False).intact, "only the anchor can tell"
    assert after(intruder, record) == {Defect.CUT_OFF}


def test_a_whole_lane_gone_is_found(record: Record, intruder: Connection) -> None:
    intruder.execute(delete(EVENTS).where(EVENTS.c.lane == 1))
    assert after(intruder, record, anchored=False) == {Defect.CUT_OFF}


def test_a_record_signed_anew_with_another_key_is_found(
    record: Record, intruder: Connection
) -> None:
    last = last_checkpoint(intruder)
    assert last is not None
    forged = a_signer().sign(last.opened())
    intruder.execute(
        update(CHECKPOINTS)
        .where(CHECKPOINTS.c.number == last.opened().number)
        .values(signature=forged.signature, key_id=forged.key_id)
    )
    assert after(intruder, record, anchored=False) >= {Defect.CHECKPOINT}


def test_a_checkpoint_taken_out_is_found(record: Record, intruder: Connection) -> None:
    intruder.execute(delete(CHECKPOINTS).where(CHECKPOINTS.c.number == 2))
    assert after(intruder, record, anchored=False) == {Defect.CHECKPOINT}


def test_guards_taken_away_are_found(record: Record, intruder: Connection) -> None:
    found = record.verify(intruder)
    assert {fault.defect for fault in found.faults} == {Defect.UNGUARDED}


def test_guards_that_let_everything_pass_are_found(record: Record, intruder: Connection) -> None:
    """A trigger of the right name in the right place, which refuses nothing."""
    if intruder.dialect.name == "sqlite":
        guard_again(intruder)
        intruder.exec_driver_sql("DROP TRIGGER audit_events_no_update")
        intruder.exec_driver_sql(
            "CREATE TRIGGER audit_events_no_update BEFORE UPDATE ON audit_events "
            "BEGIN SELECT 1; END"
        )
        expected = 1
    else:
        guard_again(intruder)
        intruder.exec_driver_sql(
            "CREATE OR REPLACE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RETURN COALESCE(NEW, OLD); END $$"
        )
        expected = 12

    found = record.verify(intruder)

    assert [fault.defect for fault in found.faults] == [Defect.UNGUARDED] * expected


def test_a_guard_of_some_columns_or_another_table_is_found(
    record: Record, intruder: Connection
) -> None:
    guard_again(intruder)
    intruder.exec_driver_sql(
        "DROP TRIGGER audit_events_no_update"
        + ("" if intruder.dialect.name == "sqlite" else " ON audit_events")
    )
    assert [fault.defect for fault in record.verify(intruder).faults] == [Defect.UNGUARDED]
    if intruder.dialect.name == "postgresql":
        refuses = "FOR EACH ROW EXECUTE FUNCTION audit_refuse()"
        for instead in ("UPDATE OF lane ON audit_events", "UPDATE ON audit_kept"):
            with intruder.begin_nested() as point:
                intruder.exec_driver_sql(
                    f"CREATE TRIGGER audit_events_no_update BEFORE {instead} {refuses}"
                )
                assert not record.verify(intruder).intact
                point.rollback()


def _time_of(event: AuditEvent) -> str:
    return str(json.loads(event.canonical())["occurred_at"])
