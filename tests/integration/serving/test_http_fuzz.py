"""Broken bodies sent to a real service: every one is answered, and nothing of them is told on."""

import random
from pathlib import Path

import httpx
import jsonschema
import pytest

from serving.doors.recognizing import ANSWER_SCHEMA
from tests.dicom_samples import PYDICOM_DATA_FILES, PYDICOM_FILES, radiograph_file, ramp

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"
ORIGINALS = {
    "examples": EXAMPLES / "child-pneumonia-1.dcm",
    "jpeg 2000": PYDICOM_DATA_FILES / "RG3_J2KR.dcm",
    "uncompressed": PYDICOM_FILES / "CT_small.dcm",
    "run length": PYDICOM_FILES / "MR_small_RLE.dcm",
    "jpeg": PYDICOM_FILES / "SC_rgb_jpeg_gdcm.dcm",
}
MUTANTS = 60
HEADER_BYTES = 2000
ROUTE = "/v1/recognize"
DICOM = {"content-type": "application/dicom"}


def mutant(rng: random.Random, original: bytes) -> bytes:
    data = bytearray(original)
    for _ in range(rng.choice((1, 2, 8, 40))):
        position = rng.randrange(min(len(data), HEADER_BYTES) if rng.random() < 0.6 else len(data))
        match rng.randrange(4):
            case 0:
                data[position] ^= 1 << rng.randrange(8)
            case 1:
                data[position : position + 4] = rng.randbytes(4)
            case 2:
                del data[position : position + rng.randrange(1, 200)]
            case _:
                data[position : position + 4] = b"\xff\xff\xff\xff"
    return bytes(data[: rng.randrange(len(data))] if rng.random() < 0.2 else data)


@pytest.mark.parametrize("name", ORIGINALS)
def test_mutated_bodies_are_answered(client: httpx.Client, name: str) -> None:
    original = ORIGINALS[name].read_bytes()

    for number in range(MUTANTS):
        body = mutant(random.Random(f"{name}/{number}"), original)
        response = client.post(ROUTE, content=body or b"\0", headers=DICOM)

        assert response.status_code == 200, f"mutant {number}: {response.text}"
        jsonschema.validate(response.json(), ANSWER_SCHEMA)

    assert client.get("/readyz").status_code == 200


def test_mutated_forms_are_answered_or_refused(client: httpx.Client) -> None:
    files = [("a", ("a.dcm", radiograph_file(ramp()))), ("b", ("b.png", b"\x89PNG\r\n\x1a\n"))]
    form = httpx.Request("POST", "http://localhost", files=files)
    original, headers = form.read(), {"content-type": form.headers["content-type"]}

    statuses = set()
    for number in range(MUTANTS):
        body = mutant(random.Random(number), original)
        statuses.add(client.post(ROUTE, content=body, headers=headers).status_code)

    assert statuses <= {200, 400}
    assert client.post(ROUTE, content=original, headers=headers).status_code == 200


def test_neither_log_nor_answer_nor_metrics_tell_who_the_patient_is(
    client: httpx.Client, service_log: Path
) -> None:
    whole = radiograph_file(
        ramp(),
        PatientName="Wang^Xiaoming",
        PatientID="ID4711",
        # Values that do not fit their type, which libraries like to quote in warnings.
        PatientBirthDate="Xiaoming",
        PatientAge="ID4711",
        StudyInstanceUID="Xiaoming",
    )
    bodies = [whole, whole[:-3000], whole.replace(b"Modality", b"M"), whole + b"\0" * 10]

    told = [client.post(f"{ROUTE}?overlay=true", content=body).text for body in bodies]
    told += [
        client.post(ROUTE, content=whole, headers={"content-type": "text/Xiaoming"}).text,
        client.get("/patients/Xiaoming/ID4711").text,
        client.get("/metrics").text,
        service_log.read_text("utf-8"),
    ]

    assert "/v1/recognize 200" in told[-1]
    for text in told:
        assert "Xiaoming" not in text
        assert "ID4711" not in text
