"""The worklist over UPS-RS."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from pydicom.uid import generate_uid

from tests.integration.serving.node.conftest import RunningNode

STATE, TRANSACTION, LABEL = "00741000", "00081195", "00741204"


def claim(wanted: str, transaction: str) -> dict[str, object]:
    return {
        STATE: {"vr": "CS", "Value": [wanted]},
        TRANSACTION: {"vr": "UI", "Value": [transaction]},
    }


@pytest.fixture
def http(node: RunningNode) -> Iterator[httpx.Client]:
    with node.client() as client:
        yield client


def create(http: httpx.Client) -> str:
    uid = generate_uid()
    item = [{LABEL: {"vr": "LO", "Value": ["Read this, 请阅片"]}}]
    answer = http.post(f"/dicom-web/workitems?{uid}", json=item)
    assert answer.status_code == 201
    assert answer.headers["Content-Location"].endswith(uid)
    return str(uid)


def test_a_work_item_is_claimed_by_one_and_completed_by_that_one(http: httpx.Client) -> None:
    uid, mine, theirs = create(http), str(generate_uid()), str(generate_uid())
    place = f"/dicom-web/workitems/{uid}"
    assert http.post(f"/dicom-web/workitems?{uid}", json=[{}]).status_code == 409
    assert http.put(f"{place}/state", json=claim("COMPLETED", mine)).status_code == 409
    assert http.put(f"{place}/state", json=claim("IN PROGRESS", mine)).status_code == 200
    assert http.put(f"{place}/state", json=claim("IN PROGRESS", theirs)).status_code == 409
    note = {LABEL: {"vr": "LO", "Value": ["Half done"]}}
    assert http.post(f"{place}?{theirs}", json=note).status_code == 409
    assert http.post(f"{place}?{mine}", json=note).status_code == 200
    assert http.put(f"{place}/state", json=claim("COMPLETED", theirs)).status_code == 409
    assert http.put(f"{place}/state", json=claim("COMPLETED", mine)).status_code == 200
    (found,) = http.get(place).json()
    assert found[STATE]["Value"] == ["COMPLETED"]
    assert found[LABEL]["Value"] == ["Half done"]
    assert TRANSACTION not in found


def test_what_nobody_has_claimed_is_cancelled_at_once(http: httpx.Client) -> None:
    uid = create(http)
    place = f"/dicom-web/workitems/{uid}"
    assert http.post(f"{place}/cancelrequest").status_code == 202
    found = http.get("/dicom-web/workitems", params={"SOPInstanceUID": uid}).json()
    assert [each[STATE]["Value"] for each in found] == [["CANCELED"]]
    assert http.post(f"{place}/cancelrequest").status_code == 409


@pytest.mark.parametrize("content", [b"", b"[]", b"[1]", b'{"x": 1}', b"[" * 5000, b"\xff"])
def test_bodies_that_are_no_data_set(http: httpx.Client, content: bytes) -> None:
    answer = http.post(f"/dicom-web/workitems?{generate_uid()}", content=content)
    assert answer.status_code == 400
    assert http.get(f"/dicom-web/workitems/{generate_uid()}").status_code == 404


def test_of_many_who_claim_at_once_one_gets_it(http: httpx.Client) -> None:
    uid = create(http)
    claims = [claim("IN PROGRESS", str(generate_uid())) for _ in range(8)]
    place = f"/dicom-web/workitems/{uid}/state"
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda each: http.put(place, json=each), claims))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 7
