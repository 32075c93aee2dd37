"""A real PACS gets the results, finds them again, and gives back what was sent."""

import json
import subprocess
from io import BytesIO
from pathlib import Path

import httpx
import pydicom
import pytest
from typer.testing import CliRunner

from serving.cli.app import app
from serving.destinations import destination_of
from serving.results import ResultKind, ResultObject
from tests.dicom_validators import needs
from tests.orthanc import Orthanc, needs_orthanc
from tests.result_samples import EXAMPLES, PNEUMONIA, read, results_on, with_header

pytestmark = needs_orthanc
NAME = "Wang^XiaoDong=王^小东"
SENT = with_header(PNEUMONIA, SpecificCharacterSet="GB18030", PatientName=NAME, PatientID="R-7")


@pytest.fixture(scope="module")
def results() -> dict[ResultKind, ResultObject]:
    return results_on(read(SENT))


def content(file: bytes) -> pydicom.Dataset:
    return pydicom.dcmread(BytesIO(file))


@pytest.mark.parametrize("way", ["dimse", "dicomweb"])
def test_retrieved_objects_equal_what_was_sent_however_often(
    orthanc: Orthanc, results: dict[ResultKind, ResultObject], way: str
) -> None:
    destination = destination_of({"to": getattr(orthanc, way)})
    sent = {result.sop_instance_uid: result.data for result in results.values()}

    destination.check()
    destination.send(list(sent.values()))
    destination.send(list(sent.values()))

    held = orthanc.instances()
    assert set(held) == set(sent)
    assert {uid: content(file) for uid, file in held.items()} == {
        uid: content(file) for uid, file in sent.items()
    }


def test_pre_read_is_found_by_qido_and_given_back_by_wado(
    orthanc: Orthanc, results: dict[ResultKind, ResultObject]
) -> None:
    destination_of({"to": orthanc.dicomweb}).send([each.data for each in results.values()])
    report = results[ResultKind.REPORT]
    study = f"{orthanc.dicomweb}/studies/{report.study_instance_uid}"

    found = httpx.get(f"{study}/series", headers={"Accept": "application/dicom+json"}).json()
    metadata = httpx.get(f"{study}/series/{report.series_instance_uid}/metadata").json()

    assert {series["00080060"]["Value"][0] for series in found} == {"SR", "SEG", "PR", "OT"}
    assert metadata[0]["00080018"]["Value"] == [report.sop_instance_uid]
    assert metadata[0]["00100010"]["Value"] == [
        {"Alphabetic": "Wang^XiaoDong", "Ideographic": "王^小东"}
    ]


@needs("findscu")
def test_pre_read_is_found_by_c_find(
    orthanc: Orthanc, results: dict[ResultKind, ResultObject]
) -> None:
    destination_of({"to": orthanc.dimse}).send([each.data for each in results.values()])
    keys = ("QueryRetrieveLevel=SERIES", "PatientID=R-7", "Modality=SR", "SeriesInstanceUID")
    report = results[ResultKind.REPORT]

    found = subprocess.run(
        ["findscu", "-v", "-S", "-aec", "ORTHANC", "127.0.0.1", str(orthanc.dicom_port)]
        + ["-k", f"StudyInstanceUID={report.study_instance_uid}"]
        + [part for key in keys for part in ("-k", key)],
        capture_output=True,
        text=True,
        check=True,
    )

    assert report.series_instance_uid in found.stdout + found.stderr


def test_command_line_sends_files_and_folders_and_tells_of_each(
    orthanc: Orthanc, tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("not DICOM, and lying in the folder")
    (tmp_path / "image.dcm").write_bytes(SENT)
    wrong = tmp_path / "notes.txt"

    run = CliRunner().invoke(
        app, ["dicom", "send", orthanc.dimse, str(tmp_path), str(EXAMPLES), "--json"]
    )
    told = [json.loads(line) for line in run.stdout.splitlines()]
    assert run.exit_code == 0, run.output
    assert [each["state"] for each in told] == ["delivered"] * 5
    assert len(orthanc.instances()) == 4, "the image of the folder is one of the examples"

    run = CliRunner().invoke(app, ["dicom", "send", orthanc.dicomweb, str(wrong)])
    assert run.exit_code == 1
    assert "not a DICOM file" in run.output


@pytest.mark.parametrize("way", ["dimse", "dicomweb"])
def test_command_line_echoes(orthanc: Orthanc, way: str) -> None:
    run = CliRunner().invoke(app, ["dicom", "echo", getattr(orthanc, way), "--json"])
    assert run.exit_code == 0
    assert json.loads(run.stdout)["reached"] is True
