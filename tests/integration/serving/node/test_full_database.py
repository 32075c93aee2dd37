"""The disk of PostgreSQL is full, a real one: nothing is done unseen, and all goes on by itself.

Objects have a disk of their own here, which has space.
"""

import os
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import httpx
import psycopg
import pytest
from pydicom.dataset import Dataset
from typer.testing import CliRunner

from benchmarks.postgresql import PostgresServer, find_postgresql, running_postgresql
from serving.cli.app import app
from tests.broken_instances import send_store
from tests.instance_samples import encoded, instance
from tests.integration.serving.node.conftest import RunningNode, running_node
from tests.node_kills import Modality
from tests.small_disk import SmallDisk, small_disk

EXAMPLE = Path(__file__).parents[4] / "examples" / "child-normal-1.dcm"
DICOM = {"Content-Type": "application/dicom"}
OUT_OF_RESOURCES = 0xA700


@dataclass(frozen=True)
class Cramped:
    """A node whose database has a small disk."""

    server: PostgresServer
    node: RunningNode
    disk: SmallDisk
    client: httpx.Client

    def recognize(self) -> httpx.Response:
        return self.client.post("/v1/recognize", content=EXAMPLE.read_bytes(), headers=DICOM)

    def holds(self, dataset: Dataset) -> bool:
        place = f"/dicom-web/studies/{dataset.StudyInstanceUID}/instances"
        answer = self.client.get(place, params={"SOPInstanceUID": dataset.SOPInstanceUID})
        return answer.status_code == 200 and len(answer.json()) == 1


@pytest.fixture(params=[True, False], ids=["tables", "tables and log"])
def cramped(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Cramped]:
    programs = find_postgresql()
    if programs is None:
        pytest.skip("PostgreSQL's server is not installed (Debian package postgresql)")
    with ExitStack() as stack:
        # Its user may not look into the folders of pytest.
        place = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        place.chmod(0o755)
        disk = stack.enter_context(small_disk(place / "disk", mebibytes=96))
        server = stack.enter_context(
            running_postgresql(
                programs, durable=True, data=disk.folder / "data", log_elsewhere=request.param
            )
        )
        url = stack.enter_context(server.fresh_database())
        stack.enter_context(mock.patch.dict(os.environ, {"ZHUZHEN_DATABASE_URL": url}))
        home = tmp_path / "home"
        home.mkdir()
        node = stack.enter_context(running_node(home, tmp_path / "log"))
        client = stack.enter_context(node.client())
        yield Cramped(server, node, disk, client)
        disk.clear()


def eventually(condition: Callable[[], bool], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)


@pytest.mark.slow
def test_what_cannot_be_recorded_is_not_done_and_goes_on_with_space(cramped: Cramped) -> None:
    assert cramped.recognize().status_code == 200
    kept: list[Dataset] = []
    refused: list[Dataset] = []
    with send_store(cramped.node.dimse_port, "MODALITY") as store:
        cramped.disk.fill()
        # What the tables had set aside is used up first; each answer says what was done.
        while not refused:
            one = instance(PatientID=f"P-{len(kept)}", SeriesDescription="x" * 60)
            status = store(one, encoded(one))
            assert status in (0, OUT_OF_RESOURCES)
            (kept if status == 0 else refused).append(one)
            assert len(kept) < 20_000
    eventually(lambda: cramped.recognize().status_code == 503)
    for path in ("/dicom-web/studies", "/v1/institutions"):
        answer = cramped.client.get(path)
        assert answer.status_code == 503
        assert answer.headers["content-type"] == "application/problem+json"
    assert cramped.client.get("/livez").status_code == 200

    cramped.disk.clear()
    eventually(lambda: cramped.recognize().status_code == 200, seconds=30)
    with send_store(cramped.node.dimse_port, "MODALITY") as store:
        assert [store(each, encoded(each)) for each in refused] == [0] * len(refused)
    assert all(cramped.holds(each) for each in (*kept[-20:], *refused))
    # Jobs, too, whether or not their worker could begin before the disk was full.
    modality = Modality(cramped.node.dimse_port, 1)
    modality.send(1, random.Random(1), 0.0)
    assert modality.is_done
    eventually(lambda: any((cramped.node.home / "out").rglob("*.dcm")))
    done = CliRunner().invoke(app, ["audit", "verify"])
    assert done.exit_code == 0, done.output
    assert "fault of this program" not in cramped.node.log.read_text()


def is_up(server: PostgresServer) -> bool:
    try:
        psycopg.connect(server.conninfo("postgres")).close()
    except psycopg.OperationalError:
        return False
    return True


def write_log(server: PostgresServer) -> None:
    """Fill PostgreSQL's write-ahead log, for which it ends itself where there is no space."""
    with psycopg.connect(server.conninfo("postgres"), autocommit=True) as own:
        while True:
            own.execute("SELECT pg_logical_emit_message(true, 'x', repeat('x', 1000000))")


@pytest.mark.slow
@pytest.mark.parametrize("cramped", [False], ids=["tables and log"], indirect=True)
def test_a_server_that_went_down_for_want_of_space_is_found_again(cramped: Cramped) -> None:
    before = instance()
    with send_store(cramped.node.dimse_port, "MODALITY") as store:
        assert store(before, encoded(before)) == 0
    cramped.disk.fill()
    with pytest.raises(psycopg.OperationalError):
        write_log(cramped.server)
    eventually(lambda: not is_up(cramped.server))
    for path in ("/dicom-web/studies", "/v1/institutions", "/v1/session"):
        answer = cramped.client.get(path)
        assert answer.status_code == 503
        assert "see to the database and its disk" in answer.json()["detail"]
    assert cramped.recognize().status_code == 503
    association = send_store(cramped.node.dimse_port, "MODALITY")
    with pytest.raises(ConnectionRefusedError), association:
        pass
    assert cramped.client.get("/livez").status_code == 200

    cramped.disk.clear()
    # Whoever looks after the server has it started again; nobody does so with this service.
    if not is_up(cramped.server):
        cramped.server.start()
    eventually(lambda: cramped.recognize().status_code == 200)
    after = instance()
    with send_store(cramped.node.dimse_port, "MODALITY") as store:
        assert store(after, encoded(after)) == 0
    assert all(cramped.holds(each) for each in (before, after))
    modality = Modality(cramped.node.dimse_port, 1)
    modality.send(1, random.Random(1), 0.0)
    eventually(lambda: any((cramped.node.home / "out").rglob("*.dcm")))
    done = CliRunner().invoke(app, ["audit", "verify"])
    assert done.exit_code == 0, done.output
