"""Studies fetched from real PACS: Orthanc and DCMTK's dcmqrscp, by every way there is."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from pydicom.uid import generate_uid

from serving.attached import AttachedService
from tests.fetching_node import (
    Ports,
    fetched,
    held,
    pre_reads,
    radiographs,
    study_of,
    uids_of,
    upload,
    zhuzhen,
)
from tests.instance_samples import file_of, instance
from tests.integration.serving.node.conftest import dcmtk
from tests.orthanc import Orthanc, free_port, needs_orthanc


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
