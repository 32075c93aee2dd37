"""Whatever was done with a patient's data through any door stands in the patient's report."""

import json
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from serving.attached import AttachedService
from serving.identity.institutions import InstitutionError, add_institution
from serving.identity.local import LOCAL, passing_key
from serving.identity.records import Tier
from serving.policy import Role
from serving.privacy import open_keyring, pseudonym_of
from serving.records import database_url, open_engine
from tests.instance_samples import file_of, instance

NUMBER = f"MRN-{secrets.token_hex(6)}"
OTHER = "disclosures-county"
REPORT = "GET:/v1/audit/disclosures/:patient"
FHIR = {"Content-Type": "application/fhir+json"}
RELATED = {"Content-Type": 'multipart/related; type="application/dicom"; boundary=b'}


@pytest.fixture(scope="module")
def keys(service: AttachedService) -> Iterator[dict[tuple[Role, str], str]]:
    engine = open_engine(database_url())
    with suppress(InstitutionError):
        add_institution(
            engine, OTHER, name="x", name_zh="x", tier=Tier.SECONDARY, now=datetime.now(UTC)
        )
    engine.dispose()
    with ExitStack() as stack:
        yield {
            (role, at): stack.enter_context(passing_key(role, institution=at))
            for role in Role
            for at in (LOCAL, OTHER)
        }


class Asking:
    """Asks the service, and keeps what was asked for."""

    def __init__(self, client: httpx.Client, keys: dict[tuple[Role, str], str]) -> None:
        self._client = client
        self._keys = keys
        self.done: list[str] = []

    def __call__(
        self, operation: str, path: str, at: str = LOCAL, *, is_allowed: bool = True, **more: Any
    ) -> None:
        """Ask as a specialist of an institution, for what the record calls `operation`."""
        key = self._keys[Role.SPECIALIST, at]
        headers = {"Authorization": f"Bearer {key}", **more.pop("headers", {})}
        method = operation.partition(":")[0]
        answer = self._client.request(method, path, headers=headers, **more)
        assert (answer.status_code < 400) is is_allowed, answer.text
        self.done.append(operation)


@pytest.fixture
def asking(service: AttachedService, keys: dict[tuple[Role, str], str]) -> Iterator[Asking]:
    with httpx.Client(base_url=service.url, timeout=60, trust_env=False) as client:
        yield Asking(client, keys)


@pytest.fixture
def reported(service: AttachedService, keys: dict[tuple[Role, str], str]) -> Any:
    def report() -> list[str]:
        patient = pseudonym_of(open_keyring(), LOCAL, NUMBER)
        answer = httpx.get(
            f"{service.url}/v1/audit/disclosures/{patient}",
            headers={"Authorization": f"Bearer {keys[Role.AUDITOR, LOCAL]}"},
            trust_env=False,
        )
        found = [each["operation"] for each in answer.json()["disclosures"]]
        # Who asked for the report stands in it, too.
        assert found.pop() == REPORT
        return [operation for operation in found if operation != REPORT]

    return report


def test_images(asking: Asking, reported: Any) -> None:
    image = instance(PatientID=NUMBER)
    body = b"--b\r\nContent-Type: application/dicom\r\n\r\n" + file_of(image) + b"\r\n--b--"
    before = len(reported())
    asking("POST:/dicom-web/studies", "/dicom-web/studies", content=body, headers=RELATED)
    study = f"/dicom-web/studies/{image.StudyInstanceUID}"
    series = f"{study}/series/{image.SeriesInstanceUID}"
    one = f"{series}/instances/{image.SOPInstanceUID}"
    named = "GET:/dicom-web/studies"
    asking(named, f"/dicom-web/studies?PatientID={NUMBER}")
    asking(f"{named}/:study/series", f"{study}/series")
    asking(f"{named}/:study/instances", f"{study}/instances")
    asking(f"{named}/:study/series/:series/instances", f"{series}/instances")
    for what in ("", "/metadata", "/rendered", "/thumbnail"):
        asking(f"{named}/:study{what}", study + what)
    of_one = f"{named}/:study/series/:series/instances/:instance"
    asking(f"{of_one}/frames/:frames", f"{one}/frames/1")
    asking(f"{of_one}/bulkdata/:tag", f"{one}/bulkdata/7FE00010")
    asking("POST:/v1/recognize", "/v1/recognize", content=file_of(image))
    files = {"a": ("a.dcm", file_of(image)), "b": ("b.dcm", file_of(instance(PatientID="x")))}
    asking("POST:/v1/recognize", "/v1/recognize", files=files)

    assert sorted(reported()[before:]) == sorted(asking.done)


def test_work_items(asking: Asking, reported: Any) -> None:
    item = {
        "00741000": {"vr": "CS", "Value": ["SCHEDULED"]},
        "00100020": {"vr": "LO", "Value": [NUMBER]},
    }
    claim = {
        "00741000": {"vr": "CS", "Value": ["IN PROGRESS"]},
        "00081195": {"vr": "UI", "Value": ["1.2.9"]},
    }
    items, uid = "/dicom-web/workitems", f"1.2.{secrets.randbits(60)}"
    before = len(reported())
    asking(f"POST:{items}", f"{items}?{uid}", json=[item])
    asking(f"GET:{items}", f"{items}?PatientID={NUMBER}")
    asking(f"GET:{items}/:workitem", f"{items}/{uid}")
    watcher = f"{items}/:workitem/subscribers/:subscriber"
    asking(f"POST:{watcher}", f"{items}/{uid}/subscribers/DESK")
    asking(f"PUT:{items}/:workitem/state", f"{items}/{uid}/state", json=[claim])
    told = {"00741204": {"vr": "LO", "Value": ["x"]}}
    asking(f"POST:{items}/:workitem", f"{items}/{uid}?1.2.9", json=[told])
    asking(f"POST:{items}/:workitem/cancelrequest", f"{items}/{uid}/cancelrequest")
    asking(f"DELETE:{watcher}", f"{items}/{uid}/subscribers/DESK")

    assert sorted(reported()[before:]) == sorted(asking.done)


@pytest.mark.parametrize(
    "named",
    [
        {"id": NUMBER},
        {"id": "x", "identifier": [{"value": NUMBER}]},
        {
            "id": "x",
            "identifier": [
                {"system": "urn:oid:2.16.156.10011.1.3", "value": "insurance"},
                {"type": {"coding": [{"code": "MR"}]}, "value": NUMBER},
            ],
        },
    ],
)
def test_risks(asking: Asking, reported: Any, named: dict[str, Any]) -> None:
    patient = {"resourceType": "Patient", "gender": "male", "birthDate": "1960-01-01", **named}
    bundle = {"resourceType": "Bundle", "entry": [{"resource": patient}]}
    parameters = {
        "resourceType": "Parameters",
        "parameter": [{"name": "resource", "resource": patient}],
    }
    call = {
        "hook": "patient-view",
        "hookInstance": "1",
        "context": {"patientId": named["id"]},
        "prefetch": {"patient": patient},
    }
    before = len(reported())
    for body in (bundle, parameters):
        content = json.dumps(body)
        asking("POST:/fhir/assess-risk", "/fhir/$assess-risk", content=content, headers=FHIR)
    asking("POST:/cds-services/:service", "/cds-services/cardiometabolic-risk", json=call)

    assert sorted(reported()[before:]) == sorted(asking.done)


def test_what_others_saw_and_were_refused(asking: Asking, reported: Any) -> None:
    image = instance(PatientID=NUMBER)
    body = b"--b\r\nContent-Type: application/dicom\r\n\r\n" + file_of(image) + b"\r\n--b--"
    before = len(reported())
    asking("POST:/dicom-web/studies", "/dicom-web/studies", content=body, headers=RELATED)
    read = "GET:/dicom-web/studies/:study/metadata"
    path = f"/dicom-web/studies/{image.StudyInstanceUID}/metadata"
    asking(read, path, OTHER, is_allowed=False)
    patient = {"issuer": LOCAL, "identifier": NUMBER}
    reason = {"patient": patient, "reason": "unconscious, no relatives"}
    asking("POST:/v1/emergency-access", "/v1/emergency-access", OTHER, json=reason)
    sharing = {"patient": patient, "purpose": "sharing", "recipient": OTHER, "evidence": "A-1"}
    asking("POST:/v1/consents", "/v1/consents", json=sharing)
    asking(read, path, OTHER)

    assert sorted(reported()[before:]) == sorted(asking.done)
