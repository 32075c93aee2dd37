"""Whether something failed because a disk is full: on our side, SQLite's or PostgreSQL's."""

import errno

from sqlalchemy.exc import DBAPIError

_ERRNO = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_SQLITE = ("SQLITE_FULL", "SQLITE_IOERR_SHMSIZE", "SQLITE_IOERR_WRITE")
"""https://sqlite.org/rescode.html: no space for the database or its log, for the index of the log,
and a write that the system cut short."""
_POSTGRESQL = ("53100",)
"""disk_full, of PostgreSQL's table of error codes (Appendix A)."""


def is_out_of_space(error: BaseException) -> bool:
    """Whether `error` says that there is no space left, so that it may heal by itself."""
    if isinstance(error, OSError):
        return error.errno in _ERRNO
    if not isinstance(error, DBAPIError):
        return False
    found = error.orig
    return (
        getattr(found, "sqlite_errorname", None) in _SQLITE
        or getattr(found, "sqlstate", None) in _POSTGRESQL
    )
