"""Real images with planted identities, through the profile and past the second check."""

import datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from pydicom.dataset import Dataset

from models.deidentification import (
    BurnedInTextError,
    DeidentificationError,
    Deidentifier,
    IdentifierLeftError,
    Options,
    reidentify,
)
from models.deidentification.second_check import check_nothing_left, identifying_values
from models.findings import Region
from models.quiet import quiet_decoders
from tests.dicom_samples import PYDICOM_DATA_FILES, PYDICOM_FILES
from tests.dicom_validators import iod_errors, needs
from tests.result_samples import NAMES, PNEUMONIA, with_header

SECRET = bytes(range(32))
IDENTITY = {
    "PatientName": "Wang^XiaoDong=王^小东",
    "PatientID": "HOSP-4711-8",
    "PatientBirthDate": "20210319",
    "PatientSex": "M",
    "PatientAge": "005Y",
    "StudyDate": "20260301",
    "StudyTime": "101530",
    "AccessionNumber": "ACC2026-0042",
    "StudyID": "STUDY-99",
    "InstitutionName": "Third People's Hospital",
    "ReferringPhysicianName": "Li^Ming=李^明",
    "OperatorsName": "Zhao^Lei",
    "StudyDescription": "胸部正位 CHEST PA for Wang XiaoDong",
    "SeriesDescription": "Dr. Li's patient",
    "PatientComments": "mother is Chen Hua, phone 13800138000",
    "DeviceSerialNumber": "SN-778899",
    "StationName": "XR-ROOM-2",
}


def identified(**elements: Any) -> bytes:
    data = with_header(PNEUMONIA, SpecificCharacterSet="GB18030", **{**IDENTITY, **elements})
    dataset = pydicom.dcmread(BytesIO(data))
    block = dataset.private_block(0x0011, "VENDOR", create=True)
    block.add_new(0x01, "LO", "HOSP-4711-8")
    request = Dataset()
    request.RequestedProcedureID = "RP-20260042"
    request.ScheduledProcedureStepDescription = "Wang chest"
    dataset.RequestAttributesSequence = [request]
    source = Dataset()
    source.ReferencedSOPClassUID = dataset.SOPClassUID
    source.ReferencedSOPInstanceUID = dataset.SOPInstanceUID
    dataset.SourceImageSequence = [source]
    # A sequence that the profile does not name, with a name where nobody would look for it.
    anatomy = Dataset()
    anatomy.CodeValue, anatomy.CodingSchemeDesignator, anatomy.CodeMeaning = "51185008", "SCT", "x"
    anatomy.PersonName = "Wang^XiaoDong"
    anatomy.add_new(0x00111001, "UN", b"HOSP-4711-8 ")
    dataset.AnatomicRegionSequence = [anatomy]
    stream = BytesIO()
    dataset.save_as(stream)
    return stream.getvalue()


def result_of(data: bytes, options: Options | None = None, **more: Any) -> Dataset:
    return pydicom.dcmread(BytesIO(Deidentifier(SECRET, options).deidentify(data, **more).data))


@pytest.mark.parametrize("character_set", NAMES)
def test_no_identifier_is_left_in_any_byte(character_set: str) -> None:
    name = NAMES[character_set]
    data = with_header(identified(), SpecificCharacterSet=character_set, PatientName=name)
    result = Deidentifier(SECRET).deidentify(data)

    alphabetic, ideographic = name.split("=")
    for word in (*alphabetic.split("^"), *ideographic.split("^")[:1], *IDENTITY.values()):
        if (len(word) < 4 and word.isascii()) or word in (IDENTITY["PatientAge"], "101530"):
            continue  # of the patient's characteristics, and the time of a moved date
        for encoding in ("utf-8", "gb18030"):
            header = result.data[: -len(pydicom.dcmread(BytesIO(data)).PixelData)]
            assert word.encode(encoding) not in header, word
    assert b"4711" not in result.data
    assert b"13800138000" not in result.data
    assert {"PatientName", "PatientID", "private elements", "StudyDate"} <= set(result.changed)


@needs("dciodvfy")
def test_result_is_a_valid_object_that_says_what_was_done(tmp_path: Path) -> None:
    result = Deidentifier(SECRET).deidentify(identified())
    (tmp_path / "result.dcm").write_bytes(result.data)
    dataset = pydicom.dcmread(tmp_path / "result.dcm")

    assert iod_errors(tmp_path / "result.dcm") == []
    assert dataset.PatientIdentityRemoved == "YES"
    assert [item.CodeValue for item in dataset.DeidentificationMethodCodeSequence] == [
        *("113100", "113105", "113107", "113108")
    ]
    assert dataset.LongitudinalTemporalInformationModified == "MODIFIED"
    assert dataset.PatientID == dataset.PatientName == result.pseudonym
    assert (
        dataset.pixel_array.tobytes() == pydicom.dcmread(BytesIO(PNEUMONIA)).pixel_array.tobytes()
    )


def test_options_keep_what_they_say() -> None:
    dataset = result_of(identified())
    assert (dataset.PatientSex, dataset.PatientAge) == ("M", "005Y")
    assert dataset.StudyDescription == "胸部 正位 CHEST PA"
    assert dataset.SeriesDescription == ""
    assert dataset.StudyTime == "101530"
    assert dataset.BodyPartExamined == "CHEST"
    assert dataset.PatientBirthDate in ("", None)
    assert dataset.DeviceSerialNumber == "REMOVED"

    plain = result_of(
        identified(),
        Options(
            modified_dates=False,
            clean_descriptors=False,
            patient_characteristics=False,
            device_identity=True,
        ),
    )
    assert plain.PatientSex in ("", None)
    assert "StudyDescription" not in plain
    assert plain.StudyDate in ("", None)
    assert (plain.DeviceSerialNumber, plain.StationName) == ("SN-778899", "XR-ROOM-2")


def test_same_patient_and_study_stay_together_and_dates_keep_their_distance() -> None:
    first = result_of(identified())
    later = result_of(identified(StudyDate="20260311", SOPInstanceUID="1.2.3.4.5"))
    other = result_of(identified(PatientID="HOSP-0815"))

    assert first.PatientID == later.PatientID != other.PatientID
    assert first.StudyInstanceUID == later.StudyInstanceUID
    assert first.SOPInstanceUID != later.SOPInstanceUID
    days = [datetime.datetime.strptime(each.StudyDate, "%Y%m%d") for each in (first, later)]
    assert (days[1] - days[0]).days == 10
    assert first.StudyDate < IDENTITY["StudyDate"]
    assert first.SourceImageSequence[0].ReferencedSOPInstanceUID == first.SOPInstanceUID
    assert first.SourceImageSequence[0].ReferencedSOPClassUID == first.SOPClassUID


def test_another_secret_gives_other_pseudonyms() -> None:
    ours = Deidentifier(SECRET).deidentify(identified())
    theirs = Deidentifier(SECRET[::-1]).deidentify(identified())
    assert ours.pseudonym != theirs.pseudonym
    assert Deidentifier(SECRET).deidentify(identified()).data == ours.data
    with pytest.raises(ValueError, match="16 or more"):
        Deidentifier(b"short")


def key_pair() -> tuple[x509.Certificate, rsa.RSAPrivateKey]:
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "keeper of identities")])
    now = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=3650))
        .sign(key, hashes.SHA256())
    )
    return certificate, key


def test_only_the_holder_of_the_key_finds_the_way_back() -> None:
    certificate, key = key_pair()
    result = Deidentifier(SECRET, recipient=certificate).deidentify(identified())

    originals = reidentify(result.data, certificate, key)
    assert str(originals.PatientName) == IDENTITY["PatientName"]
    assert originals.PatientID == IDENTITY["PatientID"]
    assert originals.StudyDate == IDENTITY["StudyDate"]

    for other in (key_pair(), (certificate, key_pair()[1])):
        with pytest.raises(DeidentificationError, match="no original values"):
            reidentify(result.data, *other)
    with pytest.raises(DeidentificationError, match="no original values"):
        reidentify(Deidentifier(SECRET).deidentify(identified()).data, certificate, key)


@pytest.mark.parametrize(
    "elements",
    [
        {"BurnedInAnnotation": "YES"},
        {"BurnedInAnnotation": None, "Modality": "US"},
        {"BurnedInAnnotation": None, "SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"},
    ],
)
def test_what_may_show_a_name_is_refused_until_somebody_has_looked(
    elements: dict[str, Any],
) -> None:
    data = identified(**elements)
    with pytest.raises(BurnedInTextError, match="give the regions to mask"):
        Deidentifier(SECRET).deidentify(data)

    region = Region(column=10, row=20, width=30, height=40, score=0.0)
    masked = result_of(data, mask=[region])
    before = pydicom.dcmread(BytesIO(PNEUMONIA)).pixel_array
    assert (masked.pixel_array[20:60, 10:40] == before.min()).all()
    untouched = np.ones(before.shape, bool)
    untouched[20:60, 10:40] = False
    assert (masked.pixel_array[untouched] == before[untouched]).all()
    assert masked.BurnedInAnnotation == "NO"
    assert "113101" in [item.CodeValue for item in masked.DeidentificationMethodCodeSequence]


def test_second_check_finds_what_a_profile_would_have_missed() -> None:
    source = pydicom.dcmread(BytesIO(identified()))
    for left in (b"HOSP-4711-8", "小东".encode("gb18030"), "XiaoDong".encode("utf-16-le")):
        with pytest.raises(IdentifierLeftError) as caught:
            check_nothing_left(source, b"some header " + left, b"")
        assert left.decode("latin-1") not in str(caught.value)
        with pytest.raises(IdentifierLeftError):
            check_nothing_left(source, b"", b"\xff\xfe comment of a JPEG: HOSP-4711-8")
    check_nothing_left(source, b"some header", b"pixels")


def test_an_identifier_hidden_in_the_pixel_data_keeps_the_object_in() -> None:
    dataset = pydicom.dcmread(BytesIO(identified()))
    dataset.PixelData = dataset.PixelData[:-40] + b"Wang XiaoDong HOSP-4711-8".ljust(40, b"\0")
    stream = BytesIO()
    dataset.save_as(stream)
    with pytest.raises(IdentifierLeftError, match="PatientID, PatientName"):
        Deidentifier(SECRET).deidentify(stream.getvalue())


def test_reports_and_broken_files_are_refused() -> None:
    for data in (
        b"",
        b"not DICOM",
        PNEUMONIA[:3000],
        (PYDICOM_FILES / "reportsi.dcm").read_bytes(),
    ):
        with pytest.raises(DeidentificationError):
            Deidentifier(SECRET).deidentify(data)


@pytest.mark.slow
def test_every_image_of_pydicom_leaves_without_its_identity_or_not_at_all() -> None:
    left = refused = 0
    for file in sorted([*PYDICOM_FILES.glob("*.dcm"), *PYDICOM_DATA_FILES.glob("*.dcm")])[::2]:
        data = file.read_bytes()
        if len(data) > 4_000_000:
            continue
        try:
            result = Deidentifier(SECRET).deidentify(data, mask=())
        except IdentifierLeftError:
            raise
        except DeidentificationError:
            refused += 1
            continue
        left += 1
        with quiet_decoders():
            dataset = pydicom.dcmread(BytesIO(result.data))
            assert not [each for each in dataset.iterall() if each.tag.is_private], file.name
            names = {value for _, value in identifying_values(pydicom.dcmread(BytesIO(data)))}
            told = {value for _, value in identifying_values(dataset)}
        told -= {result.pseudonym, "REMOVED"}
        assert not {name for name in names & told if len(name) > 3}, file.name
    assert left > 30
    assert refused > 5
