"""DICOMweb, by a client that was written by others."""

from collections.abc import Iterator
from io import BytesIO

import httpx
import numpy as np
import pydicom
import pytest
from dicomweb_client.api import DICOMwebClient
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from requests import Session

from tests.instance_samples import file_of, instance
from tests.integration.serving.node.conftest import RunningNode
from tests.integration.serving.node.test_receiving import EXAMPLES

EXAMPLE = pydicom.dcmread(EXAMPLES / "child-normal-1.dcm")


@pytest.fixture(scope="module")
def web(node: RunningNode) -> DICOMwebClient:
    """Someone else's client."""
    session = Session()
    session.trust_env = False
    return DICOMwebClient(
        f"{node.service.url}/dicom-web", session=session, headers=node.service.headers
    )


@pytest.fixture(scope="module")
def http(node: RunningNode) -> Iterator[httpx.Client]:
    with node.client() as client:
        yield client


@pytest.fixture(scope="module")
def study(web: DICOMwebClient) -> list[Dataset]:
    """Three instances of two series of one study."""
    study_uid, series_uid = generate_uid(), generate_uid()
    common = {
        "StudyInstanceUID": study_uid,
        "PatientName": "Müller^Anna=王^小东",
        "PatientID": "QIDO-7",
        "AccessionNumber": "A-77",
        "StudyDescription": "Head without contrast",
        "SpecificCharacterSet": "ISO_IR 192",
        "StudyDate": "20250607",
    }
    datasets = [
        instance(**common, SeriesInstanceUID=series_uid, InstanceNumber=number) for number in (1, 2)
    ]
    datasets.append(instance(**common, Modality="MR"))
    answer = web.store_instances([pydicom.dcmread(BytesIO(file_of(each))) for each in datasets])
    assert len(answer.ReferencedSOPSequence) == 3
    assert "FailedSOPSequence" not in answer
    return datasets


@pytest.mark.parametrize(
    "query",
    [
        {"PatientID": "QIDO-7"},
        {"PatientID": "QIDO*"},
        {"PatientName": "müller*"},
        {"PatientName": "*小东*"},
        {"AccessionNumber": "A-77"},
        {"StudyDate": "20250601-20250630"},
        {"StudyDate": "20250607"},
        {"ModalitiesInStudy": "MR"},
        {"StudyDescription": "Head*contrast"},
        {"00100020": "QIDO-7"},
    ],
)
def test_studies_are_found(
    web: DICOMwebClient, study: list[Dataset], query: dict[str, str]
) -> None:
    found = web.search_for_studies(search_filters=query)
    by_uid = {each["0020000D"]["Value"][0]: each for each in found}
    assert study[0].StudyInstanceUID in by_uid
    ours = Dataset.from_json(by_uid[study[0].StudyInstanceUID])
    assert ours.NumberOfStudyRelatedInstances == 3
    assert ours.NumberOfStudyRelatedSeries == 2
    assert list(ours.ModalitiesInStudy) == ["CT", "MR"]
    assert ours.PatientName == "Müller^Anna=王^小东"


@pytest.mark.parametrize(
    "query",
    [
        {"PatientID": "QIDO-8"},
        {"PatientName": "muller*"},
        {"StudyDate": "20250608-"},
        {"ModalitiesInStudy": "US"},
        {"StudyInstanceUID": "1.2.3"},
    ],
)
def test_other_studies_are_not(
    web: DICOMwebClient, study: list[Dataset], query: dict[str, str]
) -> None:
    found = web.search_for_studies(search_filters=query)
    assert study[0].StudyInstanceUID not in {each["0020000D"]["Value"][0] for each in found}


def test_no_pattern_keeps_the_service_busy(http: httpx.Client) -> None:
    """A name and a pattern that has more ways not to match it than there is time to try."""
    name = "a" * 64
    body = b"--b\r\nContent-Type: application/dicom\r\n\r\n" + file_of(instance(PatientName=name))
    kind = 'multipart/related; type="application/dicom"; boundary=b'
    stored = http.post(
        "/dicom-web/studies", content=body + b"\r\n--b--", headers={"Content-Type": kind}
    )
    assert stored.status_code == 200

    def found(pattern: str) -> int:
        query = {"PatientName": pattern}
        return http.get("/dicom-web/studies", params=query, timeout=20).status_code

    assert found("*a" * 30 + "*b") == 204
    assert found("*a" * 30 + "*") == 200
    assert found("*?" * 64) == 200
    assert found("*?" * 65) == 204


def test_fuzzy_matching_finds_words_of_a_name(web: DICOMwebClient, study: list[Dataset]) -> None:
    found = web.search_for_studies(search_filters={"PatientName": "anna mull"}, fuzzymatching=True)
    assert study[0].StudyInstanceUID in {each["0020000D"]["Value"][0] for each in found}


def test_series_and_instances_are_found(web: DICOMwebClient, study: list[Dataset]) -> None:
    uid = study[0].StudyInstanceUID
    series = web.search_for_series(uid)
    assert {each["00080060"]["Value"][0] for each in series} == {"CT", "MR"}
    instances = web.search_for_instances(uid, study[0].SeriesInstanceUID)
    assert sorted(each["00200013"]["Value"][0] for each in instances) == [1, 2]
    assert len(web.search_for_instances(uid)) == 3
    by_study = {"ModalitiesInStudy": "MR", "PatientID": "QIDO-7", "Modality": "CT"}
    assert [
        each["0020000E"]["Value"] for each in web.search_for_series(search_filters=by_study)
    ] == [[study[0].SeriesInstanceUID]]


def test_pages_follow_each_other(http: httpx.Client, study: list[Dataset]) -> None:
    place = f"/dicom-web/studies/{study[0].StudyInstanceUID}/instances"
    pages = [http.get(place, params={"limit": 2, "offset": offset}) for offset in (0, 2)]
    assert "additional results" in pages[0].headers["Warning"]
    assert "Warning" not in pages[1].headers
    uids = [each["00080018"]["Value"][0] for page in pages for each in page.json()]
    assert len(set(uids)) == len(uids) == 3


def test_instances_come_back(web: DICOMwebClient, study: list[Dataset]) -> None:
    first = study[0]
    uids = (first.StudyInstanceUID, first.SeriesInstanceUID, first.SOPInstanceUID)
    assert web.retrieve_instance(*uids).PixelData == first.PixelData
    assert len(web.retrieve_series(*uids[:2])) == 2
    assert len(web.retrieve_study(uids[0])) == 3
    metadata = Dataset.from_json(web.retrieve_instance_metadata(*uids), lambda *_: None)
    assert metadata.PatientID == "QIDO-7"
    (frame,) = web.retrieve_instance_frames(*uids, frame_numbers=[1])
    assert frame == first.PixelData


def test_bulk_data_is_where_metadata_says(web: DICOMwebClient, study: list[Dataset]) -> None:
    first = study[0]
    uids = (first.StudyInstanceUID, first.SeriesInstanceUID, first.SOPInstanceUID)
    place = web.retrieve_instance_metadata(*uids)["7FE00010"]["BulkDataURI"]
    assert web.retrieve_bulkdata(place)[0] == first.PixelData


def test_compressed_instances_come_back_either_way(web: DICOMwebClient) -> None:
    web.store_instances([EXAMPLE])
    uids = (EXAMPLE.StudyInstanceUID, EXAMPLE.SeriesInstanceUID, EXAMPLE.SOPInstanceUID)
    kept = web.retrieve_instance(*uids, media_types=(("application/dicom", "*"),))
    assert kept.PixelData == EXAMPLE.PixelData
    plain = web.retrieve_instance(*uids)
    assert np.array_equal(plain.pixel_array, EXAMPLE.pixel_array)
    (jpeg,) = web.retrieve_instance_frames(
        *uids, frame_numbers=[1], media_types=(("image/jpeg", "1.2.840.10008.1.2.4.50"),)
    )
    assert jpeg.startswith(b"\xff\xd8")


def test_pictures_are_rendered(http: httpx.Client, web: DICOMwebClient) -> None:
    web.store_instances([EXAMPLE])
    series = f"/dicom-web/studies/{EXAMPLE.StudyInstanceUID}/series/{EXAMPLE.SeriesInstanceUID}"
    place = f"{series}/instances/{EXAMPLE.SOPInstanceUID}"
    whole = http.get(f"{place}/rendered", headers={"Accept": "image/png"})
    assert Image.open(BytesIO(whole.content)).size == (EXAMPLE.Columns, EXAMPLE.Rows)
    small = http.get(f"{place}/thumbnail")
    assert max(Image.open(BytesIO(small.content)).size) == 128
    boxed = http.get(f"{place}/rendered", params={"viewport": "200,200", "window": "128,100"})
    assert max(Image.open(BytesIO(boxed.content)).size) == 200
    for query in ({"viewport": "0,0"}, {"window": "1"}, {"quality": "101"}):
        assert http.get(f"{place}/rendered", params=query).status_code == 400


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/dicom-web/studies/1.2.3", 404),
        ("/dicom-web/studies?NoSuchKeyword=1", 400),
        # Found by nothing, they would all seem not to be there.
        ("/dicom-web/studies?Modality=CT", 400),
        ("/dicom-web/series?InstanceNumber=1", 400),
        ("/dicom-web/studies?limit=x", 400),
        ("/dicom-web/studies?StudyDate=yesterday", 400),
        ("/dicom-web/studies/1.2.3/series/1/instances/1/frames/0", 400),
    ],
)
def test_what_cannot_be_answered_is_a_problem(http: httpx.Client, path: str, status: int) -> None:
    answer = http.get(path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


def related(*parts: bytes) -> tuple[bytes, dict[str, str]]:
    body = b"".join(
        b"--b\r\nContent-Type: application/dicom\r\n\r\n" + part + b"\r\n" for part in parts
    )
    content_type = 'multipart/related; type="application/dicom"; boundary=b'
    return body + b"--b--\r\n", {"Content-Type": content_type}


def test_storing_says_what_became_of_each(http: httpx.Client) -> None:
    good, known = instance(), instance()
    changed = Dataset(known)
    body, headers = related(file_of(known))
    assert http.post("/dicom-web/studies", content=body, headers=headers).status_code == 200
    changed.PatientName = "Other^Name"
    body, headers = related(file_of(good), file_of(changed), b"no DICOM at all")
    answer = http.post("/dicom-web/studies", content=body, headers=headers)
    assert answer.status_code == 202
    found = Dataset.from_json(answer.json())
    assert [each.ReferencedSOPInstanceUID for each in found.ReferencedSOPSequence] == [
        good.SOPInstanceUID
    ]
    assert [each.FailureReason for each in found.FailedSOPSequence] == [0xC111, 0xC000]


def test_many_are_answered_in_their_order(http: httpx.Client) -> None:
    sent = [instance() for _ in range(12)]
    body, headers = related(*(part for each in sent for part in (file_of(each), b"no DICOM")))
    answer = http.post("/dicom-web/studies", content=body, headers=headers)
    assert answer.status_code == 202
    found = Dataset.from_json(answer.json())
    uids = [each.ReferencedSOPInstanceUID for each in found.ReferencedSOPSequence]
    assert uids == [each.SOPInstanceUID for each in sent]
    assert len(found.FailedSOPSequence) == 12


def test_what_was_complete_of_a_body_that_ends_too_soon_is_kept(http: httpx.Client) -> None:
    sent = [instance() for _ in range(4)]
    body, headers = related(*map(file_of, sent))
    cut = body[: -len(file_of(sent[-1])) // 2]
    assert http.post("/dicom-web/studies", content=cut, headers=headers).status_code == 400
    for number, each in enumerate(sent):
        query = {"SOPInstanceUID": each.SOPInstanceUID}
        answer = http.get("/dicom-web/instances", params=query)
        assert answer.status_code == (200 if number < 3 else 204)


@pytest.mark.parametrize(
    ("content", "content_type", "status"),
    [
        (b"no DICOM at all", "application/dicom", 400),
        (b"{}", "application/json", 415),
        (b"x", "multipart/related; type=application/dicom", 400),
        (b"--b\r\nhalf", 'multipart/related; type="application/dicom"; boundary=b', 400),
        (b"--b--\r\n", 'multipart/related; type="application/dicom"; boundary=b', 400),
        (b"--b\r\n\r\n{}\r\n--b--", 'multipart/related; type="application/json"; boundary=b', 415),
    ],
)
def test_bodies_that_cannot_be_stored(
    http: httpx.Client, content: bytes, content_type: str, status: int
) -> None:
    headers = {"Content-Type": content_type}
    assert http.post("/dicom-web/studies", content=content, headers=headers).status_code == status


def test_an_instance_of_another_study_is_a_conflict(http: httpx.Client) -> None:
    body, headers = related(file_of(instance()))
    answer = http.post("/dicom-web/studies/1.2.3", content=body, headers=headers)
    assert answer.status_code == 409
    assert answer.headers["content-type"] == "application/dicom+json"


def test_an_instance_of_another_patient_is_a_conflict(http: httpx.Client) -> None:
    first = instance(PatientID="A-1")
    other = instance(PatientID="B-2", StudyInstanceUID=first.StudyInstanceUID)
    body, headers = related(file_of(first))
    assert http.post("/dicom-web/studies", content=body, headers=headers).status_code == 200
    body, headers = related(file_of(other))
    answer = http.post("/dicom-web/studies", content=body, headers=headers)
    assert answer.status_code == 409
    found = Dataset.from_json(answer.json())
    assert [each.FailureReason for each in found.FailedSOPSequence] == [0xC112]


def test_nothing_is_told_without_a_credential(node: RunningNode, study: list[Dataset]) -> None:
    for path in ("/dicom-web/studies", f"/dicom-web/studies/{study[0].StudyInstanceUID}"):
        assert httpx.get(node.service.url + path, trust_env=False).status_code == 401
