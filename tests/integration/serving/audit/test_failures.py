"""Kills, full disks, syncs and servers that fail: what was told to be recorded is recorded."""

import contextlib
import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Engine, select, text
from sqlalchemy.exc import OperationalError

from benchmarks.postgresql import find_postgresql, running_postgresql
from serving.audit import AuditUnavailableError, Receipt
from serving.audit.anchor import Anchor
from serving.audit.checkpoints import Signer
from serving.audit.syncing import WalFile
from serving.audit.tables import EVENTS
from serving.audit.verification import Verification, snapshot, verify
from serving.audit.writing import DatabaseRecorder
from tests.audit_samples import a_recorder, a_signer, an_engine, an_event
from tests.small_disk import small_disk

KILLS = 3


def verified(engine: Engine, signer: Signer, anchor: Path) -> Verification:
    signed = Anchor(anchor).read()
    with snapshot(engine) as connection:
        keys = {signer.key_id: signer.key.public_key()}
        return verify(connection, keys, [signed] if signed else [])


def events_in(engine: Engine) -> list[str]:
    with engine.connect() as connection:
        payloads = connection.execute(select(EVENTS.c.payload)).scalars()
        return [json.loads(payload)["event_id"] for payload in payloads]


def test_nothing_recorded_is_lost_by_a_kill(database_url: str, tmp_path: Path) -> None:
    signer, anchor = a_signer(), tmp_path / "anchor"
    secret = signer.key.private_bytes_raw().hex()
    command = [sys.executable, "-m", "tests.audit_storm", database_url, str(anchor), secret]
    moments = random.Random(20261125)
    with an_engine(database_url) as engine:
        for _ in range(KILLS):
            with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
                assert writer.stdout is not None
                first = writer.stdout.readline()
                time.sleep(moments.uniform(0.0, 0.4))
                writer.kill()
                told = (first + writer.stdout.read()).decode().splitlines()
            # A line that the kill cut short was not told.
            assert set(told[:-1]) <= set(events_in(engine))
            assert verified(engine, signer, anchor).intact
        with a_recorder(engine, signer, anchor) as recorder:
            recorder.record(an_event()).wait()
        assert verified(engine, signer, anchor).intact


def test_a_server_that_goes_down_takes_nothing_with_it(tmp_path: Path) -> None:
    """The service has what PostgreSQL had committed and not written, and writes it again."""
    programs = find_postgresql()
    if programs is None:
        pytest.skip("PostgreSQL's server is not installed (Debian package postgresql)")
    signer, anchor = a_signer(), tmp_path / "anchor"
    with (
        running_postgresql(programs, durable=False) as server,
        server.fresh_database() as url,
        an_engine(url) as engine,
        # Longer than the test: nothing is synced but by what waits for it.
        a_recorder(engine, signer, anchor, sync_within_s=600.0, attempts=60) as recorder,
    ):
        recorder.record(an_event(event_id="before")).wait()
        _delay_writing(engine)
        for number in range(50):
            recorder.record(an_event(event_id=f"told-{number}"), wait_for_disk=False).wait()
        _crash(engine)
        # Told to be uncertain where it met the crash; it is not forgotten for that.
        with contextlib.suppress(AuditUnavailableError):
            recorder.record(an_event(event_id="after")).wait()
        # What went down is written with the next event, or after it.
        awaited = {"before", "after", *(f"told-{number}" for number in range(50))}
        deadline = time.monotonic() + 40
        missing = awaited
        while missing and time.monotonic() < deadline:
            time.sleep(0.1)
            # The server takes no connection while it recovers.
            with contextlib.suppress(AuditUnavailableError, OperationalError):
                recorder.record(an_event()).wait()
                missing = awaited - set(events_in(engine))
        assert not missing
        assert verified(engine, signer, anchor).intact


def _delay_writing(engine: Engine) -> None:
    """Have the server write its log as late as it can, so that a crash loses commits."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ALTER SYSTEM SET wal_writer_delay = '10s'"))
        connection.execute(text("SELECT pg_reload_conf()"))
    time.sleep(0.3)


def _crash(engine: Engine) -> None:
    """Kill one process of the server's: it ends all others and recovers from its log."""
    with engine.connect() as connection:
        process = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
        subprocess.run(["kill", "-9", str(process)], check=True)
        with contextlib.suppress(Exception):
            connection.execute(text("SELECT 1"))
        connection.invalidate()
    engine.dispose()


class FailingSync:
    """In place of a log's `sync`: fails some times, then does what it should."""

    def __init__(self, times: int) -> None:
        self.left = times
        self.real = WalFile.sync

    def __call__(self, log: WalFile) -> None:
        if self.left:
            self.left -= 1
            raise OSError(5, "Input/output error")
        self.real(log)


@pytest.fixture
def on_sqlite(tmp_path: Path) -> Iterator[tuple[Engine, Signer, Path]]:
    with an_engine(f"sqlite:///{tmp_path / 'audit.sqlite3'}") as engine:
        yield engine, Signer(Ed25519PrivateKey.generate()), tmp_path / "anchor"


def test_a_sync_that_fails_is_told_and_made_good(
    on_sqlite: tuple[Engine, Signer, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, signer, anchor = on_sqlite
    with a_recorder(engine, signer, anchor) as recorder:
        failing = FailingSync(1)
        monkeypatch.setattr(WalFile, "sync", lambda log: failing(log))
        lost = recorder.record(an_event(event_id="failed"))
        with pytest.raises(AuditUnavailableError, match="loss of power"):
            lost.wait()
        recorder.record(an_event(event_id="next")).wait()
    assert sorted(events_in(engine)) == ["failed", "next"], "written once, and not forgotten"
    assert verified(engine, signer, anchor).intact


def test_who_does_not_wait_for_the_disk_is_answered_while_it_is_slow(
    on_sqlite: tuple[Engine, Signer, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, signer, anchor = on_sqlite
    with a_recorder(engine, signer, anchor) as recorder:
        recorder.record(an_event()).wait()
        monkeypatch.setattr(WalFile, "sync", lambda log: time.sleep(2.0))
        slow = recorder.record(an_event())
        quick = [recorder.record(an_event(), wait_for_disk=False) for _ in range(5)]
        for receipt in quick:
            receipt.wait(1.0)
        assert not _is_done(slow)
        slow.wait()


def test_with_no_bound_the_threads_sleep_between_events(tmp_path: Path) -> None:
    with (
        an_engine(f"sqlite:///{tmp_path / 'r.sqlite3'}") as engine,
        a_recorder(engine, a_signer(), tmp_path / "anchor", sync_within_s=0.0) as recorder,
    ):
        recorder.record(an_event(), wait_for_disk=False).wait()
        begun = time.process_time()
        time.sleep(0.5)
        assert time.process_time() - begun < 0.25


def test_with_no_bound_everybody_waits_for_the_disk(
    on_sqlite: tuple[Engine, Signer, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, signer, anchor = on_sqlite
    with a_recorder(engine, signer, anchor, sync_within_s=0.0) as recorder:
        monkeypatch.setattr(WalFile, "sync", lambda log: time.sleep(0.5))
        receipt = recorder.record(an_event(), wait_for_disk=False)
        assert not _is_done(receipt)
        receipt.wait()


def test_what_nobody_waits_for_is_synced_within_the_bound(
    on_sqlite: tuple[Engine, Signer, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, signer, anchor = on_sqlite
    synced: list[float] = []
    monkeypatch.setattr(WalFile, "sync", lambda log: synced.append(time.monotonic()))
    with a_recorder(engine, signer, anchor, sync_within_s=0.4) as recorder:
        recorder.record(an_event(), wait_for_disk=False).wait()
        assert not synced
        deadline = time.monotonic() + 10
        while not synced and time.monotonic() < deadline:
            time.sleep(0.01)
        assert synced


def _is_done(receipt: Receipt) -> bool:
    try:
        receipt.wait(0.1)
    except AuditUnavailableError:
        return False
    return True


def fill(recorder: DatabaseRecorder) -> None:
    """Record until there is no space left."""
    for _ in range(10_000):
        recorder.record(an_event()).wait()


def test_a_full_disk_is_told_and_left_behind(tmp_path: Path) -> None:
    signer, anchor = a_signer(), tmp_path / "anchor"
    with (
        small_disk(tmp_path / "disk", mebibytes=2) as disk,
        an_engine(f"sqlite:///{disk.folder / 'audit.sqlite3'}") as engine,
    ):
        disk.fill(leaving_bytes=1024 * 1024)
        with a_recorder(engine, signer, anchor) as recorder:
            with pytest.raises(AuditUnavailableError, match="cannot be written"):
                fill(recorder)
            before = events_in(engine)
            for _ in range(3):
                with pytest.raises(AuditUnavailableError, match="cannot be written"):
                    recorder.record(an_event(event_id="refused")).wait()
            assert events_in(engine) == before, "nothing half-written"
            disk.clear()
            recorder.record(an_event(event_id="taken")).wait()
        assert "taken" in events_in(engine)
        assert "refused" not in events_in(engine)
        assert verified(engine, signer, anchor).intact
