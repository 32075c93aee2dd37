"""The HTTP interface of a real service, from outside."""

import base64
import io
import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest
from PIL import Image

from models import store
from serving.answers import answer_of, write_json
from serving.attached import AttachedService
from serving.doors.describing import PROBLEM_SCHEMA
from serving.doors.parts import ROUTES
from serving.doors.recognizing import ANSWER_SCHEMA
from serving.imaging import DEFAULT_LIMITS
from serving.recognition import Recognizer
from tests.dicom_samples import PYDICOM_DATA_FILES, PYDICOM_FILES

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"
INPUTS = {
    "child-normal-1.dcm": EXAMPLES,
    "child-normal-2.dcm": EXAMPLES,
    "child-pneumonia-1.dcm": EXAMPLES,
    "child-pneumonia-2.dcm": EXAMPLES,
    "RG1_UNCR.dcm": PYDICOM_DATA_FILES,
    "RG1_J2KR.dcm": PYDICOM_DATA_FILES,
    "RG3_UNCR.dcm": PYDICOM_DATA_FILES,
    "US1_UNCR.dcm": PYDICOM_DATA_FILES,
    "MR_truncated.dcm": PYDICOM_FILES,
}
ROUTE = "/v1/recognize"
DICOM = {"content-type": "application/dicom"}


def bytes_of(name: str) -> bytes:
    return (INPUTS[name] / name).read_bytes()


def timeless(answer: dict[str, Any]) -> dict[str, Any]:
    """An answer without what differs from one time to the next."""
    return {**answer, "timings_ms": None, "input": None}


@pytest.fixture(scope="module")
def in_process() -> dict[str, dict[str, Any]]:
    """The answers on all inputs from this process, without HTTP."""
    package = store.load("chest-xray-pneumonia")
    recognizer = Recognizer(package)
    readings = {name: recognizer.read(bytes_of(name)).pre_read for name in INPUTS}
    return {
        name: json.loads(write_json(answer_of(pre_read, source="", intended_use=package.statement)))
        for name, pre_read in readings.items()
    }


@pytest.mark.parametrize("name", INPUTS)
def test_both_doors_give_the_same_answer(
    client: httpx.Client, in_process: dict[str, dict[str, Any]], name: str
) -> None:
    response = client.post(ROUTE, content=bytes_of(name), headers=DICOM)

    assert response.status_code == 200
    answer = response.json()
    jsonschema.validate(answer, ANSWER_SCHEMA)
    assert timeless(answer) == timeless(in_process[name])


def test_sixteen_at_a_time_are_answered_as_one_is(
    client: httpx.Client, in_process: dict[str, dict[str, Any]]
) -> None:
    names = [*INPUTS] * 6

    def ask(name: str) -> dict[str, Any]:
        answer: dict[str, Any] = client.post(ROUTE, content=bytes_of(name)).json()
        return timeless(answer)

    with ThreadPoolExecutor(16) as callers:
        answers = list(callers.map(ask, names))

    assert answers == [timeless(in_process[name]) for name in names]


def test_files_of_a_form_are_answered_in_order(
    client: httpx.Client, in_process: dict[str, dict[str, Any]]
) -> None:
    response = client.post(ROUTE, files=[("file", (name, bytes_of(name))) for name in INPUTS])

    results = response.json()["results"]
    assert [answer["input"] for answer in results] == [*INPUTS]
    assert [timeless(answer) for answer in results] == [timeless(in_process[n]) for n in INPUTS]


@pytest.mark.parametrize("name", ["child-pneumonia-1.dcm", "RG1_UNCR.dcm", "MR_truncated.dcm"])
def test_an_overlay_is_sent_where_it_is_asked_for(client: httpx.Client, name: str) -> None:
    answer = client.post(f"{ROUTE}?overlay=true", content=bytes_of(name)).json()

    jsonschema.validate(answer, ANSWER_SCHEMA)
    picture = Image.open(io.BytesIO(base64.b64decode(answer["overlay_png"])))
    picture.load()
    assert (picture.format, picture.width) == ("PNG", 720)


def test_a_model_can_be_named_with_its_version(client: httpx.Client) -> None:
    newest = store.load("chest-xray-pneumonia").reference_to

    answer = client.post(
        ROUTE,
        params={"model": f"{newest.name}@{newest.version}"},
        content=bytes_of("child-normal-1.dcm"),
    ).json()

    assert (answer["version"], answer["digest"]) == (newest.version, newest.digest)


def raw_answer(url: str, request: bytes) -> bytes:
    """The head of the answer to `request` as it is, which no client library would send."""
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(request)
        return connection.recv(4096)


REFUSED = [
    pytest.param("GET", "/nothing", {}, b"", 404, id="unknown path"),
    pytest.param("GET", "/static_content/nothing", {}, b"", 404, id="unknown file"),
    pytest.param("GET", "/static_content/../service.py", {}, b"", 404, id="path traversal"),
    pytest.param("POST", ROUTE, DICOM, b"", 400, id="empty"),
    pytest.param("POST", ROUTE, {}, b"", 400, id="empty without a type"),
    pytest.param("POST", ROUTE, {"content-type": "application/json"}, b"{}", 415, id="JSON"),
    pytest.param(
        "POST", ROUTE, {"content-type": "application/vnd.bentoml+pickle"}, b"x", 415, id="pickle"
    ),
    pytest.param("POST", ROUTE, {"content-encoding": "gzip"}, b"x", 415, id="compressed"),
    pytest.param(
        "POST", ROUTE, {"content-type": "multipart/form-data"}, b"x", 400, id="no boundary"
    ),
    pytest.param("POST", f"{ROUTE}?model=heart", {}, b"x", 404, id="unknown model"),
    pytest.param("POST", f"{ROUTE}?model=../../etc", {}, b"x", 404, id="model as a path"),
    pytest.param("POST", f"{ROUTE}?overlay=perhaps", {}, b"x", 400, id="unknown value"),
    pytest.param("POST", f"{ROUTE}?overlays=true", {}, b"x", 400, id="unknown option"),
    pytest.param("POST", f"{ROUTE}?model=a&model=b", {}, b"x", 400, id="option given twice"),
    pytest.param("GET", "/livez", {"host": "evil.example"}, b"", 421, id="another host"),
    pytest.param("POST", ROUTE, {"origin": "https://evil.example"}, b"x", 403, id="another page"),
]


@pytest.mark.parametrize(("method", "path", "headers", "body", "status"), REFUSED)
def test_refusals_have_one_shape(
    client: httpx.Client, method: str, path: str, headers: dict[str, str], body: bytes, status: int
) -> None:
    response = client.request(method, path, headers=headers, content=body)

    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    jsonschema.validate(response.json(), PROBLEM_SCHEMA)
    assert response.json()["status"] == status


@pytest.mark.parametrize("path", sorted({route.path for route in ROUTES if "{" not in route.path}))
def test_every_route_refuses_other_methods_in_that_shape(client: httpx.Client, path: str) -> None:
    expected = {route.method for route in ROUTES if route.path == path}
    unused = next(method for method in ("DELETE", "PATCH", "PUT") if method not in expected)

    response = client.request(unused, path)

    assert response.status_code == 405
    assert set(response.headers["allow"].split(", ")) - {"HEAD"} == expected
    if path.startswith("/fhir/"):
        assert response.json()["resourceType"] == "OperationOutcome"
    else:
        jsonschema.validate(response.json(), PROBLEM_SCHEMA)


def test_a_body_over_the_limit_is_not_received(client: httpx.Client) -> None:
    chunk = b"\0" * 2**20

    def stream() -> Any:
        for _ in range(DEFAULT_LIMITS.max_bytes // len(chunk) + 2):
            yield chunk

    response = client.post(ROUTE, content=stream(), headers=DICOM)

    assert response.status_code == 413


def test_a_body_that_says_it_is_over_the_limit_is_not_waited_for(
    service: AttachedService,
) -> None:
    head = (
        f"POST {ROUTE} HTTP/1.1\r\nHost: localhost\r\n"
        f"Authorization: Bearer {service.key}\r\nContent-Length: "
    )

    answer = raw_answer(service.url, f"{head}{DEFAULT_LIMITS.max_bytes + 1}\r\n\r\n".encode())

    assert answer.startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics", "/docs", "/openapi.json"])
def test_routes_for_operators_answer(client: httpx.Client, path: str) -> None:
    assert client.get(path).status_code == 200
    assert client.head(path).status_code == 200


def test_the_start_page_leads_to_the_description(client: httpx.Client) -> None:
    assert client.get("/", follow_redirects=True).url.path == "/docs"


def test_the_description_loads_nothing_from_elsewhere(client: httpx.Client) -> None:
    page = client.get("/docs").text

    assert "//" not in page.replace("<!DOCTYPE html>", "")
    for asset in ("swagger-ui.css", "swagger-ui-bundle.js"):
        assert f"/static_content/{asset}" in page
        assert client.get(f"/static_content/{asset}").status_code == 200


def test_the_description_lists_what_there_is(client: httpx.Client) -> None:
    described = client.get("/openapi.json").json()

    assert described["openapi"].startswith("3.1")
    assert {path: {m.upper() for m in ways} for path, ways in described["paths"].items()} == {
        path: {route.method for route in ROUTES if route.path == path}
        for path in {route.path for route in ROUTES}
        if path not in ("/", "/static_content/{file:path}")
    }
    references = {
        part.split('"')[0] for part in json.dumps(described).split("#/components/schemas/")[1:]
    }
    assert references <= described["components"]["schemas"].keys()


def test_metrics_count_readings_by_verdict(client: httpx.Client) -> None:
    def refused() -> float:
        lines = client.get("/metrics").text.splitlines()
        counts = [line for line in lines if line.startswith("zhuzhen_readings_total")]
        return sum(float(line.split()[-1]) for line in counts if "outside_intended_use" in line)

    before = refused()
    client.post(ROUTE, content=bytes_of("RG3_UNCR.dcm"))

    assert refused() == before + 1


def test_a_request_that_is_not_http_is_refused_in_plain_text(
    client: httpx.Client, service_url: str
) -> None:
    answer = raw_answer(service_url, b"\x16\x03\x01 hello\r\n\r\n").lower()

    assert answer.startswith(b"http/1.1 400 ")
    assert b"content-type: text/plain" in answer
    assert client.get("/readyz").status_code == 200


def requests_counted(client: httpx.Client, status: int) -> float:
    lines = client.get("/metrics").text.splitlines()
    label = f'{{route="{ROUTE}",status="{status}"}}'
    return sum(float(line.split()[-1]) for line in lines if f"requests_total{label}" in line)


def test_a_sender_who_leaves_early_does_no_harm_and_is_no_failure(
    client: httpx.Client, service: AttachedService, service_log: Path
) -> None:
    host, port = service.url.removeprefix("http://").split(":")
    head = (
        f"POST {ROUTE} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {service.key}\r\n"
        "Content-Length: 9999\r\n\r\nab"
    )
    left, failed = requests_counted(client, 499), requests_counted(client, 500)
    written = service_log.stat().st_size
    for _ in range(40):
        with socket.create_connection((host, int(port)), timeout=30) as connection:
            connection.sendall(head.encode())

    assert client.post(ROUTE, content=bytes_of("child-normal-1.dcm")).status_code == 200
    deadline = time.monotonic() + 30
    while requests_counted(client, 499) < left + 40 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert requests_counted(client, 499) == left + 40
    assert requests_counted(client, 500) == failed
    assert b"Traceback" not in service_log.read_bytes()[written:]
