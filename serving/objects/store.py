"""Content-addressed, encrypted objects: DICOM instances, slides, reports.

    store = open_objects()
    stored = store.put(dicom_bytes)            # on disk when it returns
    with store.open(stored.digest) as file:    # seekable; reads and decrypts what is asked for
        dataset = pydicom.dcmread(file)

The address is a digest of the plain bytes, so that the same object is kept once and a changed
one is noticed. On disk an object's name is a keyed digest of the address: whoever sees the folder
alone cannot tell whether a picture they know is in it. Who refers to an object is for the records
to know; `delete` removes it for all.
"""

import contextlib
import hashlib
import hmac
import io
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, cast

from models.errors import ZhuzhenError
from models.store import home
from serving.objects.digest import ALGORITHMS, USUAL, algorithm_of, digest_of, hash_of
from serving.objects.encryption import (
    HEADER_BYTES,
    SEGMENT_BYTES,
    TAG_BYTES,
    Header,
    ObjectKeys,
    read_header,
    sealed_size,
)
from serving.objects.folder import FolderShelf, Shelf
from serving.objects.reading import ObjectReader
from serving.privacy import Keyring, SealError, SecretName, open_keyring

_PIECE_BYTES = 1024 * 1024
_TOGETHER = 4
"""Segments that are written by one call of the system."""
_WRITTEN = b"", memoryview(b"")
_ABANDONED_S = 24 * 3600.0


class ObjectNotFoundError(ZhuzhenError, LookupError):
    """The store has no object of that digest."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object that is on disk."""

    digest: str
    """Its address; see `digest_of`."""
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

    def writer(self, algorithm: str = USUAL) -> "ObjectWriter":
        """Return a writer for an object that comes in pieces; a context manager."""
        return ObjectWriter(self, self._shelf, self._keyring, algorithm)

    def get(self, digest: str) -> bytes:
        """Return the whole object, whose digest is checked.

        Raises:
            ObjectNotFoundError: there is none.
            SealError: it was changed on disk.
        """
        with self._reader(digest) as reader:
            # Whoever does not say how much is given it in pieces of 8 KiB, four times as slowly.
            content = io.BufferedReader(reader, SEGMENT_BYTES).read(reader.size)
        if digest_of(content, algorithm_of(digest)) != digest:
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

    def held(self) -> list[str]:
        """Return the names under which objects are held; see `ObjectWriter.hold`."""
        return self._shelf.held()

    def note_of(self, held: str) -> bytes:
        """Return what was noted of the object that is held under a name.

        Raises:
            ObjectNotFoundError: none is held under it any more.
            SealError: it did not reach the disk, or was changed there.
        """
        try:
            file = self._shelf.read_held(held)
        except FileNotFoundError:
            raise ObjectNotFoundError("No object is held under that name any more.") from None
        with file:
            header, _ = read_header(file)
            keys = ObjectKeys(self._keyring.data_key(header.key_id), header)
            file.seek(sealed_size(header.size))
            return keys.decrypt_note(file.read())

    def place_held(self, held: str, digest: str) -> None:
        """Make the object of that digest, which is held under a name, durable in its place.

        Raises:
            ObjectNotFoundError: none is held under it any more.
        """
        try:
            self._shelf.place_held(held, self.name_of(digest))
        except FileNotFoundError:
            raise ObjectNotFoundError("No object is held under that name any more.") from None

    def sync_places(self, digests: Iterable[str]) -> None:
        """Make durable that objects of those digests, which were held when synced, were placed."""
        self._shelf.sync_places(map(self.name_of, digests))

    def let_go(self, held: str) -> None:
        """Hold nothing under that name any more."""
        self._shelf.let_go(held)

    def name_of(self, digest: str) -> str:
        """Return the name on disk of the object with that digest.

        Raises:
            ValueError: `digest` is none.
        """
        algorithm_of(digest)
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
            with ObjectReader(file, header, keys) as reader:
                for algorithm in ALGORITHMS:
                    reader.seek(0)
                    with self.writer(algorithm) as writer:
                        while piece := reader.read(_PIECE_BYTES):
                            writer.write(piece)
                        # The content says its digest, and the old seal that the file was for it.
                        if hmac.compare_digest(keys.seal(header.packed(), writer.digest), seal):
                            return writer.commit_over(name)
        raise SealError("A stored object does not have its digest.")

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
    """Takes an object in pieces; nothing of it is there before `commit`, all of it afterwards.

    Instead of `commit`, for who has more to do meanwhile: `finish`; `annotate` and `hold`; `place`;
    and `sync`, to outlive a loss of power.
    """

    def __init__(self, store: ObjectStore, shelf: Shelf, keyring: Keyring, algorithm: str) -> None:
        self._store = store
        key = keyring.active_key()
        self._header = Header.fresh(key)
        self._keys = ObjectKeys(key, self._header)
        self._draft = shelf.begin()
        self._draft.leave_room(HEADER_BYTES)
        self._algorithm = algorithm
        self._hash = hash_of(algorithm)
        self._size = 0
        self._segments = 0
        self._rest: bytearray | memoryview = bytearray()
        self._end = _WRITTEN
        """Header and last segment, once finished and until they are written."""

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
        return f"{self._algorithm}:{self._hash.hexdigest()}"

    def write(self, piece: "bytes | bytearray | memoryview") -> None:
        """Take the next bytes."""
        self._hash.update(piece)
        self._size += len(piece)
        view = memoryview(piece)
        for start in range(0, len(view), _PIECE_BYTES):
            rest = bytearray(self._rest) + view[start : start + _PIECE_BYTES]
            self._rest = rest[self._encrypt_full(memoryview(rest)) :]

    def follow(self, content: memoryview) -> None:
        """Take what `content`, the object as far as it has come, has more than before.

        Unlike `write`, which it cannot be mixed with, it copies nothing: until `finish`, whatever
        was given must stay as it is.
        """
        self._hash.update(content[self._size :])
        self._size = len(content)
        waiting = content[self._segments * SEGMENT_BYTES :]
        self._rest = waiting[self._encrypt_full(waiting) :]

    def commit(self) -> StoredObject:
        """Make the object durable and return its address."""
        stored = self.finish()
        self._write_end()
        self._draft.keep(self._store.name_of(stored.digest))
        return stored

    def finish(self) -> StoredObject:
        """Take no more bytes; return the address that the object will have."""
        sealed = memoryview(bytearray(len(self._rest) + TAG_BYTES))
        self._keys.encrypt_into(sealed, self._segments, self._rest, last=True)
        stored = StoredObject(self.digest, self._size)
        header = replace(self._header, size=self._size)
        self._end = header.sealed(self._keys, stored.digest), sealed
        return stored

    def annotate(self, note: bytes) -> None:
        """Note something of the finished object, once and before it is held, for who finds it."""
        head, sealed = self._end
        self._end = head, memoryview(bytes(sealed) + self._keys.encrypt_note(note))

    def hold(self, held: str) -> bool:
        """Hold the finished object under a name that nothing else is held under; whether it was so.

        It stays held, whatever becomes of this process, until it is let go.
        """
        self._write_end()
        return self._draft.hold(held)

    def place(self, stored: StoredObject) -> None:
        """Put the finished object where all can read it; it is not durable yet."""
        self._write_end()
        self._draft.place(self._store.name_of(stored.digest))

    def sync(self) -> None:
        """Make durable what was placed; if it is held, that it is (see `sync_places`)."""
        self._draft.sync()

    def discard(self) -> None:
        """Forget what was neither committed nor placed."""
        self._draft.discard()

    def commit_over(self, name: str) -> bool:
        """Replace the object of that name on disk, unless it was deleted meanwhile."""
        self.finish()
        self._write_end()
        return self._draft.keep(name, only_over=True)

    def _write_end(self) -> None:
        """Write the last segment, with what is noted behind it, and what begins the object."""
        head, sealed = self._end
        if head:
            self._draft.append(sealed)
            self._draft.begin_with(head)
            self._end = _WRITTEN

    def _encrypt_full(self, plain: memoryview) -> int:
        """Encrypt and write the segments that are full; return how many bytes that were.

        What may be the last segment waits: it is encrypted as such.
        """
        count = max(0, len(plain) - 1) // SEGMENT_BYTES
        for first in range(0, count, _TOGETHER):
            end = 0
            for number in range(first, min(first + _TOGETHER, count)):
                segment = plain[number * SEGMENT_BYTES : (number + 1) * SEGMENT_BYTES]
                sealed = _SCRATCH.memory[end : (end := end + SEGMENT_BYTES + TAG_BYTES)]
                self._keys.encrypt_into(sealed, self._segments + number, segment, last=False)
            self._draft.append(_SCRATCH.memory[:end])
        self._segments += count
        return count * SEGMENT_BYTES


class _Scratch(threading.local):
    """Where a thread encrypts segments, that are written together, before it writes them."""

    def __init__(self) -> None:
        self.memory = memoryview(bytearray(_TOGETHER * (SEGMENT_BYTES + TAG_BYTES)))


_SCRATCH = _Scratch()


def open_objects(folder: Path | None = None, keyring: Keyring | None = None) -> ObjectStore:
    """Return the object store of the installation in `folder` (`ZHUZHEN_HOME`)."""
    place = folder or home()
    return ObjectStore(FolderShelf(place / "objects"), keyring or open_keyring(place))
