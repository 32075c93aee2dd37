"""Keeping the decoders' warnings out of logs.

pydicom and Pillow warn about broken files in words that quote the file's values, and those can
identify a patient. What matters of it becomes a remark or an error of ours instead.
"""

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()
_readers = 0
_saved: "warnings.catch_warnings[None] | None" = None

_PYDICOM_LOGGER = logging.getLogger("pydicom")


class _ReadingFilter(logging.Filter):
    """Drops pydicom's records while an input is being read."""

    def filter(self, record: logging.LogRecord) -> bool:
        return _readers == 0


_PYDICOM_LOGGER.addFilter(_ReadingFilter())


@contextmanager
def quiet_decoders() -> Iterator[None]:
    """No warning and no log record of a decoder escapes while this is entered.

    `warnings.catch_warnings` alone is not safe in threads: the first to leave would restore the
    filters under the others. So the first reader installs the filter and the last removes it.
    """
    _enter()
    try:
        yield
    finally:
        _leave()


def _enter() -> None:
    global _readers, _saved
    with _lock:
        if _readers == 0:
            _saved = warnings.catch_warnings()
            _saved.__enter__()
            warnings.simplefilter("ignore")
        _readers += 1


def _leave() -> None:
    global _readers, _saved
    with _lock:
        _readers -= 1
        if _readers == 0 and _saved is not None:
            _saved.__exit__(None, None, None)
            _saved = None
