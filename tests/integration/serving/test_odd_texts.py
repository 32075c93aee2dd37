"""Texts that no keyboard writes, wherever a text may stand, on both databases."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from serving.attached import attached_service
from serving.doors.parts import ROUTES
from serving.identity.local import LOCAL, passing_key
from serving.policy import Role
from tests.identifiers import CHINESE, NUMBER, leaks
from tests.installation import installation
from tests.instance_samples import file_of, instance

ODD = {
    "U+0000": "\\u0000",
    "half a pair": "\\ud800",
    "the other half": "\\udfff",
    "halves apart": "\\ud83d \\ude00",
}
"""As they stand in JSON."""
PSEUDONYM = "p-" + "a" * 26


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def http(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx.Client]:
    """A service of its own, and a key that may do everything."""
    folder = tmp_path_factory.mktemp("odd")
    with installation(request.param, folder, request) as home, ExitStack() as stack:
        home.mkdir()
        log = stack.enter_context((home / "log").open("wb"))
        service = stack.enter_context(attached_service(log=log.fileno()))
        key = stack.enter_context(passing_key(*Role))
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        yield stack.enter_context(
            httpx.Client(base_url=service.url, headers=headers, timeout=60, trust_env=False)
        )


def sample(schema: Mapping[str, Any], word: str) -> Any:
    """Something that a JSON schema takes, with `word` for every text that it leaves open."""
    if "enum" in schema:
        return schema["enum"][-1]
    if "oneOf" in schema:
        return sample(schema["oneOf"][-1], word)
    match schema.get("type"):
        case "object":
            parts: Mapping[str, Any] = schema.get("properties", {})
            more = {word: word} if schema.get("additionalProperties", True) else {}
            return {name: sample(part, word) for name, part in parts.items()} | more
        case "array":
            return [sample(schema["items"], word)]
        case "integer":
            return schema.get("minimum", 1)
        case "boolean":
            return True
    return word


BODIES = {
    (route.method, route.path): content["schema"]
    for route in ROUTES
    for kind, content in route.operation.get("requestBody", {}).get("content", {}).items()
    if "json" in kind
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_they_are_refused_in_a_body(http: httpx.Client, odd: str) -> None:
    item = {"00100010": {"vr": "PN", "Value": [{"Alphabetic": "?"}]}}
    call = {"hook": "patient-view", "hookInstance": "?", "context": {"patientId": "?"}}
    bodies = [(where, sample(schema, "?")) for where, schema in BODIES.items()]
    bodies += [
        (("POST", "/dicom-web/workitems"), item),
        (("POST", "/cds-services/{service}"), call),
    ]
    statuses = {}
    for (method, path), body in bodies:
        place = path.replace("{service}", "cardiometabolic-risk").replace("{", "").replace("}", "")
        content = json.dumps(body).replace("?", odd)
        assert odd in content
        statuses[method, path] = http.request(method, place, content=content).status_code
    # A key has no password of its own.
    assert set(statuses.values()) <= {400, 403}, statuses
    assert len(statuses) > 15


def test_they_name_nothing_in_a_path_or_a_query(http: httpx.Client) -> None:
    statuses = {
        route.name: http.request(
            route.method, re.sub(r"\{[^}]*\}", "%00", route.path), content=b"{}"
        ).status_code
        for route in ROUTES
        if "{" in route.path
    }
    for key in ("StudyInstanceUID", "PatientID", "StudyDate", "ModalitiesInStudy"):
        found = http.get("/dicom-web/studies", params={key: "\0"})
        statuses[key] = found.status_code
    assert set(statuses.values()) <= {400, 404}, statuses


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\n\n"])
def test_a_line_that_ends_is_no_name(http: httpx.Client, ending: str) -> None:
    patient = {"patient": PSEUDONYM + ending}
    named = {"id": f"abc{ending}", "name": "x", "name_zh": "x", "tier": "primary"}
    for path, body in (
        ("/v1/consents/search", patient),
        ("/v1/referrals", patient | {"to": "x"}),
        ("/v1/emergency-access", patient | {"reason": "unconscious"}),
        ("/v1/legal-holds", patient | {"reason": "court"}),
        ("/v1/institutions", named),
        ("/v1/fetches", {"source": "x", "studies": [f"1.2{ending}"]}),
    ):
        assert http.post(path, json=body).status_code == 400, path


def test_what_is_no_institution_is_not_repeated(http: httpx.Client) -> None:
    written = f"{CHINESE} {NUMBER}"
    account = {"name": "abcd", "full_name": "x", "roles": ["auditor"], "institution": written}
    refers = {"refers_to": [NUMBER.lower()]}
    for method, path, body in (
        ("POST", "/v1/users", account),
        ("POST", "/v1/keys", {"label": "x", "institution": written}),
        ("PUT", f"/v1/institutions/{LOCAL}/referrals", refers),
    ):
        answer = http.request(method, path, json=body)
        assert answer.status_code == 422
        assert not leaks(answer.content, path)


def test_an_image_is_kept_whatever_fills_its_texts(http: httpx.Client) -> None:
    date = "20260102"
    image = instance(StudyDate=date, Modality=date, PatientID=date, AccessionNumber=date)
    file = file_of(image).replace(date.encode(), b"2026\x00102")
    kind = {"Content-Type": "application/dicom"}

    assert http.post("/dicom-web/studies", content=file, headers=kind).status_code == 200
    assert http.get(f"/dicom-web/studies/{image.StudyInstanceUID}/series").status_code == 200


def test_what_keyboards_write_is_kept(http: httpx.Client) -> None:
    for number, name in enumerate(("𠮷田 😀", "a\\u0000b", 'ß"', "é\u0301")):
        body = {"id": f"i{number}", "name": name, "name_zh": name, "tier": "primary"}
        for content in (json.dumps(body), json.dumps(body, ensure_ascii=False)):
            answer = http.post("/v1/institutions", content=content.encode())
            assert answer.status_code in (201, 422)
    found = http.get("/v1/institutions").json()["institutions"]
    assert {one["name"] for one in found} >= {"𠮷田 😀", "a\\u0000b", 'ß"', "é\u0301"}
    for coding in ("utf-16", "gb18030"):
        encoded = '{"name": "李", "password": "x"}'.encode(coding)
        assert http.post("/v1/login", content=encoded).status_code == 400
