"""A record system in a browser, as the public sandbox of CDS Hooks is one, against the service.

Requests have the shapes of its `src/retrieve-data-helpers/discovery-services-retrieval.js` and
`service-exchange.js` (https://github.com/cds-hooks/sandbox, commits 0a04200 and 01e5d30): a token
for each request, made for its URL; `hookInstance`, `hook`, `fhirServer`, `fhirAuthorization`,
`context` and `prefetch`, in which what could not be fetched is left out.
"""

import re
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from serving.attached import AttachedService, attached_service
from tests.record_system import ISSUER, RecordSystem, running_record_system
from tests.risk_samples import PATIENT, RESOURCES, bundle

ORIGIN = {"origin": ISSUER}


class Sandbox:
    """What the sandbox does, request by request."""

    def __init__(self, service: AttachedService, system: RecordSystem) -> None:
        self.url = service.url
        self.own_headers = service.headers
        self._system = system
        self.http = httpx.Client(timeout=60, trust_env=False, headers=ORIGIN)

    def headers(self, url: str) -> dict[str, str]:
        return {
            "Accept": "application/json",
            "Authorization": f"Bearer {self._system.token(url, 'ES256')}",
        }

    def preflight(self, url: str, method: str) -> httpx.Response:
        asked = {
            "access-control-request-method": method,
            "access-control-request-headers": "authorization,content-type",
        }
        return self.http.options(url, headers=asked)

    def discover(self) -> dict[str, Any]:
        url = f"{self.url}/cds-services"
        found = self.http.get(url, headers=self.headers(url)).raise_for_status().json()
        return {service["id"]: service for service in found["services"]}

    def call(self, service: dict[str, Any], records: dict[str, Any]) -> httpx.Response:
        url = f"{self.url}/cds-services/{service['id']}"
        prefetch = {
            key: found
            for key, template in service["prefetch"].items()
            if (found := records.get(re.split(r"[?/]", template)[0])) is not None
        }
        request = {
            "hookInstance": str(uuid.uuid4()),
            "hook": service["hook"],
            "fhirServer": "https://launch.smarthealthit.org/v/r4/fhir",
            "context": {"patientId": PATIENT["id"], "userId": "Practitioner/COREPRACTITIONER1"},
            "fhirAuthorization": {
                "access_token": "opaque",
                "token_type": "Bearer",
                "expires_in": 300,
                "scope": "patient/Patient.read patient/Observation.read",
                "subject": "48163c5e-88b5-4cb3-92d3-23b800caa927",
            },
            **({"prefetch": prefetch} if prefetch else {}),
        }
        return self.http.post(url, json=request, headers=self.headers(url))


RECORDS = {
    "Patient": PATIENT,
    "Observation": bundle(
        [r for r in RESOURCES if r["resourceType"] == "Observation"], "searchset"
    ),
    "Condition": bundle([], "searchset"),
    "MedicationStatement": bundle([], "searchset"),
}


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    listed = tmp_path_factory.mktemp("cds") / "clients.yaml"
    with running_record_system() as system:
        listed.write_text(
            f"clients:\n  - {{name: sandbox, issuer: {ISSUER}, institution: local, "
            f"jku: {system.jku}}}\n",
            encoding="utf-8",
        )
        settings = {"ZHUZHEN_CDS_CLIENTS": str(listed), "ZHUZHEN_CORS_ORIGINS": ISSUER}
        with attached_service(settings=settings) as service:
            found = Sandbox(service, system)
            yield found
            found.http.close()


def test_it_discovers_calls_and_tells_what_became_of_a_card(sandbox: Sandbox) -> None:
    url = f"{sandbox.url}/cds-services/cardiometabolic-risk"
    for asked in (
        sandbox.preflight(f"{sandbox.url}/cds-services", "GET"),
        sandbox.preflight(url, "POST"),
    ):
        assert asked.status_code == 204
        assert asked.headers["access-control-allow-origin"] == ISSUER

    response = sandbox.call(sandbox.discover()["cardiometabolic-risk"], RECORDS)

    assert response.status_code == 200
    assert response.headers["access-control-allow-origin"] == ISSUER
    cards = response.json()["cards"]
    assert {card["indicator"] for card in cards} <= {"info", "warning", "critical"}
    assert all({"summary", "indicator", "source", "uuid"} <= card.keys() for card in cards)
    told = {
        "feedback": [
            {
                "card": cards[0]["uuid"],
                "outcome": "overridden",
                "overrideReason": {"reason": cards[0]["overrideReasons"][0]},
                "outcomeTimestamp": "2026-11-25T08:00:00.000Z",
            }
        ]
    }
    feedback = f"{url}/feedback"
    kept = sandbox.http.post(feedback, json=told, headers=sandbox.headers(feedback))
    assert kept.status_code == 200


def test_a_token_is_good_for_one_request(sandbox: Sandbox) -> None:
    url = f"{sandbox.url}/cds-services"
    headers = sandbox.headers(url)

    first = sandbox.http.get(url, headers=headers)
    again = sandbox.http.get(url, headers=headers)

    assert first.status_code == 200
    assert again.status_code == 401
    assert "used before" in again.json()["detail"]
    assert 'error="invalid_token"' in again.headers["www-authenticate"]
    assert again.headers["access-control-allow-origin"] == ISSUER


def test_a_token_for_another_address_names_the_right_one(sandbox: Sandbox) -> None:
    url = f"{sandbox.url}/cds-services"

    refused = sandbox.http.get(url, headers=sandbox.headers("https://cds.example/cds-services"))

    assert refused.status_code == 401
    assert refused.json()["detail"].startswith(
        f"The JWT's aud is not the URL that was called; expected {url}"
    )


def test_what_could_not_be_fetched_is_a_precondition(sandbox: Sandbox) -> None:
    service = sandbox.discover()["cardiometabolic-risk"]

    nothing = sandbox.call(service, {})
    no_patient = sandbox.call(service, {**RECORDS, "Patient": None})

    assert nothing.status_code == no_patient.status_code == 412
    assert "prefetch" in nothing.json()["detail"]


def test_a_part_that_could_not_be_fetched_is_unknown_and_not_absent(sandbox: Sandbox) -> None:
    service = sandbox.discover()["cardiometabolic-risk"]
    failed = {"resourceType": "OperationOutcome", "issue": []}

    complete = sandbox.call(service, RECORDS).json()["cards"]
    unknown = sandbox.call(service, {**RECORDS, "Condition": failed}).json()["cards"]

    def scores(cards: list[dict[str, Any]]) -> set[str]:
        return {card["source"]["label"].rpartition(" (")[0] for card in cards}

    # Whether there is diabetes is not known then, and nothing is imputed.
    assert len(scores(unknown)) < len(scores(complete))


def test_keys_of_this_service_go_on_to_be_taken(sandbox: Sandbox) -> None:
    url = f"{sandbox.url}/cds-services"

    assert sandbox.http.get(url, headers=sandbox.own_headers).status_code == 200
    assert sandbox.http.get(url).status_code == 401
