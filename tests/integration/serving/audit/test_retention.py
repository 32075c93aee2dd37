"""Old events go, those under legal hold stay, and the rest still proves itself."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, delete, select, text
from sqlalchemy.exc import DBAPIError

from serving.audit.anchor import Anchor
from serving.audit.checkpoints import Signer, key_id_of
from serving.audit.retention import Pruned, RetentionError, prune
from serving.audit.tables import EVENTS
from serving.audit.verification import Defect, Verification, verify
from tests.audit_samples import OTHER_PATIENT, PATIENT, a_recorder, a_signer, an_engine, an_event

KEEP = timedelta(days=366)
LONG_AGO = datetime.now(UTC) - timedelta(days=400)


def fill(engine: Engine, signer: Signer, anchor: Path, *, old: int = 6, young: int = 3) -> None:
    with a_recorder(engine, signer, anchor) as recorder:
        for number in range(old):
            patient = PATIENT if number % 3 else OTHER_PATIENT
            recorder.record(an_event(occurred_at=LONG_AGO, patient=patient)).wait()
        for _ in range(young):
            recorder.record(an_event()).wait()


def check(engine: Engine, signer: Signer, anchor: Path) -> Verification:
    public = signer.key.public_key()
    anchors = [found] if (found := Anchor(anchor).read()) else []
    with engine.connect() as connection:
        return verify(connection, {key_id_of(public): public}, anchors)


def prune_all_but(engine: Engine, signer: Signer, held: set[str]) -> Pruned:
    with engine.connect() as connection:
        return prune(connection, signer, keep=KEEP, is_held=held.__contains__)


def test_what_is_old_goes_and_the_rest_verifies(database_url: str, tmp_path: Path) -> None:
    signer, anchor = a_signer(), tmp_path / "anchor"
    with an_engine(database_url) as engine:
        fill(engine, signer, anchor)
        done = prune_all_but(engine, signer, set())
        assert (done.removed, done.kept) == (6, 0)
        found = check(engine, signer, anchor)
        assert (found.faults, found.events, found.pruned) == ([], 3, 6)
        fill(engine, signer, anchor)
        found = check(engine, signer, anchor)
        assert (found.faults, found.events, found.pruned) == ([], 12, 6)


def test_clocks_that_jumped_take_nothing_that_is_young(database_url: str, tmp_path: Path) -> None:
    signer, anchor = a_signer(), tmp_path / "anchor"
    hour = timedelta(hours=1)
    with an_engine(database_url) as engine:
        fill(engine, signer, anchor)
        told = [datetime.now(UTC) + jump for jump in (hour, -hour, timedelta())]
        with a_recorder(engine, signer, anchor) as recorder:
            for moment in told:
                recorder.record(an_event(occurred_at=moment)).wait()
            # Years back, while the clock had lost its battery.
            recorder.record(an_event(occurred_at=LONG_AGO)).wait()
            recorder.record(an_event()).wait()
        found = check(engine, signer, anchor)
        assert (found.faults, found.events) == ([], 14), "the order is that of the chain"
        with engine.connect() as connection:
            ahead = datetime.now(UTC) + timedelta(days=3650)
            done = prune(
                connection, signer, keep=KEEP, is_held=set[str]().__contains__, clock=lambda: ahead
            )
        assert done.removed == 6, "what is old, and nothing after the first that is young"
        found = check(engine, signer, anchor)
        assert (found.faults, found.events, found.pruned) == ([], 8, 6)


def test_a_legal_hold_keeps_a_patients_events_until_it_is_lifted(
    database_url: str, tmp_path: Path
) -> None:
    signer, anchor = a_signer(), tmp_path / "anchor"
    with an_engine(database_url) as engine:
        fill(engine, signer, anchor)
        done = prune_all_but(engine, signer, {OTHER_PATIENT})
        assert (done.removed, done.kept) == (4, 2)
        found = check(engine, signer, anchor)
        assert (found.faults, found.events, found.kept, found.pruned) == ([], 3, 2, 4)
        # Nothing more to do while it lasts.
        assert prune_all_but(engine, signer, {OTHER_PATIENT}).checkpoint is None
        with engine.connect() as connection, pytest.raises(DBAPIError, match="append-only"):
            connection.execute(delete(EVENTS).where(EVENTS.c.patient == OTHER_PATIENT))
        done = prune_all_but(engine, signer, set())
        assert (done.removed, done.kept) == (2, 0)
        found = check(engine, signer, anchor)
        assert (found.faults, found.events, found.kept, found.pruned) == ([], 3, 0, 6)


def test_a_held_event_that_is_taken_or_changed_is_found(tmp_path: Path) -> None:
    signer, anchor = a_signer(), tmp_path / "anchor"
    with an_engine(f"sqlite:///{tmp_path / 'r.sqlite3'}") as engine:
        fill(engine, signer, anchor)
        prune_all_but(engine, signer, {OTHER_PATIENT})
        for statement in (
            "DELETE FROM audit_events WHERE sequence = 1",
            "UPDATE audit_events SET payload = '{}' WHERE sequence = 1",
            "DELETE FROM audit_kept WHERE sequence = 1",
        ):
            public = signer.key.public_key()
            with engine.connect() as connection:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                for name in ("events_no_delete", "events_no_update", "kept_no_delete"):
                    connection.exec_driver_sql(f"DROP TRIGGER audit_{name}")
                connection.execute(text(statement))
                found = verify(connection, {key_id_of(public): public})
                connection.rollback()
            defects = {fault.defect for fault in found.faults} - {Defect.UNGUARDED}
            assert defects <= {Defect.MISSING, Defect.CHANGED}
            assert defects


def test_a_tombstone_that_nobody_signed_is_found(tmp_path: Path) -> None:
    signer, anchor = a_signer(), tmp_path / "anchor"
    with an_engine(f"sqlite:///{tmp_path / 'r.sqlite3'}") as engine:
        fill(engine, signer, anchor)
        with engine.begin() as connection:
            connection.execute(text("INSERT INTO audit_tombstones VALUES (0, 99, 5)"))
            connection.execute(delete(EVENTS).where(EVENTS.c.sequence <= 5))
        found = check(engine, signer, anchor)
        assert {fault.defect for fault in found.faults} == {Defect.MISSING}


def test_young_events_and_short_retentions_are_refused(database_url: str, tmp_path: Path) -> None:
    signer, anchor = a_signer(), tmp_path / "anchor"
    with an_engine(database_url) as engine:
        fill(engine, signer, anchor, old=0)
        assert prune_all_but(engine, signer, set()) == Pruned(0, 0, None)
        with engine.connect() as connection, pytest.raises(RetentionError, match="183"):
            prune(connection, signer, keep=timedelta(days=30), is_held=lambda _: False)
        with engine.connect() as connection:
            assert len(connection.execute(select(EVENTS)).all()) == 3
