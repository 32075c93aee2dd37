"""A PostgreSQL server of our own in a temporary folder, for measurements and tests."""

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import psycopg

_SERVER_FOLDERS = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
_UNPRIVILEGED = ("postgres", "nobody")
"""Who runs the server where we are root, as which PostgreSQL refuses to run."""


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """A running server that listens on a socket in a temporary folder alone."""

    folder: Path
    bin: Path
    start: Callable[[], None]
    """Starts it anew, where it went down by itself."""

    def conninfo(self, database: str) -> str:
        """Address for psycopg."""
        return f"host={self.folder} user=zhuzhen dbname={database}"

    def url(self, database: str) -> str:
        """Address for SQLAlchemy."""
        return f"postgresql+psycopg://zhuzhen@/{database}?host={self.folder}"

    @contextlib.contextmanager
    def fresh_database(self) -> Iterator[str]:
        """Yield the address of an empty database that exists as long as the context."""
        name = f"own_{uuid4().hex[:12]}"
        self._run_sql(f"CREATE DATABASE {name}")
        try:
            yield self.url(name)
        finally:
            self._run_sql(f"DROP DATABASE {name} WITH (FORCE)")

    def _run_sql(self, statement: str) -> None:
        with psycopg.connect(self.conninfo("postgres"), autocommit=True) as connection:
            connection.execute(statement.encode())


def find_postgresql() -> Path | None:
    """Return the folder with initdb and pg_ctl, if PostgreSQL is installed."""
    on_path = shutil.which("initdb")
    if on_path:
        return Path(on_path).parent
    return next((folder for folder in _SERVER_FOLDERS if (folder / "initdb").exists()), None)


@contextlib.contextmanager
def running_postgresql(
    programs: Path, *, durable: bool, data: Path | None = None, log_elsewhere: bool = False
) -> Iterator[PostgresServer]:
    """Start a server and stop it at the end.

    Without `durable` it skips fsync: what need not survive the machine takes a third of the time.
    Its files lie in the new folder `data`, by default a temporary one, and its write-ahead log with
    them, unless it is to be `log_elsewhere`.
    """
    folder = Path(tempfile.mkdtemp(prefix="zz-pg-"))
    user = _server_user()
    if user is not None:
        os.chown(folder, user.pw_uid, user.pw_gid)
    run = _runner(folder, user)
    place = data or folder / "data"
    if data is not None and user is not None:
        data.mkdir()
        os.chown(data, user.pw_uid, user.pw_gid)
    where = ("-D", str(place), *(("-X", str(folder / "wal")) if log_elsewhere else ()))
    fsync = "on" if durable else "off"
    options = f"-k {folder} -c listen_addresses= -c fsync={fsync} -c max_connections=100"
    try:
        run(str(programs / "initdb"), *where, "-U", "zhuzhen", "-A", "trust", "-E", "UTF8", "-N")
        log = str(folder / "log")

        def start() -> None:
            run(str(programs / "pg_ctl"), "-D", str(place), "-l", log, "-w", "-o", options, "start")

        start()
        try:
            yield PostgresServer(folder, programs, start)
        finally:
            run(str(programs / "pg_ctl"), "-D", str(place), "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _runner(folder: Path, user: pwd.struct_passwd | None) -> Callable[..., None]:
    """Return what runs a program of PostgreSQL in `folder`, as `user`."""

    def run(*command: str) -> None:
        subprocess.run(
            command,
            check=True,
            capture_output=True,
            cwd=folder,
            env={"PATH": os.defpath, "LC_ALL": "C.UTF-8", "HOME": str(folder)},
            user=None if user is None else user.pw_uid,
            group=None if user is None else user.pw_gid,
            extra_groups=None if user is None else [],
        )

    return run


def _server_user() -> pwd.struct_passwd | None:
    if os.geteuid() != 0:
        return None
    for name in _UNPRIVILEGED:
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise RuntimeError("this runs as root, and there is no other user to run PostgreSQL as")
