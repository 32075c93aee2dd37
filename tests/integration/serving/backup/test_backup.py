"""An installation that is gone comes back from one file, with proof that it is whole."""

import contextlib
import hashlib
import json
import os
import shutil
import sqlite3
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session
from typer.testing import CliRunner

from serving.audit.anchor import Anchor
from serving.audit.opening import anchor_path, audit_engine
from serving.audit.tables import EVENTS
from serving.backup import RestoreError, make_backup, restore_backup
from serving.cli.app import app
from serving.identity.records import Institution
from serving.objects import open_objects
from serving.privacy import MissingKeyError, open_keyring, seal, unseal
from serving.privacy.master_keys import new_master_key
from serving.records import database_url, open_engine
from tests.installation import fill_installation, installation, wipe_installation


@pytest.fixture(params=["sqlite", "postgresql"])
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    with installation(request.param, tmp_path, request) as found:
        yield found


@pytest.fixture
def sqlite_home(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    with installation("sqlite", tmp_path, request) as found:
        yield found


def events_there() -> int:
    with audit_engine() as engine, engine.connect() as connection:
        return len(connection.execute(select(EVENTS.c.sequence)).all())


def test_backup_wipe_restore_verify(home: Path, tmp_path: Path) -> None:
    fill_installation()
    sealed = seal(open_keyring(), "张伟", "patients.name")
    content = os.urandom(200_000)
    stored = open_objects(home).put(content)
    target = tmp_path / "backup.tar"

    made = CliRunner().invoke(app, ["backup", str(target), "--json"])
    assert made.exit_code == 0, made.output
    wipe_installation(home)
    assert not (home / "objects").exists()
    restored = CliRunner().invoke(app, ["restore", str(target), "--json"])
    assert restored.exit_code == 0, restored.output

    told = json.loads(restored.stdout)
    assert told["intact"]
    # Twenty, the backup's own and the restore's.
    assert told["verification"]["events"] == events_there() == 22
    assert open_objects(home).get(stored.digest) == content
    assert unseal(open_keyring(), sealed, "patients.name") == "张伟"
    engine = open_engine(database_url())
    with Session(engine) as session:
        assert session.get(Institution, "local") is not None
    engine.dispose()
    verified = CliRunner().invoke(app, ["audit", "verify", "--json"])
    assert verified.exit_code == 0
    assert json.loads(verified.stdout)["intact"]
    fill_installation()
    assert CliRunner().invoke(app, ["audit", "verify"]).exit_code == 0


def test_a_backup_holds_no_master_key_and_nothing_in_clear(
    sqlite_home: Path, tmp_path: Path
) -> None:
    fill_installation()
    open_objects(sqlite_home).put("张伟 Zhang^Wei".encode() * 10)
    target = tmp_path / "backup.tar"
    make_backup(target)
    raw = target.read_bytes()
    assert (sqlite_home / "keys" / "master.key").read_bytes().strip() not in raw
    assert "张伟".encode() not in raw
    assert b"Zhang^Wei" not in raw
    assert target.stat().st_mode & 0o077 == 0
    with pytest.raises(FileExistsError):
        make_backup(target)


def test_what_came_after_the_backup_is_told_when_it_is_lost(
    sqlite_home: Path, tmp_path: Path
) -> None:
    fill_installation()
    target = tmp_path / "backup.tar"
    make_backup(target)
    fill_installation()
    later = Anchor(anchor_path()).read()
    kept = tmp_path / "anchor-elsewhere"
    shutil.copy(anchor_path(), kept)
    wipe_installation(sqlite_home)
    shutil.copy(kept, anchor_path())
    restored = restore_backup(target, "operator:0")
    assert restored.lost_checkpoints == 1
    assert restored.verification.intact
    (aside,) = sqlite_home.glob("audit-anchor.json.before-restore-of-*")
    assert Anchor(aside).read() == later


def test_nothing_is_restored_over_an_installation(sqlite_home: Path, tmp_path: Path) -> None:
    fill_installation()
    target = tmp_path / "backup.tar"
    make_backup(target)
    with pytest.raises(RestoreError, match="already"):
        restore_backup(target, "operator:0")
    assert events_there() == 20


@pytest.mark.parametrize("damage", ["cut", "changed", "not a tar", "a path out"])
def test_a_damaged_backup_changes_nothing(sqlite_home: Path, tmp_path: Path, damage: str) -> None:
    fill_installation()
    target = tmp_path / "backup.tar"
    make_backup(target)
    raw = bytearray(target.read_bytes())
    if damage == "cut":
        target.write_bytes(raw[: len(raw) // 2])
    elif damage == "changed":
        raw[3000] ^= 1
        target.write_bytes(raw)
    elif damage == "not a tar":
        target.write_bytes(b"hello" * 1000)
    else:
        with tarfile.open(target, "w") as tar:
            tar.add(__file__, "../outside.py")
    wipe_installation(sqlite_home)
    with pytest.raises(RestoreError):
        restore_backup(target, "operator:0")
    assert [path.name for path in sqlite_home.iterdir()] == ["keys"]
    assert not (tmp_path / "outside.py").exists()


@pytest.mark.parametrize("planted", ["records", "records, no seal", "a file more"])
def test_what_somebody_planted_in_a_backup_is_not_restored(
    sqlite_home: Path, tmp_path: Path, planted: str
) -> None:
    fill_installation()
    target, folder = tmp_path / "backup.tar", tmp_path / "opened"
    make_backup(target)
    with tarfile.open(target) as tar:
        tar.extractall(folder, filter="data")
    manifest = json.loads((folder / "manifest.json").read_text())
    if planted == "a file more":
        (folder / "planted").write_bytes(b"planted")
    else:
        with contextlib.closing(sqlite3.connect(folder / "records.database")) as records:
            records.execute("UPDATE institutions SET name = 'planted'")
            records.commit()
        content = (folder / "records.database").read_bytes()
        manifest["sha256"]["records.database"] = hashlib.sha256(content).hexdigest()
        (folder / "manifest.json").write_text(json.dumps(manifest, indent=1, sort_keys=True))
    if planted == "records, no seal":
        (folder / "manifest.seal").unlink()
    with tarfile.open(target, "w") as tar:
        for path in sorted(folder.iterdir()):
            tar.add(path, path.name)
    wipe_installation(sqlite_home)
    with pytest.raises(RestoreError, match="does not list" if "more" in planted else "not sealed"):
        restore_backup(target, "operator:0")
    assert [path.name for path in sqlite_home.iterdir()] == ["keys"]


def test_a_backup_under_another_master_key_is_told(sqlite_home: Path, tmp_path: Path) -> None:
    fill_installation()
    target = tmp_path / "backup.tar"
    make_backup(target)
    wipe_installation(sqlite_home)
    (sqlite_home / "keys" / "master.key").write_text(new_master_key())
    with pytest.raises(MissingKeyError):
        restore_backup(target, "operator:0")
    assert [path.name for path in sqlite_home.iterdir()] == ["keys"]


def test_what_is_kept_and_not_in_the_index_yet_is_in_a_backup(
    sqlite_home: Path, tmp_path: Path
) -> None:
    fill_installation()
    objects = open_objects(sqlite_home)
    with objects.writer() as writer:
        writer.write(b"content")
        stored = writer.finish()
        writer.annotate(b"from the modality")
        assert writer.hold("claim")
        writer.place(stored)
    target = tmp_path / "backup.tar"
    make_backup(target)
    wipe_installation(sqlite_home)
    restore_backup(target, "operator:0")
    restored = open_objects(sqlite_home)
    assert restored.held() == ["claim"]
    assert restored.note_of("claim") == b"from the modality"
    restored.place_held("claim", stored.digest)
    assert restored.get(stored.digest) == b"content"
