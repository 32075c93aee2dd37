"""A disk that is full, a real one, seen through every door; and what is there when space is back.

Everything of the node is on it: objects, index, jobs and audit record.
"""

import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from typer.testing import CliRunner

from serving.cli.app import app
from tests.broken_instances import request_unit, send_store
from tests.instance_samples import encoded, file_of, instance
from tests.integration.serving.node.conftest import RunningNode, dcmtk, running_node
from tests.node_bench import radiograph
from tests.small_disk import SmallDisk, small_disk

EXAMPLE = Path(__file__).parents[4] / "examples" / "child-normal-1.dcm"
DICOM = {"Content-Type": "application/dicom"}
OUT_OF_RESOURCES = 0xA700


@dataclass(frozen=True)
class Cramped:
    """A node whose disk is small."""

    node: RunningNode
    disk: SmallDisk
    client: httpx.Client

    def stow(self, dataset: Dataset) -> httpx.Response:
        return self.client.post("/dicom-web/studies", content=file_of(dataset), headers=DICOM)

    def recognize(self) -> httpx.Response:
        return self.client.post("/v1/recognize", content=EXAMPLE.read_bytes(), headers=DICOM)

    def holds(self, dataset: Dataset) -> bool:
        place = f"/dicom-web/studies/{dataset.StudyInstanceUID}/instances"
        answer = self.client.get(place, params={"SOPInstanceUID": dataset.SOPInstanceUID})
        return answer.status_code == 200 and len(answer.json()) == 1


@pytest.fixture(scope="module")
def cramped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cramped]:
    with ExitStack() as stack:
        disk = stack.enter_context(small_disk(tmp_path_factory.mktemp("disk"), mebibytes=48))
        # The log has a disk of its own, as everybody's should who wants to know what happened.
        log = tmp_path_factory.mktemp("log") / "log"
        node = stack.enter_context(running_node(disk.folder, log))
        yield Cramped(node, disk, stack.enter_context(node.client()))


@pytest.fixture(autouse=True)
def space_at_the_end(cramped: Cramped) -> Iterator[None]:
    yield
    cramped.disk.clear()


def eventually(condition: Callable[[], bool], seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.2)


def test_what_does_not_fit_is_refused_and_the_sender_told_to_come_again(cramped: Cramped) -> None:
    large, other = instance(PixelData=bytes(900_000)), instance(PixelData=bytes(900_000))
    with send_store(cramped.node.dimse_port, "MODALITY") as store:
        # Enough for the index and the record, and not for the image.
        cramped.disk.fill(leaving_bytes=600_000)
        assert store(large, encoded(large)) == OUT_OF_RESOURCES
        answer = cramped.stow(other)
        assert answer.status_code == 507
        assert answer.headers["content-type"] == "application/dicom+json"
        (failed,) = answer.json()["00081198"]["Value"]
        assert failed["00081197"]["Value"] == [OUT_OF_RESOURCES]
        assert failed["00081155"]["Value"] == [other.SOPInstanceUID]
        assert "space" in failed["00000902"]["Value"][0]
        drafts = cramped.disk.folder / "objects" / "drafts"
        assert list(drafts.iterdir()) == [], "what was not kept takes no space"
        cramped.disk.clear()
        assert store(large, encoded(large)) == 0
    assert cramped.stow(other).status_code == 200
    assert cramped.holds(large)
    assert cramped.holds(other)


def test_what_cannot_be_recorded_is_not_answered(cramped: Cramped) -> None:
    kept, refused = [], [instance() for _ in range(12)]
    with send_store(cramped.node.dimse_port, "MODALITY") as store:
        cramped.disk.fill()
        # What the databases had set aside is used up first; each answer says what was done.
        while (status := store(refused[0], encoded(refused[0]))) == 0:
            kept.append(refused.pop(0))
        assert status == OUT_OF_RESOURCES
    eventually(lambda: cramped.recognize().status_code != 200, seconds=30)
    for answer in (
        cramped.recognize(),
        cramped.stow(instance()),
        cramped.client.get("/dicom-web/studies"),
        cramped.client.get("/v1/institutions"),
    ):
        assert answer.status_code == 503
        assert answer.headers["content-type"] == "application/problem+json"
        assert "see to the database and its disk" in answer.json()["detail"]
    assert association_answer(cramped.node.dimse_port) == (3, 2, 3, 1)
    assert cramped.client.get("/livez").status_code == 200

    cramped.disk.clear()
    assert cramped.recognize().status_code == 200
    with send_store(cramped.node.dimse_port, "MODALITY") as store:
        assert [store(each, encoded(each)) for each in refused] == [0] * len(refused)
    assert all(cramped.holds(each) for each in (*kept, *refused))
    log = cramped.node.log.read_text()
    assert "no space is left on the disk of the database" in log
    assert "fault of this program" not in log


def association_answer(port: int) -> tuple[int, ...]:
    """Kind of the answer to a request, and result, source and reason of a rejection."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as peer:
        peer.sendall(request_unit("MODALITY"))
        answer = peer.recv(100)
    return (answer[0], *answer[7:10])


@pytest.mark.parametrize("full_after_s", [0.0, 1.0])
def test_a_study_whose_reading_met_a_full_disk_is_read_when_space_is_back(
    cramped: Cramped, tmp_path: Path, full_after_s: float
) -> None:
    sent = radiograph(StudyInstanceUID=generate_uid(), SeriesInstanceUID=generate_uid())
    file = tmp_path / "sent.dcm"
    sent.save_as(file)
    titles = ("-xy", "-aet", "MODALITY", "-aec", "ZHUZHEN")
    address = ("127.0.0.1", str(cramped.node.dimse_port))
    subprocess.run([dcmtk("storescu"), *titles, *address, str(file)], check=True)
    time.sleep(full_after_s)
    cramped.disk.fill()
    time.sleep(3.0)
    cramped.disk.clear()

    def delivered() -> list[Dataset]:
        files = (cramped.node.home / "out").rglob("*.dcm")
        found = [pydicom.dcmread(path, stop_before_pixels=True) for path in files]
        return [each for each in found if each.StudyInstanceUID == sent.StudyInstanceUID]

    eventually(lambda: any(each.Modality == "SR" for each in delivered()))
    uids = [each.SOPInstanceUID for each in delivered()]
    assert len(uids) == len(set(uids))


def test_the_record_is_whole_afterwards(cramped: Cramped) -> None:
    done = CliRunner().invoke(app, ["audit", "verify"])
    assert done.exit_code == 0, done.output
