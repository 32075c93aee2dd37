"""An installation of a test's own: records, audit record, keys, objects."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from benchmarks.postgresql import PostgresServer
from serving.audit.opening import recording
from serving.identity.local import ensure_institution
from serving.privacy import open_keyring
from serving.records import database_url, open_engine, upgrade
from tests.audit_samples import an_event


def fill_installation(events: int = 20) -> None:
    """Make the tables, an institution and some events, as running the service would."""
    engine = open_engine(database_url())
    upgrade(engine)
    ensure_institution(engine)
    engine.dispose()
    with recording(open_keyring()) as recorder:
        recorder.record(*(an_event() for _ in range(events))).wait()


def wipe_installation(home: Path) -> None:
    """Remove everything but the master key, which is kept elsewhere in a hospital."""
    for path in home.iterdir():
        if path.name != "keys":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for path in (home / "keys").iterdir():
        if path.name != "master.key":
            path.unlink()
    if database_url().startswith("postgresql"):
        engine = open_engine(database_url())
        with engine.begin() as connection:
            connection.execute(text("DROP SCHEMA public CASCADE"))
            connection.execute(text("CREATE SCHEMA public"))
        engine.dispose()


@contextlib.contextmanager
def installation(kind: str, folder: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """Yield the home of a new installation on SQLite or PostgreSQL, named in the environment."""
    with contextlib.ExitStack() as stack:
        environment = stack.enter_context(pytest.MonkeyPatch.context())
        environment.setenv("ZHUZHEN_HOME", str(folder / "home"))
        environment.delenv("ZHUZHEN_DATABASE_URL", raising=False)
        if kind == "postgresql":
            server: PostgresServer = request.getfixturevalue("postgresql")
            url = stack.enter_context(server.fresh_database())
            environment.setenv("ZHUZHEN_DATABASE_URL", url)
            environment.setenv("PATH", str(server.bin), prepend=":")
        yield folder / "home"
