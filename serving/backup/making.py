"""Making a backup while the service runs.

One tar file: a copy of the records and of the audit record, the encrypted objects as they lie, the
wrapped keys, and a signed manifest with the digest of each. The master key is not in it: whoever
finds the file can open neither objects nor sealed columns. Keep that key elsewhere.
"""

import contextlib
import io
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from models.store import home
from serving.audit.opening import anchor_path, audit_url
from serving.backup import manifest
from serving.backup.databases import copy_database, is_sqlite
from serving.backup.manifest import Manifest, digest_of_file
from serving.objects.folder import FolderShelf
from serving.privacy import open_keyring
from serving.records import database_url


def make_backup(target: Path) -> Manifest:
    """Write a backup of this installation (`ZHUZHEN_HOME`) into the new file `target`.

    The order matters: what refers to something else is copied first, so that what it refers to is
    in the backup, too: records, the audit record, objects, and the keys of all of them. Instances
    that are not in the records yet are the very first: they are in either then.

    Raises:
        FileExistsError: there is a file of that name.
        DatabaseCopyError: a database could not be copied.
    """
    if target.exists():
        raise FileExistsError(17, "there is a file of that name already", str(target))
    place = home()
    fresh = target.with_name(f".{target.name}.new")
    try:
        with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
            made = _write(fresh, Path(scratch), place)
        descriptor = os.open(fresh, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)
        fresh.rename(target)
    finally:
        fresh.unlink(missing_ok=True)
    return made


def _write(fresh: Path, scratch: Path, place: Path) -> Manifest:
    digests: dict[str, str] = {}
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file, tarfile.open(fileobj=file, mode="w") as tar:

        def add(path: Path, name: str) -> None:
            if path.exists():
                digests[name] = digest_of_file(path)
                tar.add(path, name, recursive=False)

        shelf = FolderShelf(place / "objects")
        for path in _held(shelf, scratch):
            add(path, manifest.OBJECTS + f"{shelf.holding.name}/{path.name}")
        url = database_url()
        # Its checkpoint is in the audit record that is copied afterwards.
        anchor = scratch / "anchor"
        if anchor_path().exists():
            anchor.write_bytes(anchor_path().read_bytes())
        copy_database(url, scratch / "records")
        add(scratch / "records", manifest.RECORDS)
        if is_sqlite(url):
            copy_database(audit_url(url), scratch / "audit")
            add(scratch / "audit", manifest.AUDIT)
        add(anchor, manifest.ANCHOR)
        for name in sorted(shelf.names()):
            path = shelf.path_of(name)
            add(path, manifest.OBJECTS + path.relative_to(shelf.root).as_posix())
        add(place / "keys" / "keyring.json", manifest.KEYRING)
        made = Manifest(
            format=manifest.FORMAT,
            created_at=datetime.now(UTC).isoformat(timespec="seconds"),
            software_version=version("zhuzhen"),
            database="sqlite" if is_sqlite(url) else "postgresql",
            sha256=digests,
        )
        content = made.as_json()
        _add_content(tar, manifest.NAME, content)
        _add_content(tar, manifest.SEAL, manifest.seal(content, open_keyring()))
    return made


def _add_content(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))


def _held(shelf: FolderShelf, scratch: Path) -> Iterator[Path]:
    """Yield copies of what is held; what is let go meanwhile is in the records."""
    folder = scratch / "held"
    folder.mkdir()
    for name in shelf.held():
        with contextlib.suppress(FileNotFoundError), shelf.read_held(name) as file:
            copy = folder / name
            with copy.open("wb") as written:
                shutil.copyfileobj(file, written)
            yield copy
