"""Fetches ordered, watched and cancelled over HTTP."""

import json
import time
from datetime import UTC, datetime

import httpx
import pytest
from pydicom.uid import generate_uid
from typer.testing import CliRunner

from serving.attached import AttachedService
from serving.cli.app import app
from serving.identity.institutions import add_institution
from serving.identity.local import passing_key
from serving.identity.records import Tier
from serving.policy import Role
from serving.records import database_url, open_engine
from tests.fetching_node import (
    pre_reads,
    radiographs,
    study_of,
    upload,
    zhuzhen,
)
from tests.orthanc import Orthanc, free_port, needs_orthanc


def settled(client: httpx.Client, fetch: str, seconds: float = 60) -> dict[str, object]:
    """A fetch, once it has ended."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        line: dict[str, object] = client.get(f"/v1/fetches/{fetch}").raise_for_status().json()
        if line["state"] != "queued":
            return line
        time.sleep(0.3)
    pytest.fail("the fetch did not end in time")


def client_of(node: AttachedService, key: str | None = None) -> httpx.Client:
    headers = {"Authorization": f"Bearer {key}"} if key else node.headers
    return httpx.Client(base_url=node.url, headers=headers, timeout=60, trust_env=False)


@needs_orthanc
def test_over_http_an_urgent_fetch_is_read_before_others(
    node: AttachedService, orthanc: Orthanc
) -> None:
    number = f"H-{free_port()}"
    files = radiographs(1, PatientID=number)
    later = radiographs(1, PatientID=f"{number}-2")
    for each in (files, later):
        upload(orthanc, each)
    with client_of(node) as client:
        wanted = {"source": "by-get", "patient_id": number, "priority": "urgent"}
        answer = client.post("/v1/fetches", json=wanted)
        assert answer.status_code == 202, answer.text
        (line,) = answer.json()["fetches"]
        assert (line["state"], line["priority"]) == ("queued", "urgent")
        routine = {"source": "by-get", "studies": [study_of(later[0])]}
        (other,) = client.post("/v1/fetches", json=routine).json()["fetches"]
        line, other = settled(client, line["id"]), settled(client, other["id"])
        assert (line["state"], line["listed"], line["here"]) == ("done", 1, 1)
        listed = client.get("/v1/fetches", params={"state": "done"}).json()["fetches"]
        assert {line["id"], other["id"]} <= {each["id"] for each in listed}
        assert number not in client.get("/v1/fetches").text
    # The rule of this node makes nothing urgent: it is the fetch that did.
    jobs = [pre_reads(study_of(each[0]))[0] for each in (files, later)]
    assert [(job["state"], job["priority"]) for job in jobs] == [
        ("done", "urgent"),
        ("done", "routine"),
    ]


def test_over_http_what_is_cancelled_stays_so(node: AttachedService) -> None:
    wanted = {"source": "away", "studies": [str(generate_uid())]}
    with client_of(node) as client:
        (line,) = client.post("/v1/fetches", json=wanted).json()["fetches"]
        # What waits already is not queued twice, and may become urgent.
        (again,) = client.post("/v1/fetches", json=wanted | {"priority": "urgent"}).json()[
            "fetches"
        ]
        assert (again["id"], again["priority"]) == (line["id"], "urgent")
        place = f"/v1/fetches/{line['id']}"
        assert client.post(f"{place}/cancel").json()["state"] == "cancelled"
        refused = client.post(f"{place}/cancel")
        assert refused.status_code == 422
        assert "只有排队中的任务可以取消" in refused.json()["detail"]
        # The try that was under way ends, and does not bring it back.
        time.sleep(4)
        assert client.get(place).json()["state"] == "cancelled"
        (queued,) = client.post("/v1/fetches", json=wanted).json()["fetches"]
    assert queued["id"] != line["id"]
    status, (told,), _ = zhuzhen("node", "cancel-fetch", queued["id"])
    assert (status, told) == (0, {"cancelled": queued["id"]})
    exported = CliRunner().invoke(app, ["audit", "export", "--format", "json"]).stdout
    events = [json.loads(each) for each in exported.splitlines()]
    operations = {each["operation"]: each for each in events}
    asked = [each for each in events if each["operation"] == "POST:/v1/fetches/:fetch/cancel"]
    assert any(str(line["id"]) in str(each) for each in asked)
    assert {"POST:/v1/fetches", "GET:/v1/fetches/:fetch", "cli:node.cancel-fetch"} <= set(
        operations
    )


def test_over_http_what_cannot_be_asked_for_is_told_in_both_languages(
    node: AttachedService,
) -> None:
    wrong = [
        ({"source": "stranger", "studies": ["1.2.3"]}, 422, "没有您可使用的该调取来源"),
        ({"source": "by-get"}, 422, "未指定调取内容"),
        ({"source": "by-get", "studies": ["12..3"]}, 422, "不是有效的 UID"),
        ({"source": "away", "patient_id": "P"}, 502, "PACS 未能应答查询"),
        ({"source": "by-get", "studies": ["1.2.3"], "priority": "now"}, 400, ""),
    ]
    with client_of(node) as client:
        for body, status, told in wrong:
            answer = client.post("/v1/fetches", json=body)
            assert (answer.status_code, told in answer.json()["detail"]) == (status, True)
            assert answer.headers["content-type"] == "application/problem+json"
        assert client.get("/v1/fetches", params={"state": "lost"}).status_code == 422
        missing = client.get("/v1/fetches/fetch-000000000000")
        assert (missing.status_code, "没有该调取任务" in missing.json()["detail"]) == (404, True)
        (line,) = client.post(
            "/v1/fetches", json={"source": "away", "studies": [str(generate_uid())]}
        ).json()["fetches"]
    engine = open_engine(database_url())
    add_institution(
        engine, "elsewhere", name="x", name_zh="x", tier=Tier.PRIMARY, now=datetime.now(UTC)
    )
    engine.dispose()
    with (
        passing_key(Role.SYSTEM, institution="elsewhere") as key,
        client_of(node, key) as others,
    ):
        assert others.get(f"/v1/fetches/{line['id']}").status_code == 404
        assert others.post(f"/v1/fetches/{line['id']}/cancel").status_code == 404
        assert others.get("/v1/fetches").json() == {"fetches": []}
        refused = others.post("/v1/fetches", json={"source": "by-get", "studies": ["1.2.3"]})
        assert (refused.status_code, "by-get" in refused.text) == (422, False)
