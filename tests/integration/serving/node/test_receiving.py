"""A modality sends, as modalities do: with DCMTK."""

import json
import subprocess
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import TypeVar

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import JPEGBaseline8Bit
from typer.testing import CliRunner

from serving.cli.app import app
from serving.doctor import examine
from tests.instance_samples import file_of, instance
from tests.integration.serving.node.conftest import RunningNode, dcmtk

EXAMPLES = Path(__file__).parents[4] / "examples"


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def send(node: RunningNode, *files: Path) -> int:
    # JPEG is proposed too: DCMTK sends compressed objects as they are, or not at all.
    titles = ("-xy", "-aet", "MODALITY", "-aec", "ZHUZHEN")
    address = ("127.0.0.1", str(node.dimse_port))
    return run(dcmtk("storescu"), *titles, *address, *map(str, files)).returncode


def run_zhuzhen(*arguments: str) -> str:
    done = CliRunner().invoke(app, list(arguments))
    assert done.exit_code == 0, done.output
    return done.stdout


Found = TypeVar("Found")


def eventually(condition: Callable[[], Found], seconds: float = 60) -> Found:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.2)
    pytest.fail("it did not happen in time")


def test_echo_is_answered_to_whom_is_known_alone(node: RunningNode) -> None:
    echo = dcmtk("echoscu")
    address = ("127.0.0.1", str(node.dimse_port))
    assert run(echo, "-aet", "MODALITY", "-aec", "ZHUZHEN", *address).returncode == 0
    assert run(echo, "-aet", "STRANGER", "-aec", "ZHUZHEN", *address).returncode != 0
    assert run(echo, "-aet", "MODALITY", "-aec", "OTHER", *address).returncode != 0
    # Known, but not from this address.
    assert run(echo, "-aet", "ELSEWHERE", "-aec", "ZHUZHEN", *address).returncode != 0


def test_a_radiograph_comes_back_as_results(node: RunningNode) -> None:
    example = EXAMPLES / "child-pneumonia-1.dcm"
    study = pydicom.dcmread(example).StudyInstanceUID
    assert send(node, example) == 0

    def delivered() -> list[pydicom.Dataset]:
        files = [path for path in (node.home / "out").rglob("*") if path.is_file()]
        read = [pydicom.dcmread(path) for path in files if path.suffix == ".dcm"]
        return [each for each in read if each.Modality == "SR"]

    reports = eventually(delivered)
    assert [each.StudyInstanceUID for each in reports] == [study]


def test_what_is_sent_is_there_byte_for_byte(node: RunningNode, tmp_path: Path) -> None:
    dataset = instance(PatientName="Wang^Dong=王^东", SpecificCharacterSet="GB18030")
    path = tmp_path / "one.dcm"
    path.write_bytes(file_of(dataset))
    assert send(node, path) == 0
    assert send(node, path) == 0
    study, series = dataset.StudyInstanceUID, dataset.SeriesInstanceUID
    with node.client() as client:
        found = client.get(f"/dicom-web/studies/{study}/instances").json()
        assert len(found) == 1
        place = f"/dicom-web/studies/{study}/series/{series}/instances/{dataset.SOPInstanceUID}"
        answer = client.get(place, headers={"Accept": "application/dicom; transfer-syntax=*"})
    assert answer.content == path.read_bytes()


def test_another_instance_under_a_known_uid_is_refused(node: RunningNode, tmp_path: Path) -> None:
    dataset = instance()
    first, second = tmp_path / "first.dcm", tmp_path / "second.dcm"
    first.write_bytes(file_of(dataset))
    dataset.PatientName = "Someone^Else"
    second.write_bytes(file_of(dataset))
    assert send(node, first) == 0
    titles = ("-v", "-aet", "MODALITY", "-aec", "ZHUZHEN")
    refused = run(dcmtk("storescu"), *titles, "127.0.0.1", str(node.dimse_port), str(second))
    # DCMTK's words for Cxxx, of which ours is C111; its status says that not all was stored.
    assert "Error: CannotUnderstand" in refused.stdout + refused.stderr
    assert refused.returncode != 0
    _see_to_the_quarantine(node, dataset, second, tmp_path)


def _see_to_the_quarantine(
    node: RunningNode, dataset: Dataset, refused: Path, folder: Path
) -> None:
    """What an operator does with an instance that was refused."""
    uid = dataset.SOPInstanceUID
    listed = run_zhuzhen("node", "quarantine", "--json").splitlines()
    (line,) = [each for each in map(json.loads, listed) if each["sop_instance_uid"] == uid]
    assert (line["reason"], line["source"]) == ("conflict", "modality")
    assert "Another instance" in line["told"]
    number = str(line["id"])
    assert number in run_zhuzhen("node", "quarantine")
    assert "quarantine" in {check.name for check in examine(node.home)}
    saved = folder / "saved.dcm"
    run_zhuzhen("node", "save-quarantined", number, str(saved))
    assert pydicom.dcmread(saved) == pydicom.dcmread(refused)
    run_zhuzhen("node", "discard-quarantined", number)
    assert uid not in run_zhuzhen("node", "quarantine", "--json")
    # What is known stays.
    with node.client() as client:
        found = client.get(f"/dicom-web/instances?SOPInstanceUID={uid}").json()
    assert len(found) == 1


def test_compressed_is_kept_as_it_is(node: RunningNode) -> None:
    example = EXAMPLES / "child-normal-2.dcm"
    sent = pydicom.dcmread(example)
    assert sent.file_meta.TransferSyntaxUID == JPEGBaseline8Bit
    assert send(node, example) == 0
    with node.client() as client:
        place = f"/dicom-web/studies/{sent.StudyInstanceUID}/series/{sent.SeriesInstanceUID}"
        answer = client.get(
            f"{place}/instances/{sent.SOPInstanceUID}",
            headers={"Accept": "application/dicom; transfer-syntax=*"},
        )
    kept = pydicom.dcmread(BytesIO(answer.content))
    assert kept.file_meta.TransferSyntaxUID == JPEGBaseline8Bit
    assert kept.PixelData == sent.PixelData
