"""Which errors say that a disk is full."""

import errno
import sqlite3

import psycopg
import pytest
from sqlalchemy.exc import OperationalError

from serving.records import is_out_of_space


def of_database(error: BaseException) -> OperationalError:
    return OperationalError("INSERT", {}, error)


def of_sqlite(name: str) -> OperationalError:
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorname = name
    return of_database(error)


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        of_sqlite("SQLITE_FULL"),
        of_sqlite("SQLITE_IOERR_WRITE"),
        of_database(psycopg.errors.DiskFull("could not extend file")),
    ],
    ids=str,
)
def test_want_of_space_is_known(error: Exception) -> None:
    assert is_out_of_space(error)


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.EIO, "Input/output error"),
        of_sqlite("SQLITE_BUSY"),
        of_sqlite("SQLITE_CORRUPT"),
        of_database(psycopg.errors.DeadlockDetected("deadlock")),
        ValueError("database or disk is full"),
    ],
    ids=str,
)
def test_other_faults_are_not_mistaken_for_it(error: Exception) -> None:
    assert not is_out_of_space(error)
