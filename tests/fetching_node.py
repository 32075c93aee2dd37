"""What tests of fetching ask of a node and of a PACS."""

import json
import time
from dataclasses import dataclass
from pathlib import Path

import httpx
import pydicom
import pytest
from pydicom.uid import generate_uid
from typer.testing import CliRunner

from serving.attached import AttachedService
from serving.cli.app import app
from tests.orthanc import Orthanc

EXAMPLE = Path(__file__).parents[1] / "examples" / "child-normal-1.dcm"


@dataclass(frozen=True)
class Ports:
    node: int
    dcmtk: int
    away: int


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
