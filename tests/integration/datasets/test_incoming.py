"""DICOM on the way in, from a folder and from a DICOMweb server, and FHIR bulk exports."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pydicom
import pytest
from pydicom.uid import generate_uid

from datasets.checks.run import check
from datasets.manifest_file import write_manifest
from datasets.pictures import read_grey
from datasets.reading import read
from models.errors import DataError
from serving.imaging import read_radiograph
from tests.dicom_samples import PYDICOM_DATA_FILES, encode, radiograph_dataset
from tests.kermany_samples import made_up_radiograph

DESCRIPTION = """
name: hospital
version: 1.0.0
source: {SOURCE, labels: labels.csv, key: AccessionNumber}
fields: {path: path, group: patient, age_years: age_years, sex: PatientSex, site: {constant: here}}
labels: [pneumonia]
present: {column: report, values: {normal: [], pneumonia: [pneumonia]}}
facts: {kvp: KVP, view: ViewPosition}
sheet:
  title: {en: A hospital, zh: 医院}
  origin: made up
  licence: CC0-1.0
  citation: none
  population: nobody
  obtain: this test writes it
"""
PEOPLE = (("王伟", "110101", "F"), ("Müller^Anna", "110102", "F"), ("李雷", "110103", "M"))


def objects() -> list[bytes]:
    """Four images of three people; the first two are of one."""
    made = []
    for number in range(4):
        name, identity, sex = PEOPLE[max(0, number - 1)]
        pixels = made_up_radiograph(number, number % 2 == 1, 64)
        uids = {key: generate_uid(entropy_srcs=[key, str(number)]) for key in ("study", "series")}
        dataset = radiograph_dataset(
            pixels,
            SpecificCharacterSet="ISO_IR 192",
            SOPInstanceUID=generate_uid(entropy_srcs=["image", str(number)]),
            StudyInstanceUID=uids["study"],
            SeriesInstanceUID=uids["series"],
            PatientName=name,
            PatientID=identity,
            PatientSex=sex,
            PatientBirthDate="20200203",
            StudyDate="20240105",
            AccessionNumber=f"A{number}",
            KVP=70 + number,
            InstitutionName="County Hospital",
            BurnedInAnnotation="NO",
        )
        made.append(encode(dataset))
    return made


def written(folder: Path, source: str = "kind: dicom_folder") -> str:
    (folder / "hospital").mkdir()
    for number, data in enumerate(objects()):
        (folder / "hospital" / f"{number}.dcm").write_bytes(data)
    rows = "".join(f"A{n},{('normal', 'pneumonia')[n % 2]}\n" for n in range(4))
    (folder / "labels.csv").write_text("AccessionNumber,report\n" + rows, encoding="utf-8")
    path = folder / "hospital.yaml"
    path.write_text(DESCRIPTION.replace("SOURCE", source), encoding="utf-8")
    return str(path)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ZHUZHEN_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_folder_becomes_a_manifest_that_names_nobody(tmp_path: Path, home: Path) -> None:
    name = written(tmp_path)
    manifest = read(name, tmp_path)
    groups = manifest.groups().tolist()
    assert groups[0] == groups[1]
    assert len(set(groups)) == 3
    assert manifest.targets()[:, 0].tolist() == [0, 1, 0, 1]
    assert manifest.ages_years().tolist() == [3.0] * 4
    assert manifest.fact("kvp") == [70.0, 71.0, 72.0, 73.0]
    write_manifest(manifest, home / "m.parquet")
    everything = b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file())
    for person, identity, _ in PEOPLE:
        assert person.encode() not in everything
        assert identity.encode() not in everything
    assert b"County Hospital" not in everything
    removed = (home / "datasets" / "hospital" / "removed.jsonl").read_text(encoding="utf-8")
    lines = [json.loads(line) for line in removed.splitlines()]
    assert [line["sample"] for line in lines] == [sample.sample_id for sample in manifest]
    assert set(lines[0]["removed"]) >= {"PatientName", "PatientID", "InstitutionName"}
    assert (home / "keys" / "deidentification.key").stat().st_mode & 0o077 == 0
    # A second import, and another process, give the same people the same pseudonyms.
    assert read(name, tmp_path).digest == manifest.digest
    assert "unreadable" not in {each.kind for each in check(name, tmp_path).problems}


def no_label(folder: Path) -> None:
    path = folder / "labels.csv"
    path.write_text("\n".join(path.read_text("utf-8").splitlines()[:-1]) + "\n", encoding="utf-8")


def no_image(folder: Path) -> None:
    (folder / "hospital" / "2.dcm").unlink()


def no_dicom(folder: Path) -> None:
    (folder / "hospital" / "1.dcm").write_bytes(b"hello")


def burnt_in(folder: Path) -> None:
    dataset = radiograph_dataset(
        np.zeros((8, 8), np.uint8),
        Modality="US",
        AccessionNumber="A1",
        PatientID="1",
        SOPInstanceUID="1.2",
        StudyInstanceUID="1.3",
    )
    (folder / "hospital" / "1.dcm").write_bytes(encode(dataset))


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (no_label, r"hospital/3\.dcm: labels\.csv has no row for its AccessionNumber"),
        (no_image, r"labels\.csv: 1 rows have no image, first row 4"),
        (no_dicom, r"hospital/1\.dcm is not a DICOM file"),
        (burnt_in, r"hospital/1\.dcm: The pixels may show who the patient is"),
    ],
)
def test_what_does_not_fit_stops_with_its_file(
    tmp_path: Path, spoil: Callable[[Path], None], told: str
) -> None:
    name = written(tmp_path)
    spoil(tmp_path)
    with pytest.raises(DataError, match=told):
        read(name, tmp_path)


def test_short_key_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = written(tmp_path)
    (tmp_path / "key").write_text("short", encoding="ascii")
    monkeypatch.setenv("ZHUZHEN_DEIDENTIFICATION_KEY", str(tmp_path / "key"))
    with pytest.raises(DataError, match="has 5 bytes; expected 32"):
        read(name, tmp_path)


@pytest.mark.parametrize("name", ["RG1_UNCR.dcm", "RG3_UNCR.dcm", "without a window"])
def test_pixels_are_those_that_the_service_sees(name: str, tmp_path: Path) -> None:
    path = PYDICOM_DATA_FILES / name
    if not name.endswith(".dcm"):
        dataset = pydicom.dcmread(PYDICOM_DATA_FILES / "RG1_UNCR.dcm")
        del dataset.WindowCenter, dataset.WindowWidth
        path = tmp_path / "RG1.dcm"
        dataset.save_as(path)
    shown = read_radiograph(path.read_bytes(), full_resolution=True, target_side_px=224).pixels
    grey = read_grey(path, "RG1")
    assert grey.shape == shown.shape
    assert np.abs(grey.astype(int) - shown.astype(int)).max() <= 2


def test_dicomweb_query_is_read_from_a_pacs(tmp_path: Path, orthanc: Any) -> None:
    for data in objects():
        httpx.post(f"{orthanc.url}/instances", content=data, timeout=20).raise_for_status()
    source = f'kind: dicomweb, url: "{orthanc.url}/dicom-web", query: {{Modality: CR}}'
    manifest = read(written(tmp_path, source), tmp_path)
    assert sorted(manifest.fact("kvp")) == [70.0, 71.0, 72.0, 73.0]  # type: ignore[type-var]
    assert len(set(manifest.groups().tolist())) == 3


FHIR = """
name: ward
version: 1.0.0
source:
  kind: fhir_ndjson
  observations:
    sbp: {code: "http://loinc.org|8480-6", unit: "mm[Hg]"}
  conditions:
    diabetes: "http://snomed.info/sct|44054006"
fields: {id: patient, group: patient, age_years: age_years, sex: sex}
labels: [diabetes]
present: {column: diabetes, values: {"no": [], "yes": [diabetes]}}
features:
  - {name: sbp_mmhg, column: sbp, unit: "mm[Hg]", minimum: 40, maximum: 300, optional: true}
sheet: {title: {en: Ward, zh: 病房}, origin: x, licence: x, citation: x, population: x, obtain: x}
"""


def pressure(patient: str, day: str, value: float, unit: str = "mm[Hg]") -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "8480-6"}]},
        "subject": {"reference": f"Patient/{patient}"},
        "effectiveDateTime": f"{day}T08:00:00+08:00",
        "valueQuantity": {"value": value, "unit": "mmHg", "code": unit},
    }


def ward(folder: Path, *more: dict[str, Any]) -> str:
    (folder / "ward").mkdir()
    resources = [
        {"resourceType": "Patient", "id": "wang-wei", "gender": "male", "birthDate": "1950-06-01"},
        {"resourceType": "Patient", "id": "p2", "gender": "female", "birthDate": "1980"},
        pressure("wang-wei", "2024-05-31", 150),
        pressure("wang-wei", "2023-01-01", 120),
        {
            "resourceType": "Condition",
            "code": {"coding": [{"system": "http://snomed.info/sct", "code": "44054006"}]},
            "subject": {"reference": "Patient/wang-wei"},
        },
        *more,
    ]
    lines = "".join(json.dumps(each) + "\n" for each in resources)
    (folder / "ward" / "export.ndjson").write_text(lines, encoding="utf-8")
    (folder / "ward.yaml").write_text(FHIR, encoding="utf-8")
    return str(folder / "ward.yaml")


def test_bulk_export_becomes_a_table(tmp_path: Path) -> None:
    manifest = read(ward(tmp_path), tmp_path)
    first, second = manifest.samples
    assert (first.features, first.present, first.sex, first.age_years) == (
        (150.0,), ("diabetes",), "M", 73.0,
    )  # fmt: skip
    assert (second.features, second.present, second.age_years) == ((None,), (), None)
    assert "wang" not in first.sample_id.lower()


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (pressure("p2", "2024-01-01", 16, "kPa"), r"line 6: sbp has the unit 'kPa'"),
        (pressure("p9", "2024-01-01", 120), r"line 6: its subject is not among the patients"),
        (pressure("p2", "2024-01-01", 900), r"line 2: sbp is outside 40 to 300"),
    ],
)
def test_resource_that_does_not_fit_is_named_by_its_line(
    tmp_path: Path, more: dict[str, Any], told: str
) -> None:
    with pytest.raises(DataError, match=r"ward/export\.ndjson " + told):
        read(ward(tmp_path, more), tmp_path)
