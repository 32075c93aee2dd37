"""Events are durable before anybody is told so, whoever records them and how many at once."""

import asyncio
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError

from serving.audit import AuditUnavailableError
from serving.audit.anchor import Anchor, AuditTamperedError
from serving.audit.chain import genesis, link
from serving.audit.events import event_from
from serving.audit.tables import CHECKPOINTS, EVENTS
from serving.audit.writing import DatabaseRecorder
from tests.audit_samples import a_recorder, a_signer, an_engine, an_event


def test_a_receipt_means_that_it_is_in_the_database(database_url: str, tmp_path: Path) -> None:
    event = an_event()
    with an_engine(database_url) as engine:
        with a_recorder(engine, a_signer(), tmp_path / "anchor") as recorder:
            recorder.record(event).wait()
            with engine.connect() as connection:
                row = connection.execute(select(EVENTS)).one()
        assert event_from(row.payload.encode()) == event
        assert bytes(row.previous) == genesis(0).hash
        assert bytes(row.hash) == link(0, 1, genesis(0).hash, row.payload.encode())


def test_many_tasks_share_few_transactions(database_url: str, tmp_path: Path) -> None:
    async def ask(recorder: object) -> None:
        async def one() -> None:
            await recorder.record(an_event())  # type: ignore[attr-defined]

        await asyncio.gather(*(one() for _ in range(300)))

    with an_engine(database_url) as engine:
        with a_recorder(engine, a_signer(), tmp_path / "anchor") as recorder:
            asyncio.run(ask(recorder))
        with engine.connect() as connection:
            assert connection.execute(select(func.count()).select_from(EVENTS)).scalar() == 300
            assert connection.execute(select(func.count()).select_from(CHECKPOINTS)).scalar() == 1


def test_requests_that_are_worked_on_share_a_transaction(tmp_path: Path) -> None:
    with an_engine(f"sqlite:///{tmp_path / 'r.sqlite3'}") as engine:
        recorder = a_recorder(engine, a_signer(), tmp_path / "anchor", write_within_s=60.0)
        with recorder, engine.connect() as connection:
            first, second, third = (
                recorder.record(an_event(), wait_for_disk=False) for _ in range(3)
            )
            time.sleep(0.05)
            assert connection.execute(select(EVENTS.c.sequence)).all() == []
            connection.rollback()
            second.wait()
            rows = connection.execute(select(EVENTS).order_by(EVENTS.c.sequence)).all()
            # The last event of each transaction is signed.
            assert [row.signature is not None for row in rows] == [False, False, True]
            first.wait()
            third.wait()


def test_a_request_does_not_stop_others_while_somebody_else_writes(tmp_path: Path) -> None:
    async def ask(recorder: DatabaseRecorder, release: Callable[[], None]) -> int:
        async def one() -> None:
            await recorder.record(an_event(), wait_for_disk=False)

        asked = [asyncio.create_task(one()) for _ in range(3)]
        ticks = 0
        while not all(task.done() for task in asked):
            ticks += 1
            if ticks == 20:
                assert not any(task.done() for task in asked)
                release()
            await asyncio.sleep(0.01)
        return ticks

    signer, anchor = a_signer(), tmp_path / "anchor"
    with (
        an_engine(f"sqlite:///{tmp_path / 'r.sqlite3'}") as engine,
        a_recorder(engine, signer, anchor) as recorder,
        engine.connect() as other,
    ):
        recorder.record(an_event()).wait()
        other.exec_driver_sql("BEGIN IMMEDIATE")
        assert asyncio.run(ask(recorder, other.rollback)) > 20
        rows = other.execute(select(EVENTS).order_by(EVENTS.c.sequence)).all()
        assert [row.sequence for row in rows] == [1, 2, 3, 4]
        assert rows[-1].signature is not None


def test_what_nobody_waits_for_is_written_in_a_moment(tmp_path: Path) -> None:
    with an_engine(f"sqlite:///{tmp_path / 'r.sqlite3'}") as engine:
        recorder = a_recorder(engine, a_signer(), tmp_path / "anchor")
        with recorder, engine.connect() as connection:
            for expected in range(1, 4):
                recorder.record(an_event(), wait_for_disk=False)
                found, until = 0, time.monotonic() + 20
                while found < expected and time.monotonic() < until:
                    time.sleep(0.02)
                    found = len(connection.execute(select(EVENTS.c.sequence)).all())
                    connection.rollback()
                assert found == expected


def test_a_cancelled_waiter_takes_nothing_from_the_others(tmp_path: Path) -> None:
    async def ask(recorder: object) -> None:
        async def one() -> None:
            await recorder.record(an_event())  # type: ignore[attr-defined]

        leaver, stayer = asyncio.create_task(one()), asyncio.create_task(one())
        await asyncio.sleep(0)
        leaver.cancel()
        await stayer

    with an_engine(f"sqlite:///{tmp_path / 'r.sqlite3'}") as engine:
        with a_recorder(engine, a_signer(), tmp_path / "anchor") as recorder:
            asyncio.run(ask(recorder))
        with engine.connect() as connection:
            assert connection.execute(select(func.count()).select_from(EVENTS)).scalar() == 2


def test_writers_at_the_same_time_have_lanes_of_their_own(
    database_url: str, tmp_path: Path
) -> None:
    signer, anchor = a_signer(), tmp_path / "anchor"

    def write(recorder: object) -> None:
        for _ in range(20):
            recorder.record(an_event()).wait()  # type: ignore[attr-defined]

    with an_engine(database_url) as engine:
        recorders = [a_recorder(engine, signer, anchor).start() for _ in range(3)]
        threads = [threading.Thread(target=write, args=(recorder,)) for recorder in recorders]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for recorder in recorders:
            recorder.close()
        with engine.connect() as connection:
            query = select(EVENTS.c.lane, func.count()).group_by(EVENTS.c.lane)
            assert [tuple(row) for row in connection.execute(query.order_by(EVENTS.c.lane))] == [
                (0, 20),
                (1, 20),
                (2, 20),
            ]
        signed = Anchor(anchor).read()
        assert signed is not None
        assert {lane: head.sequence for lane, head in signed.opened().heads.items()} == {
            0: 20,
            1: 20,
            2: 20,
        }


def test_the_next_writer_continues_the_lane(database_url: str, tmp_path: Path) -> None:
    signer, anchor = a_signer(), tmp_path / "anchor"
    with an_engine(database_url) as engine:
        for _ in range(2):
            with a_recorder(engine, signer, anchor) as recorder:
                recorder.record(an_event()).wait()
        with engine.connect() as connection:
            rows = connection.execute(select(EVENTS).order_by(EVENTS.c.sequence)).all()
    assert [(row.lane, row.sequence) for row in rows] == [(0, 1), (0, 2)]
    assert rows[1].previous == rows[0].hash


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_events SET payload = '{}'",
        "DELETE FROM audit_events",
        "UPDATE audit_checkpoints SET payload = '{}'",
        "DELETE FROM audit_checkpoints",
        "TRUNCATE audit_events",
        "TRUNCATE audit_checkpoints",
        # SQLite asks no trigger of a deletion before it replaces; PostgreSQL does not know it.
        "INSERT OR REPLACE INTO audit_events SELECT lane, sequence, previous, hash, '{}', "
        "signature, occurred_at, NULL FROM audit_events",
        "INSERT OR REPLACE INTO audit_checkpoints SELECT number, '{}', key_id, signature "
        "FROM audit_checkpoints",
        "UPDATE OR REPLACE audit_events SET sequence = 1",
    ],
)
def test_the_database_refuses_changes(database_url: str, tmp_path: Path, statement: str) -> None:
    with an_engine(database_url) as engine:
        with a_recorder(engine, a_signer(), tmp_path / "anchor") as recorder:
            recorder.record(an_event()).wait()
        with engine.connect() as connection:
            before = connection.execute(select(EVENTS)).all()
            # SQLite knows no TRUNCATE: its syntax error refuses it, too.
            with pytest.raises(DBAPIError, match=r"append-only|syntax"):
                connection.execute(text(statement))
            connection.rollback()
            assert connection.execute(select(EVENTS)).all() == before


def test_what_cannot_be_recorded_is_told(database_url: str, tmp_path: Path) -> None:
    with an_engine(database_url) as engine:
        recorder = a_recorder(engine, a_signer(), tmp_path / "anchor", attempts=1).start()
        recorder.record(an_event()).wait()
        with engine.begin() as connection:
            connection.execute(text("ALTER TABLE audit_events RENAME TO gone"))
        with pytest.raises(AuditUnavailableError, match="cannot be written"):
            recorder.record(an_event()).wait()
        with engine.begin() as connection:
            connection.execute(text("ALTER TABLE gone RENAME TO audit_events"))
        recorder.record(an_event()).wait()
        recorder.close()
        with pytest.raises(AuditUnavailableError, match="closed"):
            recorder.record(an_event())


def test_a_full_queue_refuses_rather_than_forgets(tmp_path: Path) -> None:
    with an_engine(f"sqlite:///{tmp_path / 'r.sqlite3'}") as engine:
        recorder = a_recorder(engine, a_signer(), tmp_path / "anchor", most_waiting=3)
        recorder.record(an_event(), an_event(), an_event())
        with pytest.raises(AuditUnavailableError, match="wait to be written"):
            recorder.record(an_event())
        recorder.start().close()
        with engine.connect() as connection:
            assert connection.execute(select(func.count()).select_from(EVENTS)).scalar() == 3


def test_a_record_cut_behind_the_anchor_is_not_continued(tmp_path: Path) -> None:
    signer, anchor = a_signer(), tmp_path / "anchor"
    with (
        an_engine(f"sqlite:///{tmp_path / 'one.sqlite3'}") as engine,
        a_recorder(engine, signer, anchor) as recorder,
    ):
        recorder.record(an_event()).wait()
    with (
        an_engine(f"sqlite:///{tmp_path / 'other.sqlite3'}") as engine,
        pytest.raises(AuditTamperedError, match="ends before checkpoint 1"),
    ):
        a_recorder(engine, signer, anchor).start()
