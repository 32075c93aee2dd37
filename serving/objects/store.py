"""Content-addressed, encrypted objects: DICOM instances, slides, reports.

    store = open_objects()
    stored = store.put(dicom_bytes)            # on disk when it returns
    with store.open(stored.digest) as file:    # seekable; reads and decrypts what is asked for
        dataset = pydicom.dcmread(file)

The address is the SHA-256 of the plain bytes, so that the same object is kept once and a changed
one is noticed. On disk an object's name is a keyed digest of the address: whoever sees the folder
alone cannot tell whether a picture they know is in it. Who refers to an object is for the records
to know; `delete` removes it for all.
"""

import contextlib
import hashlib
import hmac
import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, cast

from models.errors import ZhuzhenError
from models.store import home
from serving.objects.encryption import (
    HEADER_BYTES,
    SEGMENT_BYTES,
    TAG_BYTES,
    Header,
    ObjectKeys,
    read_header,
)
from serving.objects.folder import FolderShelf, Shelf
from serving.objects.reading import ObjectReader
from serving.privacy import Keyring, SealError, SecretName, open_keyring

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_PIECE_BYTES = 1024 * 1024
_ABANDONED_S = 24 * 3600.0


class ObjectNotFoundError(ZhuzhenError, LookupError):
    """The store has no object of that digest."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object that is on disk."""

    digest: str
    """`sha256:` and 64 hexadecimal digits."""
    size: int
    """Bytes."""


class ObjectStore:
    """The objects of one installation. Safe to share between threads and processes."""

    def __init__(self, shelf: Shelf, keyring: Keyring) -> None:
        self._shelf = shelf
        self._keyring = keyring

    def put(self, content: bytes | Iterable[bytes]) -> StoredObject:
        """Store `content`, whole or in pieces, and return when it is on disk."""
        with self.writer() as writer:
            if isinstance(content, bytes):
                writer.write(content)
            else:
                for piece in content:
                    writer.write(piece)
            return writer.commit()

    def writer(self) -> "ObjectWriter":
        """Return a writer for an object that comes in pieces; a context manager."""
        return ObjectWriter(self, self._shelf, self._keyring)

    def get(self, digest: str) -> bytes:
        """Return the whole object, whose digest is checked.

        Raises:
            ObjectNotFoundError: there is none.
            SealError: it was changed on disk.
        """
        with self._reader(digest) as reader:
            # Whoever does not say how much is given it in pieces of 8 KiB, four times as slowly.
            content = io.BufferedReader(reader, SEGMENT_BYTES).read(reader.size)
        if digest_of(content) != digest:
            raise SealError("A stored object does not have its digest; restore the backup.")
        return content

    def open(self, digest: str) -> BinaryIO:
        """Open an object to read, anywhere in it.

        Raises:
            ObjectNotFoundError: there is none.
            SealError: it is another object than its name says; while reading, that it was changed.
        """
        return cast("BinaryIO", io.BufferedReader(self._reader(digest), SEGMENT_BYTES))

    def size(self, digest: str) -> int:
        """Return the bytes of an object.

        Raises:
            ObjectNotFoundError: there is none.
        """
        with self._reader(digest) as reader:
            return reader.size

    def exists(self, digest: str) -> bool:
        """Whether there is an object of that digest."""
        return self._shelf.exists(self.name_of(digest))

    def delete(self, digest: str) -> bool:
        """Remove an object for good, whoever refers to it; whether it was there."""
        return self._shelf.remove(self.name_of(digest))

    def sweep(self) -> int:
        """Remove what a killed process had begun to write a day ago or before; return how many."""
        return self._shelf.sweep(_ABANDONED_S)

    def name_of(self, digest: str) -> str:
        """Return the name on disk of the object with that digest.

        Raises:
            ValueError: `digest` is none.
        """
        if not _DIGEST.fullmatch(digest):
            raise ValueError("not a digest; expected sha256: and 64 hexadecimal digits")
        key = self._keyring.secret(SecretName.BLIND_INDEX)
        return hmac.digest(key, f"objects\n{digest}".encode(), hashlib.sha256).hex()

    def keys_in_use(self) -> dict[str, int]:
        """Return how many objects each data key encrypts."""
        found: dict[str, int] = {}
        for name in self._shelf.names():
            with contextlib.suppress(FileNotFoundError), self._shelf.read(name) as file:
                header, _ = read_header(file)
                found[header.key_id] = found.get(header.key_id, 0) + 1
        return found

    def reencrypt(self) -> Iterator[bool]:
        """Encrypt every object that has an older data key with the active one.

        Yields whether each object was changed. Readers go on with the file that they have open;
        the new one replaces it whole. An object that is deleted meanwhile stays deleted.
        """
        for name in self._shelf.names():
            yield self._reencrypt(name)

    def _reencrypt(self, name: str) -> bool:
        try:
            file = self._shelf.read(name)
        except FileNotFoundError:
            return False
        with file:
            header, seal = read_header(file)
            if header.key_id == self._keyring.active_key().key_id:
                return False
            keys = ObjectKeys(self._keyring.data_key(header.key_id), header)
            with ObjectReader(file, header, keys) as reader, self.writer() as writer:
                while piece := reader.read(_PIECE_BYTES):
                    writer.write(piece)
                # The content says its digest, and the old seal that this file was for it.
                if not hmac.compare_digest(keys.seal(header.packed(), writer.digest), seal):
                    raise SealError("A stored object does not have its digest.")
                return writer.commit_over(name)

    def _reader(self, digest: str) -> ObjectReader:
        try:
            file = self._shelf.read(self.name_of(digest))
        except FileNotFoundError:
            raise ObjectNotFoundError(
                f"There is no object {digest[:14]}... in the store; expected one that was put."
            ) from None
        try:
            header, seal = read_header(file)
            keys = ObjectKeys(self._keyring.data_key(header.key_id), header)
            if not hmac.compare_digest(keys.seal(header.packed(), digest), seal):
                raise SealError("A stored object is not the one that its name says.")
        except BaseException:
            file.close()
            raise
        return ObjectReader(file, header, keys)


class ObjectWriter:
    """Takes an object in pieces; nothing of it is there before `commit`, all of it afterwards."""

    def __init__(self, store: ObjectStore, shelf: Shelf, keyring: Keyring) -> None:
        self._store = store
        key = keyring.active_key()
        self._header = Header.fresh(key)
        self._keys = ObjectKeys(key, self._header)
        self._draft = shelf.begin()
        self._draft.append(bytes(HEADER_BYTES))
        self._hash = hashlib.sha256()
        self._size = 0
        self._segments = 0
        self._rest = bytearray()
        self._sealed = memoryview(bytearray(SEGMENT_BYTES + TAG_BYTES))

    def __enter__(self) -> "ObjectWriter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.discard()

    @property
    def digest(self) -> str:
        """Digest of what was written so far."""
        return f"sha256:{self._hash.hexdigest()}"

    def write(self, piece: "bytes | bytearray | memoryview") -> None:
        """Take the next bytes."""
        self._hash.update(piece)
        self._size += len(piece)
        view = memoryview(piece)
        if self._rest:
            missing = SEGMENT_BYTES - len(self._rest)
            self._rest += view[:missing]
            view = view[missing:]
        # What may be the last segment waits: it is encrypted as such.
        if len(self._rest) == SEGMENT_BYTES and view:
            self._encrypt(self._rest, last=False)
            self._rest = bytearray()
        while len(view) > SEGMENT_BYTES:
            self._encrypt(view[:SEGMENT_BYTES], last=False)
            view = view[SEGMENT_BYTES:]
        self._rest += view

    def commit(self) -> StoredObject:
        """Make the object durable and return its address."""
        self._finish()
        self._draft.keep(self._store.name_of(self.digest))
        return StoredObject(self.digest, self._size)

    def place(self) -> StoredObject:
        """Put the object where all can read it and return its address; it is not durable yet."""
        self._finish()
        self._draft.place(self._store.name_of(self.digest))
        return StoredObject(self.digest, self._size)

    def sync(self) -> None:
        """Make durable what was placed."""
        self._draft.sync()

    def discard(self) -> None:
        """Forget what was neither committed nor placed."""
        self._draft.discard()

    def commit_over(self, name: str) -> bool:
        """Replace the object of that name on disk, unless it was deleted meanwhile."""
        self._finish()
        return self._draft.keep(name, only_over=True)

    def _finish(self) -> None:
        self._encrypt(self._rest, last=True)
        header = replace(self._header, size=self._size)
        self._draft.begin_with(header.sealed(self._keys, self.digest))

    def _encrypt(self, plain: "bytearray | memoryview", *, last: bool) -> None:
        sealed = self._sealed[: len(plain) + TAG_BYTES]
        self._keys.encrypt_into(sealed, self._segments, plain, last=last)
        self._draft.append(sealed)
        self._segments += 1


def digest_of(content: bytes) -> str:
    """Return the address of `content`."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def open_objects(folder: Path | None = None, keyring: Keyring | None = None) -> ObjectStore:
    """Return the object store of the installation in `folder` (`ZHUZHEN_HOME`)."""
    place = folder or home()
    return ObjectStore(FolderShelf(place / "objects"), keyring or open_keyring(place))
