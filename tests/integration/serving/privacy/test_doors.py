"""Consents, legal holds and persons' requests through the running service's doors."""

import io
import json
import secrets
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from typing import Any

import httpx
import pydicom
import pytest
from pydicom.dataset import Dataset

from models.store import home
from serving.attached import AttachedService
from serving.audit.opening import audit_engine
from serving.audit.queries import Criteria, find_events
from serving.identity.institutions import InstitutionError, add_institution
from serving.identity.local import LOCAL, passing_key
from serving.identity.records import Tier
from serving.policy import Role
from serving.privacy import open_keyring, pseudonym_of
from serving.records import database_url, open_engine
from tests.instance_samples import file_of, instance

OTHER = "privacy-county"
NOTHING = dict.fromkeys(("images", "worklist", "records", "observations", "quarantine"), 0)
"""What an erasure says that has removed nothing."""
FORM = "paper form 2026-0113, records room 2"
Speaker = Callable[..., httpx.Response]


@pytest.fixture(scope="module")
def other(service: AttachedService) -> str:
    """Another institution of the installation."""
    engine = open_engine(database_url())
    with suppress(InstitutionError):
        add_institution(
            engine, OTHER, name="x", name_zh="x", tier=Tier.SECONDARY, now=datetime.now(UTC)
        )
    engine.dispose()
    return OTHER


@pytest.fixture(scope="module")
def ask(service: AttachedService, other: str) -> Iterator[Speaker]:
    """Ask the service as a role of an institution."""
    with (
        ExitStack() as stack,
        httpx.Client(base_url=service.url, timeout=60, trust_env=False) as client,
    ):
        keys: dict[tuple[Role, str], str] = {}

        def asking(
            role: Role, method: str, path: str, at: str = LOCAL, **more: Any
        ) -> httpx.Response:
            if (role, at) not in keys:
                keys[role, at] = stack.enter_context(passing_key(role, institution=at))
            headers = {"Authorization": f"Bearer {keys[role, at]}", **more.pop("headers", {})}
            return client.request(method, path, headers=headers, **more)

        yield asking


@pytest.fixture
def number() -> str:
    """A patient's number that nobody else has."""
    return f"MRN-{secrets.token_hex(6)}"


def patient(number: str) -> dict[str, str]:
    return {"issuer": LOCAL, "identifier": number}


def pseudonym(number: str) -> str:
    return pseudonym_of(open_keyring(), LOCAL, number)


def store(ask: Speaker, number: str, **elements: str) -> Dataset:
    """Have the service receive an image of a patient."""
    image = instance(PatientID=number, **elements)
    body = b"--b\r\nContent-Type: application/dicom\r\n\r\n" + file_of(image) + b"\r\n--b--"
    kind = 'multipart/related; type="application/dicom"; boundary=b'
    done = ask(
        Role.SYSTEM, "POST", "/dicom-web/studies", content=body, headers={"Content-Type": kind}
    )
    assert done.status_code == 200
    return image


def record(ask: Speaker, number: str, **consent: Any) -> httpx.Response:
    body = {"patient": patient(number), "purpose": "research", "evidence": FORM} | consent
    return ask(Role.PRIMARY_CLINICIAN, "POST", "/v1/consents", json=body)


def events_of(number: str) -> list[tuple[str, str, str | None]]:
    """What the audit record has of a patient."""
    with audit_engine() as engine, engine.connect() as connection:
        found = find_events(connection, Criteria(pseudonym(number)))
        return [(each.operation, each.outcome.value, each.reason) for each in found]


def test_a_withdrawal_takes_effect_at_the_next_request(
    ask: Speaker, number: str, other: str
) -> None:
    path = f"/dicom-web/studies/{store(ask, number).StudyInstanceUID}/metadata"

    def read() -> int:
        return ask(Role.SPECIALIST, "GET", path, other).status_code

    assert read() == 403
    made = record(ask, number, purpose="sharing", recipient=other)
    assert made.status_code == 201
    assert read() == 200
    for_research = record(ask, number).json()

    ended = ask(Role.SPECIALIST, "POST", f"/v1/consents/{made.json()['id']}/withdraw")

    assert [one["status"] for one in ended.json()["withdrawn"]] == ["withdrawn"]
    assert read() == 403
    body = {"patient": patient(number)}
    found = ask(Role.SYSTEM, "POST", "/v1/consents/search", json=body).json()["consents"]
    assert [(one["purpose"], one["status"]) for one in found] == [
        ("sharing", "withdrawn"),
        ("research", "active"),
    ]
    assert found[1] == for_research
    assert for_research["evidence"] == FORM
    assert for_research["recorded_by"].startswith("key:")
    assert datetime.fromisoformat(for_research["recorded_at"]).tzinfo
    told = [event for event in events_of(number) if "consents" in event[0]]
    assert told == [
        ("POST:/v1/consents", "allowed", None),
        ("POST:/v1/consents", "allowed", None),
        ("POST:/v1/consents/:consent/withdraw", "allowed", None),
        ("POST:/v1/consents/search", "allowed", None),
    ]


def test_other_institutions_consents_are_not_theirs(ask: Speaker, number: str, other: str) -> None:
    made = record(ask, number).json()
    clinician = (Role.PRIMARY_CLINICIAN, "POST")

    by_others = ask(*clinician, f"/v1/consents/{made['id']}/withdraw", other)
    seen = ask(*clinician, "/v1/consents/search", other, json={"patient": patient(number)})

    assert by_others.status_code == 422
    assert seen.json() == {"consents": []}
    for role in (Role.ADMINISTRATOR, Role.AUDITOR, Role.ML_ENGINEER):
        body = {"patient": patient(number)}
        assert ask(role, "POST", "/v1/consents/search", json=body).status_code == 403


@pytest.mark.parametrize(
    ("consent", "status"),
    [
        ({"purpose": "marketing"}, 400),
        ({"evidence": ""}, 400),
        ({"evidence": "x" * 501}, 400),
        ({"patient": "Zhang San"}, 400),
        ({"purpose": "sharing"}, 422),
        ({"purpose": "sharing", "recipient": "nowhere"}, 422),
        ({"expires_at": "tomorrow"}, 422),
        ({"expires_at": "2020-01-01T00:00:00Z"}, 422),
    ],
)
def test_what_is_no_consent_is_told(
    ask: Speaker, number: str, consent: dict[str, str], status: int
) -> None:
    answer = record(ask, number, **consent)

    assert answer.status_code == status
    assert number not in answer.text


def test_a_person_gets_a_copy_of_everything(ask: Speaker, number: str, other: str) -> None:
    uid = store(ask, number).SOPInstanceUID
    store(ask, f"{number}-of-another")
    record(ask, number)
    item = {
        "00741000": {"vr": "CS", "Value": ["SCHEDULED"]},
        "00100020": {"vr": "LO", "Value": [number]},
    }
    made = ask(Role.SPECIALIST, "POST", "/dicom-web/workitems", content=json.dumps([item]))
    assert made.status_code == 201

    body = {"identifier": number}
    answer = ask(Role.ADMINISTRATOR, "POST", "/v1/persons/export", json=body)

    assert answer.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        assert names[0] == f"images/{uid}.dcm"
        with archive.open(names[0]) as image:
            assert pydicom.dcmread(image).PatientID == number
        (consent,) = json.loads(archive.read("records/consents.json"))
    assert [name.partition("/")[0] for name in names] == ["images", "worklist", "records"]
    assert consent["evidence_sealed"] == FORM
    assert ("POST:/v1/persons/export", "allowed", None) in events_of(number)
    # The administrator of another institution gets nothing of it, whoever is said to be the issuer.
    for whose in (body, body | {"issuer": LOCAL}):
        empty = ask(Role.ADMINISTRATOR, "POST", "/v1/persons/export", other, json=whose)
        with zipfile.ZipFile(io.BytesIO(empty.content)) as archive:
            assert archive.namelist() == []
        erased = ask(Role.ADMINISTRATOR, "POST", "/v1/persons/erasure", other, json=whose)
        assert set(erased.json()["removed"].values()) == {0}


def test_an_erasure_waits_for_the_hold_to_be_lifted(ask: Speaker, number: str) -> None:
    path = f"/dicom-web/studies/{store(ask, number).StudyInstanceUID}/metadata"
    body = {"patient": patient(number), "reason": "court-2026-17"}
    held = ask(Role.AUDITOR, "POST", "/v1/legal-holds", json=body)
    assert held.status_code == 201
    assert held.json()["id"] in ask(Role.AUDITOR, "GET", "/v1/legal-holds").text

    def erase() -> httpx.Response:
        whose = {"identifier": number}
        return ask(Role.ADMINISTRATOR, "POST", "/v1/persons/erasure", json=whose)

    refused = erase()
    assert refused.status_code == 403
    assert "legal hold" in refused.json()["detail"]
    assert "法律保全" in refused.json()["detail"]
    assert ask(Role.SYSTEM, "GET", path).status_code == 200
    lift = f"/v1/legal-holds/{held.json()['id']}/lift"
    assert ask(Role.ADMINISTRATOR, "POST", lift).status_code == 403
    assert ask(Role.AUDITOR, "POST", lift).json()["lifted_at"]
    assert ask(Role.AUDITOR, "POST", lift).status_code == 422

    assert erase().json()["removed"] == NOTHING | {"images": 1}

    assert ask(Role.SYSTEM, "GET", path).status_code == 404
    told = [event for event in events_of(number) if event[0] == "POST:/v1/persons/erasure"]
    assert told == [
        ("POST:/v1/persons/erasure", "denied", "legal_hold"),
        ("POST:/v1/persons/erasure", "allowed", None),
        ("POST:/v1/persons/erasure", "allowed", "removed-1"),
    ]


def test_an_erased_study_is_in_no_file(ask: Speaker, number: str) -> None:
    def erased() -> int:
        whose = {"identifier": number}
        answer = ask(Role.ADMINISTRATOR, "POST", "/v1/persons/erasure", json=whose)
        return int(answer.json()["removed"]["images"])

    def holders(uid: str) -> set[str]:
        files = [path for path in home().rglob("*") if path.is_file()]
        return {path.name for path in files if uid.encode() in path.read_bytes()}

    # What was only just acknowledged is the person's, too.
    path = f"/dicom-web/studies/{store(ask, number).StudyInstanceUID}/metadata"
    assert erased() == 1
    assert ask(Role.SYSTEM, "GET", path).status_code == 404

    uid = store(ask, number).StudyInstanceUID
    assert ask(Role.SYSTEM, "GET", f"/dicom-web/studies/{uid}/metadata").status_code == 200
    assert holders(uid)
    assert erased() == 1
    assert holders(uid) == set()


def test_no_other_issuer_leads_around_a_hold(ask: Speaker, number: str) -> None:
    """Who is said to have given a number is part of whose it is, for the hold and the images."""
    held = store(ask, number)
    theirs = store(ask, number, IssuerOfPatientID="lab")
    body = {"patient": patient(number), "reason": "court-2026-18"}
    assert ask(Role.AUDITOR, "POST", "/v1/legal-holds", json=body).status_code == 201
    item = {
        "00741000": {"vr": "CS", "Value": ["SCHEDULED"]},
        "00100020": {"vr": "LO", "Value": [number]},
    }
    ask(Role.SPECIALIST, "POST", "/dicom-web/workitems", json=[item]).raise_for_status()

    def person(what: str, **issuer: str) -> httpx.Response:
        whose = {"identifier": number, **issuer}
        return ask(Role.ADMINISTRATOR, "POST", f"/v1/persons/{what}", json=whose)

    def names(**issuer: str) -> list[str]:
        with zipfile.ZipFile(io.BytesIO(person("export", **issuer).content)) as archive:
            return [name for name in archive.namelist() if name.startswith("images/")]

    assert names(issuer="nobody") == []
    assert names() == [f"images/{held.SOPInstanceUID}.dcm"]
    assert names(issuer="lab") == [f"images/{theirs.SOPInstanceUID}.dcm"]
    assert person("erasure").status_code == 403

    assert person("erasure", issuer="nobody").json()["removed"] == NOTHING
    assert person("erasure", issuer="lab").json()["removed"] == NOTHING | {"images": 1}
    assert names() == [f"images/{held.SOPInstanceUID}.dcm"]


@pytest.mark.parametrize("reason", ["", "of Zhang San", "x" * 65, "张三", "a\nb"])
def test_a_hold_is_told_by_a_word(ask: Speaker, number: str, reason: str) -> None:
    body = {"patient": patient(number), "reason": reason}

    answer = ask(Role.AUDITOR, "POST", "/v1/legal-holds", json=body)

    assert answer.status_code == 400
    assert not reason or reason not in answer.text
