"""Files of a folder that are there whole or not at all.

Everything that knows of a file system is here: another place, such as S3 through fsspec, is another
`Shelf` under the same store.
"""

import contextlib
import fcntl
import os
import secrets
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Protocol


class Shelf(Protocol):
    """Where the store keeps its encrypted objects, by name."""

    def begin(self) -> "Draft":
        """Begin to write an object whose name is not known yet."""
        ...

    def read(self, name: str) -> BinaryIO:
        """Open an object to read.

        Raises:
            FileNotFoundError: there is none of that name.
        """
        ...

    def exists(self, name: str) -> bool:
        """Whether there is an object of that name."""
        ...

    def remove(self, name: str) -> bool:
        """Remove an object for good; whether it was there."""
        ...

    def sweep(self, older_than_s: float) -> int:
        """Remove what was begun, and left when a process was killed; return how many."""
        ...

    def names(self) -> Iterator[str]:
        """Yield the names of all objects, in no order."""
        ...

    def held(self) -> list[str]:
        """Return the names under which objects are held; see `Draft.hold`."""
        ...

    def read_held(self, held: str) -> BinaryIO:
        """Open the object that is held under a name.

        Raises:
            FileNotFoundError: there is none any more.
        """
        ...

    def place_held(self, held: str, name: str) -> None:
        """Make the object that is held durable under `name`, replacing what was there.

        Raises:
            FileNotFoundError: none is held under that name any more.
        """
        ...

    def sync_places(self, names: Iterable[str]) -> None:
        """Make durable that objects were placed under `names`."""
        ...

    def let_go(self, held: str) -> None:
        """Hold nothing under that name any more."""
        ...


class Draft(Protocol):
    """An object while it is written."""

    def append(self, piece: "bytes | bytearray | memoryview") -> None:
        """Write the next bytes."""
        ...

    def leave_room(self, count: int) -> None:
        """Begin behind the first `count` bytes; see `begin_with`."""
        ...

    def begin_with(self, head: bytes) -> None:
        """Write `head` where room was left for it."""
        ...

    def keep(self, name: str, *, only_over: bool = False) -> bool:
        """Make it durable under `name`, replacing what was there; whether that was done.

        With `only_over`, nothing is done where there is nothing to replace.
        """
        ...

    def hold(self, held: str) -> bool:
        """Hold it under a name of its own beside all objects; False if another one is there.

        A name is given once, whichever process asks for it; what has it outlives this process.
        """
        ...

    def place(self, name: str) -> None:
        """Put it under `name`, to be read by all, without waiting for the disk."""
        ...

    def sync(self) -> None:
        """Make durable what was placed or, if it is held, what is held; see `sync_places`."""
        ...

    def discard(self) -> None:
        """Forget it, unless it was kept."""
        ...


class FolderShelf:
    """A folder with 256 folders in it, that several processes may use at once.

    They are made together: each that is new has to be synced to disk before the first object in it
    is, which takes longer than writing the object.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.drafts, self.holding = root / "drafts", root / "held"
        for folder in (self.drafts, self.holding):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        # The last one is there only if all are.
        if not self.path_of("ff").parent.exists():
            for number in range(256):
                self.path_of(f"{number:02x}").parent.mkdir(exist_ok=True, mode=0o700)
            _sync(root)

    def begin(self) -> "FolderDraft":
        """Begin to write an object; see `Shelf.begin`."""
        return FolderDraft(self)

    def read(self, name: str) -> BinaryIO:
        """Open an object to read; see `Shelf.read`."""
        return self.path_of(name).open("rb")

    def exists(self, name: str) -> bool:
        """Whether there is an object of that name."""
        return self.path_of(name).exists()

    def remove(self, name: str) -> bool:
        """Remove an object for good; whether it was there."""
        path = self.path_of(name)
        try:
            with self.names_locked():
                path.unlink()
        except FileNotFoundError:
            return False
        _sync(path.parent)
        return True

    def names(self) -> Iterator[str]:
        """Yield the names of all objects, in no order."""
        for path in self.root.glob("??/*"):
            yield path.name

    def held(self) -> list[str]:
        """Return the names under which objects are held; see `Shelf.held`."""
        return os.listdir(self.holding)  # noqa: PTH208 - their names alone, which are made sooner

    def read_held(self, held: str) -> BinaryIO:
        """Open the object that is held under a name; see `Shelf.read_held`."""
        return (self.holding / held).open("rb")

    def place_held(self, held: str, name: str) -> None:
        """Make the object that is held durable under `name`; see `Shelf.place_held`."""
        draft, target = self.drafts / secrets.token_hex(16), self.path_of(name)
        draft.hardlink_to(self.holding / held)
        _sync(draft)
        # What lies there already may be one that a loss of power has cut short. Where it is this
        # very file, to rename does nothing, and leaves the other name.
        draft.replace(target)
        draft.unlink(missing_ok=True)
        _sync(target.parent)

    def sync_places(self, names: Iterable[str]) -> None:
        """Make durable that objects were placed under `names`."""
        for folder in {self.path_of(name).parent for name in names}:
            _sync(folder)

    def let_go(self, held: str) -> None:
        """Hold nothing under that name any more."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{self.holding}/{held}")  # noqa: PTH108 - as text, see `FolderDraft`

    def path_of(self, name: str) -> Path:
        """Return where the object of that name lies."""
        return Path(self.place_of(name))

    def place_of(self, name: str) -> str:
        """Return the path of the object of that name as text, which is made sooner."""
        return f"{self.root}/{name[:2]}/{name}"

    @contextlib.contextmanager
    def names_locked(self) -> Iterator[None]:
        """Hold what a change of names holds, in all processes."""
        with (self.root / "names.lock").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def sweep(self, older_than_s: float) -> int:
        """Remove drafts that a process left when it was killed; return how many.

        Args:
            older_than_s: seconds since the last write, longer than any object takes to arrive.
        """
        removed = 0
        for draft in self.drafts.iterdir():
            with contextlib.suppress(FileNotFoundError):
                if draft.stat().st_mtime < time.time() - older_than_s:
                    draft.unlink()
                    removed += 1
        return removed


class FolderDraft:
    """A file that has no name yet.

    Thousands of them are made in a minute: paths are plain texts here, and what is written goes to
    the system as it is.
    """

    def __init__(self, shelf: FolderShelf) -> None:
        self._shelf = shelf
        self._path = f"{shelf.drafts}/{secrets.token_hex(16)}"
        self._is_kept = self._is_held = False
        self._descriptor: int | None = os.open(
            self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600
        )

    def append(self, piece: "bytes | bytearray | memoryview") -> None:
        """Write the next bytes."""
        written = os.write(self._open, piece)
        while written < len(piece):
            written += os.write(self._open, memoryview(piece)[written:])

    def leave_room(self, count: int) -> None:
        """Begin behind the first `count` bytes; see `begin_with`."""
        os.lseek(self._open, count, os.SEEK_SET)

    def begin_with(self, head: bytes) -> None:
        """Write `head` where room was left for it."""
        os.pwrite(self._open, head, 0)

    def keep(self, name: str, *, only_over: bool = False) -> bool:
        """Make it durable: first the bytes, then the name, then the folder's list of names."""
        os.fsync(self._open)
        self._close()
        if only_over and not self._replace_there(name):
            return False
        if not only_over:
            self._rename(name)
        _sync(Path(self._path).parent)
        return True

    def hold(self, held: str) -> bool:
        """Hold it under a name of its own; see `Draft.hold`."""
        try:
            os.link(self._path, f"{self._shelf.holding}/{held}")
        except FileExistsError:
            return False
        self._is_held = True
        return True

    def place(self, name: str) -> None:
        """Put it under `name`, to be read by all, without waiting for the disk."""
        self._rename(name)

    def sync(self) -> None:
        """Make durable what was placed or held; see `Draft.sync`.

        A journaling file system writes the new name with the new file, so that the second sync has
        nothing left to do there; elsewhere it is needed.
        """
        os.fsync(self._open)
        self._close()
        _sync(self._shelf.holding if self._is_held else Path(self._path).parent)

    def discard(self) -> None:
        """Forget it, unless it was kept."""
        try:
            with contextlib.suppress(OSError):
                self._close()
        finally:
            if not self._is_kept:
                Path(self._path).unlink(missing_ok=True)

    @property
    def _open(self) -> int:
        if self._descriptor is None:
            raise ValueError("a draft that is closed cannot be written")
        return self._descriptor

    def _close(self) -> None:
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            os.close(descriptor)

    def _replace_there(self, name: str) -> bool:
        # What replaces an object must not bring back one that is being removed.
        with self._shelf.names_locked():
            if not self._shelf.exists(name):
                return False
            self._rename(name)
            return True

    def _rename(self, name: str) -> None:
        target = self._shelf.place_of(name)
        os.replace(self._path, target)  # noqa: PTH105 - as text, see above
        self._path, self._is_kept = target, True


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
