"""Events that somebody adds while writers write, or before the next one starts, stay in sight."""

import time
from pathlib import Path

import pytest
from sqlalchemy import Engine, insert, select

from serving.audit.anchor import Anchor
from serving.audit.chain import Head, genesis, link
from serving.audit.checkpoints import Signer
from serving.audit.stating import last_checkpoint
from serving.audit.tables import EVENTS
from serving.audit.verification import Defect, Fault, snapshot, verify
from tests.audit_samples import a_recorder, a_signer, an_engine, an_event


def forge(engine: Engine, lane: int) -> int:
    """Add an event to the end of a lane without the key; return its place."""
    forged = an_event(actor="account:forged")
    payload = forged.canonical()
    with engine.begin() as connection:
        query = select(EVENTS.c.sequence, EVENTS.c.hash).where(EVENTS.c.lane == lane)
        last = connection.execute(query.order_by(EVENTS.c.sequence.desc()).limit(1)).first()
        head = genesis(lane) if last is None else Head(last.sequence, bytes(last.hash))
        row = {
            "lane": lane,
            "sequence": head.sequence + 1,
            "previous": head.hash,
            "hash": link(lane, head.sequence + 1, head.hash, payload),
            "payload": payload.decode(),
            "occurred_at": payload_time(payload),
            "patient": forged.patient,
        }
        connection.execute(insert(EVENTS), row)
    return head.sequence + 1


def payload_time(payload: bytes) -> str:
    return payload.split(b'"occurred_at":"')[1][:27].decode()


def faults(engine: Engine, signer: Signer, anchor: Path) -> set[Fault]:
    signed = Anchor(anchor).read()
    with snapshot(engine) as connection:
        keys = {signer.key_id: signer.key.public_key()}
        return set(verify(connection, keys, [signed] if signed else []).faults)


def wait_for_checkpoint(engine: Engine, after: int) -> int:
    until = time.monotonic() + 20
    while time.monotonic() < until:
        with engine.connect() as connection:
            last = last_checkpoint(connection)
        number = last.opened().number if last else 0
        if number > after:
            return number
        time.sleep(0.02)
    raise AssertionError("no checkpoint was made")


@pytest.mark.parametrize("lane", [0, 1], ids=["the writer's lane", "a lane of nobody"])
def test_an_event_forged_beside_a_writer_is_found(
    database_url: str, tmp_path: Path, lane: int
) -> None:
    signer, anchor = a_signer(), tmp_path / "anchor"
    with an_engine(database_url) as engine:
        with a_recorder(engine, signer, anchor, checkpoint_interval_s=0.05) as recorder:
            recorder.record(an_event()).wait()
            made = wait_for_checkpoint(engine, 0)
            place = forge(engine, lane)
            for _ in range(3):
                recorder.record(an_event()).wait()
                recorder.record(an_event(), wait_for_disk=False).wait()
                made = wait_for_checkpoint(engine, made)
        with engine.connect() as connection:
            genuine = select(EVENTS.c.payload).where(EVENTS.c.payload.not_like("%forged%"))
            assert len(connection.execute(genuine).all()) == 7
        found = faults(engine, signer, anchor)
    assert {(fault.defect, fault.lane, fault.sequence) for fault in found} == {
        (Defect.UNSIGNED, lane, place)
    }


def test_an_event_forged_between_two_runs_is_found(database_url: str, tmp_path: Path) -> None:
    signer, anchor = a_signer(), tmp_path / "anchor"
    with an_engine(database_url) as engine:
        with a_recorder(engine, signer, anchor) as recorder:
            recorder.record(an_event()).wait()
        place = forge(engine, 0)
        for _ in range(2):
            with a_recorder(engine, signer, anchor) as recorder:
                recorder.record(an_event()).wait()
        found = faults(engine, signer, anchor)
    assert {(fault.defect, fault.lane, fault.sequence) for fault in found} == {
        (Defect.UNSIGNED, 0, place)
    }
