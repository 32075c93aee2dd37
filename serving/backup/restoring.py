"""Putting a backup into an empty installation, and proving that it is what was saved."""

import shutil
import tarfile
import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from models.errors import ZhuzhenError
from models.store import home
from serving.audit import Action, AuditEvent, Category, Outcome, Purpose
from serving.audit.anchor import Anchor
from serving.audit.opening import anchor_path, audit_engine, audit_url, recording, trusted_keys
from serving.audit.verification import Verification, snapshot, verify
from serving.backup import manifest
from serving.backup.databases import fill_database, is_empty, is_sqlite
from serving.backup.manifest import Manifest, digest_of_file, manifest_from
from serving.privacy import open_keyring
from serving.privacy.keyring import Keyring
from serving.privacy.master_keys import load_master_keys
from serving.records import database_url


class RestoreError(ZhuzhenError):
    """A backup cannot be restored; what was there is as it was."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What was put back."""

    created_at: str
    files: int
    verification: Verification
    """Of the audit record, after the restore was recorded in it."""
    lost_checkpoints: int
    """Checkpoints after the backup that the anchor file knew: their events are not in the backup.
    The anchor is kept beside its place."""


def restore_backup(source: Path, actor: str) -> Restored:
    """Restore the backup in `source` into this installation (`ZHUZHEN_HOME`), which is empty.

    Raises:
        RestoreError: it is not empty, the file is not a whole backup, or the master key is another.
    """
    place, url = home(), database_url()
    if not (is_empty(url) and is_empty(audit_url(url))) or any(
        (place / name).exists() for name in ("objects", "keys/keyring.json")
    ):
        raise RestoreError(
            f"There is an installation in {place.name} already; expected an empty folder and an "
            "empty database. Move the old ones away, or name others."
        )
    place.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place, prefix=".restore-") as scratch:
        folder = Path(scratch)
        listed = _unpack(source, folder)
        if (listed.database == "sqlite") != is_sqlite(url):
            raise RestoreError(
                f"The backup is of {listed.database} and the settings name another kind of "
                "database; set ZHUZHEN_DATABASE_URL to one of that kind."
            )
        # Before anything is put in place: a backup that cannot be opened is of no use.
        keyring = Keyring(folder / manifest.KEYRING, load_master_keys(place, create=False))
        _require_seal(source, folder, keyring)
        _put_in_place(folder, place, url)
    lost = _settle_anchor(place, listed)
    return Restored(listed.created_at, len(listed.sha256), _record(actor, lost), lost)


def _unpack(source: Path, folder: Path) -> Manifest:
    try:
        with tarfile.open(source) as tar:
            tar.extractall(folder, filter="data")
        listed = manifest_from((folder / manifest.NAME).read_bytes())
    except (tarfile.TarError, OSError, ValueError, EOFError) as error:
        raise RestoreError(
            f"{source.name} is not a whole backup ({type(error).__name__}); expected one that "
            "zhuzhen backup wrote."
        ) from error
    if listed.format != manifest.FORMAT:
        raise RestoreError(f"The backup has format {listed.format}; expected {manifest.FORMAT}.")
    for name, digest in listed.sha256.items():
        path = folder / name
        if not path.is_file() or digest_of_file(path) != digest:
            raise RestoreError(f"{name} in the backup is missing or was changed.")
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    if there - {*listed.sha256, manifest.NAME, manifest.SEAL}:
        raise RestoreError(
            f"{source.name} holds files that its manifest does not list; expected one that zhuzhen "
            "backup wrote."
        )
    return listed


def _require_seal(source: Path, folder: Path, keyring: Keyring) -> None:
    seal = folder / manifest.SEAL
    content = (folder / manifest.NAME).read_bytes()
    if not seal.is_file() or not manifest.is_sealed(content, seal.read_bytes(), keyring):
        raise RestoreError(
            f"The manifest of {source.name} is not sealed by the installation whose keys it holds: "
            "somebody else made or changed this backup. Restore another one, and find out who can "
            "write to where backups are kept."
        )


def _put_in_place(folder: Path, place: Path, url: str) -> None:
    keys = place / "keys"
    keys.mkdir(exist_ok=True, mode=0o700)
    fill_database(url, folder / manifest.RECORDS)
    if (folder / manifest.AUDIT).exists():
        fill_database(audit_url(url), folder / manifest.AUDIT)
    if (folder / "objects").exists():
        (folder / "objects").rename(place / "objects")
    shutil.copyfile(folder / manifest.KEYRING, keys / "keyring.json")
    (keys / "keyring.json").chmod(0o600)
    # The anchor that the backup brings is the one for what it holds.
    if (folder / manifest.ANCHOR).exists():
        shutil.copyfile(folder / manifest.ANCHOR, place / ".anchor-of-backup")


def _settle_anchor(place: Path, listed: Manifest) -> int:
    """Put the backup's anchor in place and keep the one that was there; how far it was ahead."""
    brought, own = place / ".anchor-of-backup", Anchor(anchor_path())
    ahead = own.read()
    before = Anchor(brought).read() if brought.exists() else None
    lost = 0
    if ahead is not None:
        known = before.opened().number if before is not None else 0
        lost = max(0, ahead.opened().number - known)
        stamp = datetime.fromisoformat(listed.created_at).strftime("%Y%m%dT%H%M%SZ")
        own.path.rename(own.path.with_name(f"{own.path.name}.before-restore-of-{stamp}"))
    if before is not None:
        own.write(before)
    brought.unlink(missing_ok=True)
    return lost


def _record(actor: str, lost: int) -> Verification:
    """Record the restore, which signs a checkpoint, and verify what there is now."""
    keyring = open_keyring()
    event = AuditEvent(
        category=Category.APPLICATION_ACTIVITY,
        action=Action.UPDATE,
        outcome=Outcome.ALLOWED,
        operation="backup.restore",
        actor=actor,
        role="operator",
        purpose=Purpose.OPERATIONS,
        object_type="installation",
        reason=f"lost-checkpoints:{lost}",
    )
    with recording(keyring) as recorder:
        recorder.record(event).wait()
    own = Anchor(anchor_path()).read()
    with audit_engine() as engine, snapshot(engine) as connection:
        return verify(connection, trusted_keys(keyring), [own] if own else [])
