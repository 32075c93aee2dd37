"""Copying a database while it is used, and putting a copy into an empty one."""

import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

from sqlalchemy import inspect
from sqlalchemy.engine import URL, make_url

from models.errors import ZhuzhenError
from serving.records import open_engine


class DatabaseCopyError(ZhuzhenError):
    """A database could not be copied or filled."""


def is_sqlite(url: str) -> bool:
    """Whether `url` is of a SQLite file."""
    return make_url(url).get_backend_name() == "sqlite"


def copy_database(url: str, target: Path) -> None:
    """Write a consistent copy of the database at `url` into the file `target`.

    SQLite by its backup interface, PostgreSQL by pg_dump, both while others go on writing.

    Raises:
        DatabaseCopyError: it cannot be read, or pg_dump is not there.
    """
    parsed = make_url(url)
    if not is_sqlite(url):
        _run("pg_dump", parsed, "--format=custom", f"--file={target}")
        return
    if parsed.database is None or not Path(parsed.database).exists():
        raise DatabaseCopyError("There is no database at the address that the settings name.")
    with (
        closing(sqlite3.connect(parsed.database)) as source,
        closing(sqlite3.connect(target)) as copy,
    ):
        source.backup(copy)
        # One file, without a write-ahead log beside it.
        copy.execute("PRAGMA journal_mode = DELETE")


def fill_database(url: str, copy: Path) -> None:
    """Fill the empty database at `url` from what `copy_database` wrote.

    Raises:
        DatabaseCopyError: it is not empty, or cannot be filled.
    """
    if not is_empty(url):
        raise DatabaseCopyError(
            "The database that the settings name is not empty; expected one without tables. "
            "Nothing was changed."
        )
    parsed = make_url(url)
    if is_sqlite(url) and parsed.database is not None:
        target = Path(parsed.database)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(copy, target)
        target.chmod(0o600)
        return
    _run("pg_restore", parsed, "--no-owner", "--exit-on-error", "--single-transaction", str(copy))


def is_empty(url: str) -> bool:
    """Whether the database at `url` has no tables."""
    if is_sqlite(url):
        path = make_url(url).database
        if path is None or not Path(path).exists():
            return True
    engine = open_engine(url)
    try:
        return not inspect(engine).get_table_names()
    finally:
        engine.dispose()


def _run(program: str, url: URL, *arguments: str) -> None:
    found = shutil.which(program)
    if found is None:
        raise DatabaseCopyError(
            f"{program} is not installed; expected PostgreSQL's client programs (Debian package "
            "postgresql-client)."
        )
    # The password goes through the environment: arguments can be seen by other users.
    host = url.host or url.query.get("host")
    names = {
        "PGHOST": host if isinstance(host, str) else None,
        "PGPORT": str(url.port) if url.port else None,
        "PGUSER": url.username,
        "PGPASSWORD": url.password,
        "PGDATABASE": url.database,
    }
    environment = os.environ | {name: value for name, value in names.items() if value}
    place = ["--dbname", url.database or ""] if program == "pg_restore" else []
    done = subprocess.run(
        [found, *place, *arguments], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ["no reason was told"]
        raise DatabaseCopyError(f"{program} failed: {lines[0]}")
