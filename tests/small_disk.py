"""A real disk that is soon full: a file system of its own, and what takes its space."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


class SmallDisk:
    """A mounted file system of a few MiB."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"
        self._page_bytes = os.statvfs(folder).f_bsize

    def fill(self, *, leaving_bytes: int = 0) -> None:
        """Take all space but `leaving_bytes`; others may be writing meanwhile."""
        self.clear()
        with self._ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while (page_count := self._pages_over(leaving_bytes)) > 0:
                file.write(bytes(min(page_count, 256) * self._page_bytes))

    def _pages_over(self, leaving_bytes: int) -> int:
        found = os.statvfs(self.folder)
        return found.f_bavail - leaving_bytes // self._page_bytes

    def clear(self) -> None:
        """Give the space back."""
        self._ballast.unlink(missing_ok=True)


@contextlib.contextmanager
def small_disk(folder: Path, *, mebibytes: int) -> Iterator[SmallDisk]:
    """Mount a file system of that size on `folder`; skips the test where that is not allowed."""
    folder.mkdir(parents=True, exist_ok=True)
    mounting = ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", str(folder)]
    done = subprocess.run(mounting, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"a file system of its own cannot be mounted here: {done.stderr.strip()}")
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
