"""The audit record over HTTP: for auditors, and for nobody else."""

import json
from collections.abc import Iterator

import httpx
import pytest

from serving.attached import AttachedService
from serving.identity.local import passing_key
from serving.policy import Role

PATIENT = "p-" + "a" * 26
PATHS = ("/v1/audit/events", "/v1/audit/verification", f"/v1/audit/disclosures/{PATIENT}")


@pytest.fixture
def auditor(service: AttachedService) -> Iterator[httpx.Client]:
    with (
        passing_key(Role.AUDITOR) as key,
        httpx.Client(base_url=service.url, timeout=60, trust_env=False) as found,
    ):
        found.headers["Authorization"] = f"Bearer {key}"
        yield found


def test_an_auditor_reads_and_verifies_and_that_is_recorded(auditor: httpx.Client) -> None:
    assert auditor.get(PATHS[1]).json()["intact"]
    lines = auditor.get(PATHS[0]).text.splitlines()
    events = [json.loads(line) for line in lines]
    assert any(event["operation"].endswith("/v1/audit/verification") for event in events)
    resources = auditor.get(PATHS[0], params={"format": "fhir"}).text.splitlines()
    assert {json.loads(line)["resourceType"] for line in resources} == {"AuditEvent"}
    assert auditor.get(PATHS[2]).json()["patient"] == PATIENT
    assert auditor.get(PATHS[0], params={"until": "2020-01-01"}).text.strip() == ""


@pytest.mark.parametrize("path", PATHS)
def test_others_are_refused(client: httpx.Client, path: str) -> None:
    assert client.get(path).status_code == 403
    assert client.get(path, headers={"Authorization": ""}).status_code == 401


@pytest.mark.parametrize(
    "options", [{"patient": "MRN-4711"}, {"since": "yesterday"}, {"format": "csv"}, {"who": "me"}]
)
def test_options_that_cannot_be_are_told_and_not_repeated(
    auditor: httpx.Client, options: dict[str, str]
) -> None:
    answer = auditor.get(PATHS[0], params=options)
    assert answer.status_code == 400
    assert not set(options.values()) & set(answer.json()["detail"].split())
