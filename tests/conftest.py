"""Fixtures that several layers of tests share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.postgresql import PostgresServer, find_postgresql, running_postgresql
from tests.orthanc import Orthanc, running_orthanc


@pytest.fixture(scope="session", autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what the tests' services record out of the installation in this folder."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("ZHUZHEN_HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresServer]:
    """A PostgreSQL server of this session's own."""
    programs = find_postgresql()
    if programs is None:
        pytest.skip("PostgreSQL's server is not installed (Debian package postgresql)")
    with running_postgresql(programs, durable=False) as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of an empty database, of each kind in turn."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'records.sqlite3'}"
        return
    server: PostgresServer = request.getfixturevalue("postgresql")
    with server.fresh_database() as url:
        yield url


@pytest.fixture(scope="session")
def _one_orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    with running_orthanc(tmp_path_factory.mktemp("orthanc")) as running:
        yield running


@pytest.fixture
def orthanc(_one_orthanc: Orthanc) -> Orthanc:
    """A real PACS that holds nothing yet."""
    _one_orthanc.empty()
    return _one_orthanc
