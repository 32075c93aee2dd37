"""Studies fetched from real PACS: Orthanc and DCMTK's dcmqrscp, by every way there is."""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import httpx
import pydicom
import pytest
from pydicom.uid import generate_uid
from typer.testing import CliRunner

from serving.attached import AttachedService, attached_service
from serving.cli.app import app
from tests.instance_samples import file_of, instance
from tests.integration.serving.node.conftest import dcmtk
from tests.orthanc import Orthanc, free_port, needs_orthanc, running_orthanc

EXAMPLE = Path(__file__).parents[4] / "examples" / "child-normal-1.dcm"
NODE = """
port: {node}
sources:
  - name: by-move
    institution: local
    ae_title: ORTHANC
    quiet_time_s: 600
    fetch: {{from: "ORTHANC@127.0.0.1:{orthanc}"}}
  - name: by-get
    institution: local
    quiet_time_s: 600
    fetch: {{from: "ORTHANC@127.0.0.1:{orthanc}", by: c-get}}
  - name: by-web
    institution: local
    quiet_time_s: 600
    fetch:
      from: "http://127.0.0.1:{web}/dicom-web"
      username: reader
      password_env: TEST_PACS_PASSWORD
  - name: by-dcmtk
    institution: local
    ae_title: QRSCP
    quiet_time_s: 600
    fetch: {{from: "QRSCP@127.0.0.1:{dcmtk}"}}
  - name: away
    institution: local
    quiet_time_s: 600
    fetch: {{from: "http://127.0.0.1:{away}/dicom-web", timeout_s: 2}}
  - name: stranger
    institution: local
    ae_title: STRANGER
rules:
  - {{name: chests, when: {{modality: [CR, DX]}}, models: [chest-xray-pneumonia]}}
"""


@dataclass(frozen=True)
class Ports:
    node: int
    dcmtk: int
    away: int


@pytest.fixture(scope="module")
def ports() -> Ports:
    return Ports(free_port(), free_port(), free_port())


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory, ports: Ports) -> Iterator[Orthanc]:
    peers = {"zhuzhen": ["ZHUZHEN", "127.0.0.1", ports.node]}
    with running_orthanc(tmp_path_factory.mktemp("pacs"), DicomModalities=peers) as found:
        yield found


@pytest.fixture(scope="module")
def node(
    tmp_path_factory: pytest.TempPathFactory, orthanc: Orthanc, ports: Ports
) -> Iterator[AttachedService]:
    home = tmp_path_factory.mktemp("node")
    text = NODE.format(
        node=ports.node,
        orthanc=orthanc.dicom_port,
        web=orthanc.http_port,
        dcmtk=ports.dcmtk,
        away=ports.away,
    )
    (home / "node.yaml").write_text(text)
    environment = {"ZHUZHEN_HOME": str(home), "TEST_PACS_PASSWORD": "not shown"}
    with (
        mock.patch.dict(os.environ, environment),
        (home / "log").open("wb") as log,
        attached_service(log=log.fileno()) as service,
    ):
        yield service
    assert b"Traceback" not in (home / "log").read_bytes()


def radiographs(count: int, **elements: str) -> list[bytes]:
    """Radiographs of one study, as files."""
    study, series = generate_uid(), generate_uid()
    files = []
    for _ in range(count):
        dataset = pydicom.dcmread(EXAMPLE)
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, series
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        for keyword, value in elements.items():
            setattr(dataset, keyword, value)
        stream = pydicom.filebase.DicomBytesIO()
        dataset.save_as(stream)
        files.append(stream.getvalue())
    return files


def study_of(file: bytes) -> str:
    return str(pydicom.dcmread(pydicom.filebase.DicomBytesIO(file)).StudyInstanceUID)


def uids_of(files: list[bytes]) -> set[str]:
    return {
        str(pydicom.dcmread(pydicom.filebase.DicomBytesIO(file)).SOPInstanceUID) for file in files
    }


def upload(orthanc: Orthanc, files: list[bytes]) -> None:
    for file in files:
        httpx.post(f"{orthanc.url}/instances", content=file).raise_for_status()


def zhuzhen(*arguments: str, given: str | None = None) -> tuple[int, list[dict[str, object]], str]:
    """Exit status, lines of JSON and what was told, of one command."""
    result = CliRunner().invoke(app, [*arguments, "--json"], input=given)
    lines = [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]
    return result.exit_code, lines, f"{result.output}{result.exception or ''}"


def held(node: AttachedService, study: str) -> set[str]:
    """What of a study a search of the node finds, without what the node made itself."""
    with httpx.Client(base_url=node.url, headers=node.headers, trust_env=False) as client:
        answer = client.get(f"/dicom-web/studies/{study}/instances", timeout=30)
    rows = answer.json() if answer.status_code == 200 else []
    ours = ("1.2.840.10008.5.1.4.1.1.1", "1.2.840.10008.5.1.4.1.1.2")
    return {row["00080018"]["Value"][0] for row in rows if row["00080016"]["Value"][0] in ours}


def fetched(node: AttachedService) -> float:
    """How many instances have come by fetching, new ones or others."""
    with httpx.Client(base_url=node.url, headers=node.headers, trust_env=False) as client:
        lines = client.get("/metrics").text.splitlines()
    counts = [line for line in lines if "instances" in line and 'way="fetch"' in line]
    return sum(float(line.rpartition(" ")[2]) for line in counts if "_created" not in line)


def pre_reads(study: str, seconds: float = 60) -> list[dict[str, object]]:
    """The jobs of a study, once there are any."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        _, jobs, _ = zhuzhen("jobs", "list")
        shown = [zhuzhen("jobs", "show", str(job["id"]))[1][0] for job in jobs]
        found = [job for job in shown if job["study_instance_uid"] == study]
        if found and all(job["state"] not in ("queued", "running") for job in found):
            return found
        time.sleep(0.3)
    pytest.fail("the study was not read in time")


@needs_orthanc
@pytest.mark.parametrize("source", ["by-move", "by-get", "by-web"])
def test_a_fetched_study_is_read_as_soon_as_all_that_was_listed_is_here(
    node: AttachedService, orthanc: Orthanc, source: str
) -> None:
    files = radiographs(2)
    upload(orthanc, files)
    status, (line,), told = zhuzhen(
        "node", "fetch", source, "--study", study_of(files[0]), "--urgent", "--wait-s", "60"
    )
    assert status == 0, told
    assert (line["state"], line["listed"], line["here"]) == ("done", 2, 2)
    assert line["priority"] == "urgent"
    assert held(node, study_of(files[0])) == uids_of(files)
    # The quiet time of these sources is ten minutes: the count alone says that it is complete.
    (job,) = pre_reads(study_of(files[0]))
    assert (job["state"], job["version"], job["source"]) == ("done", 1, source)


@needs_orthanc
def test_only_what_is_missing_is_fetched(node: AttachedService, orthanc: Orthanc) -> None:
    files = radiographs(3)
    study = study_of(files[0])
    with httpx.Client(base_url=node.url, headers=node.headers, trust_env=False) as client:
        client.post(
            "/dicom-web/studies", content=files[0], headers={"Content-Type": "application/dicom"}
        ).raise_for_status()
    upload(orthanc, files)
    before = fetched(node)
    status, (line,), told = zhuzhen("node", "fetch", "by-get", "--study", study, "--wait-s", "60")
    assert status == 0, told
    assert (line["listed"], line["here"]) == (3, 3)
    assert fetched(node) == before + 2
    assert held(node, study) == uids_of(files)


@needs_orthanc
def test_by_accession_number_with_priors_of_the_patient(
    node: AttachedService, orthanc: Orthanc
) -> None:
    patient = {"PatientID": f"P-{free_port()}"}
    dates = ("20200101", "20210101", "20220101", "20230101")
    studies = [
        radiographs(1, StudyDate=date, AccessionNumber=f"{patient['PatientID']}-{date}", **patient)
        for date in dates
    ]
    for files in studies:
        upload(orthanc, files)
    status, lines, told = zhuzhen(
        *("node", "fetch", "by-move", "--accession", f"{patient['PatientID']}-20220101"),
        *("--priors", "1", "--urgent", "--wait-s", "60"),
    )
    assert status == 0, told
    fetched = {str(line["study_instance_uid"]): line["priority"] for line in lines}
    assert fetched == {study_of(studies[2][0]): "urgent", study_of(studies[1][0]): "routine"}


@needs_orthanc
def test_a_patient_is_named_on_standard_input(node: AttachedService, orthanc: Orthanc) -> None:
    number = f"Q-{free_port()}"
    files = radiographs(1, PatientID=number)
    upload(orthanc, files)
    status, lines, told = zhuzhen(
        "node", "fetch", "by-web", "--patient-file", "-", "--wait-s", "60", given=number
    )
    assert status == 0, told
    assert [line["study_instance_uid"] for line in lines] == [study_of(files[0])]


@needs_orthanc
def test_what_the_pacs_does_not_have_fails_with_the_reason(
    node: AttachedService, orthanc: Orthanc
) -> None:
    for source in ("by-move", "by-web"):
        status, (line,), _ = zhuzhen(
            "node", "fetch", source, "--study", generate_uid(), "--wait-s", "30"
        )
        assert (status, line["state"]) == (1, "failed")
        assert line["reason"] == "The PACS has no such study."


def test_a_pacs_that_is_away_is_waited_for(node: AttachedService) -> None:
    _, (line,), _ = zhuzhen("node", "fetch", "away", "--study", generate_uid(), "--wait-s", "4")
    assert line["state"] == "queued"
    _, lines, _ = zhuzhen("node", "fetches", "--state", "queued")
    (waiting,) = [each for each in lines if each["id"] == line["id"]]
    assert "cannot be reached" in str(waiting["reason"])
    assert int(str(waiting["tries"])) >= 1


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("stranger", "--study", "1.2.3"), "no source with `fetch`"),
        (("by-move",), "Nothing was asked for"),
        (("by-move", "--study", "12..3"), "not a UID"),
    ],
)
def test_what_cannot_be_asked_for_is_told(
    node: AttachedService, arguments: tuple[str, ...], expected: str
) -> None:
    status, lines, told = zhuzhen("node", "fetch", *arguments)
    assert (status, lines) == (1, [])
    assert expected in told


@contextmanager
def running_dcmqrscp(folder: Path, port: int, node_port: int, files: list[bytes]) -> Iterator[None]:
    """DCMTK's archive with `files` in it."""
    programs = (dcmtk("dcmqrscp"), dcmtk("dcmqridx"))
    area = folder / "area"
    area.mkdir(parents=True)
    for number, file in enumerate(files):
        (area / f"{number}.dcm").write_bytes(file)
    subprocess.run([programs[1], str(area), *map(str, area.glob("*.dcm"))], check=True)
    configuration = folder / "dcmqrscp.cfg"
    configuration.write_text(
        f"NetworkTCPPort = {port}\nMaxPDUSize = 16384\nMaxAssociations = 8\n"
        f"HostTable BEGIN\nus = (ZHUZHEN, localhost, {node_port})\nHostTable END\n"
        "VendorTable BEGIN\nVendorTable END\n"
        f"AETable BEGIN\nQRSCP {area} R (100, 1024mb) ANY\nAETable END\n"
    )
    process = subprocess.Popen(
        [programs[0], "-c", str(configuration)],
        env={"TCP_NODELAY": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


def test_from_dcmtk_by_c_move(node: AttachedService, ports: Ports, tmp_path: Path) -> None:
    study = generate_uid()
    slices = [instance(StudyInstanceUID=study) for _ in range(5)]
    files = [file_of(each) for each in slices]
    with running_dcmqrscp(tmp_path, ports.dcmtk, ports.node, files):
        status, (line,), told = zhuzhen(
            "node", "fetch", "by-dcmtk", "--study", study, "--wait-s", "60"
        )
    assert status == 0, told
    assert (line["listed"], line["here"]) == (5, 5)
    assert held(node, study) == {str(each.SOPInstanceUID) for each in slices}
    (job,) = pre_reads(study)
    assert job["state"] == "unrouted"
