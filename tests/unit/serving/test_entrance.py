import asyncio
import json
import logging
import re
from http import HTTPStatus
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route as StarletteRoute
from starlette.types import Message

from serving.access import access_of
from serving.audit import Outcome
from serving.doors import Route
from serving.doors.describing import PROBLEM_SCHEMA
from serving.doors.parts import ROUTES, TABLE
from serving.entrance import Entrance
from serving.names import HostNameError, Names
from serving.problems import Problem
from tests.guards import KEY, MemoryRecorder, a_manned_post

PATIENT = "ZhangSan-19800101"


async def recognize(request: Request) -> Response:
    """Fail in the way that the header `fails` asks for."""
    access = access_of(request)
    access.require(access.own("image"))
    match request.headers.get("fails"):
        case "loudly":
            raise RuntimeError(f"{PATIENT} went wrong")
        case "as bentoml":
            return JSONResponse({"error": f"{PATIENT} went wrong"}, status_code=500)
        case "early":
            return PlainTextResponse("not yet", status_code=503)
        case "otherwise":
            return PlainTextResponse(PATIENT, status_code=418)
        case "with a problem":
            return Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "Too much.").response()
    return JSONResponse({"verdict": "accepted"})


async def recognize_by_leaving(request: Request) -> Response:
    raise ClientDisconnect


async def tell(request: Request, problem: Exception) -> Response:
    assert isinstance(problem, Problem)
    return problem.response(request.url.path)


INNER = Starlette(
    routes=[
        StarletteRoute("/v1/recognize", recognize, methods=["POST"]),
        StarletteRoute("/v1/fetches/{fetch}", recognize, methods=["GET"]),
    ],
    exception_handlers={Problem: tell},
)
"""With a handler for problems, as the service has one: it handles none once an answer has begun."""
LEAVING = Starlette(
    routes=[StarletteRoute("/v1/recognize", recognize_by_leaving, methods=["POST"])]
)


def ask(
    method: str = "POST",
    path: str = "/v1/recognize",
    *,
    sender: str = "127.0.0.1",
    names: Names | None = None,
    scheme: str = "http",
    recorder: MemoryRecorder | None = None,
    **headers: str,
) -> httpx.Response:
    async def send() -> httpx.Response:
        with a_manned_post(recorder) as post:
            entrance = Entrance(INNER, TABLE, post, names)
            transport = httpx.ASGITransport(entrance, client=(sender, 50000))
            address = f"{scheme}://127.0.0.1:3000"
            async with httpx.AsyncClient(transport=transport, base_url=address) as client:
                return await client.request(method, f"{address}{path}", headers=headers)

    headers.setdefault("authorization", f"Bearer {KEY}")
    return asyncio.run(send())


def assert_problem(response: Any, status: int) -> dict[str, Any]:
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = response.json()
    assert document.keys() == PROBLEM_SCHEMA["properties"].keys()
    assert document["status"] == status
    assert PATIENT not in json.dumps(document)
    return document


def test_what_is_in_order_passes_with_headers_that_keep_it_private() -> None:
    response = ask()

    assert response.json() == {"verdict": "accepted"}
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", ["/nothing", "/schema.json", "/docs.json", "/v1/recognize/", "//"])
def test_unknown_paths_are_not_found(path: str) -> None:
    assert_problem(ask("POST", path), 404)


@pytest.mark.parametrize("path", ["/", "/docs", "/livez", "/metrics", "/v1/recognize"])
@pytest.mark.parametrize("method", ["DELETE", "PUT", "PATCH", "OPTIONS", "BREW"])
def test_other_methods_are_refused_with_those_allowed(path: str, method: str) -> None:
    response = ask(method, path)

    assert_problem(response, 405)
    expected = {route.method for route in ROUTES if route.path == path}
    assert set(response.headers["allow"].split(", ")) - {"HEAD"} == expected


@pytest.mark.parametrize("route", [route for route in ROUTES if route.action is not None])
def test_without_a_credential_nothing_is_answered(route: Route) -> None:
    path = re.sub(r"\{[^}]*\}", "x", route.path)
    recorder = MemoryRecorder()

    for given in ("", "Bearer other", "Basic dGhlLWtleQ==", KEY):
        response = ask(route.method, path, recorder=recorder, authorization=given)

        if route.path.startswith("/fhir/"):
            assert response.status_code == 401
            assert response.json()["resourceType"] == "OperationOutcome"
        else:
            assert_problem(response, 401)
        assert response.headers["www-authenticate"].startswith("Bearer")
    assert {event.outcome for event in recorder.events} == {Outcome.DENIED}
    assert len(recorder.events) == 4


def test_what_cannot_be_recorded_is_not_answered() -> None:
    recorder = MemoryRecorder()
    recorder.fails = True

    problem = assert_problem(ask(recorder=recorder), 503)

    assert "audit record" in problem["detail"]


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:3000", "127.0.0.1.evil.example", ""]
)
def test_other_names_of_this_machine_are_refused(host: str) -> None:
    assert_problem(ask("GET", "/livez", host=host), 421)


@pytest.mark.parametrize("host", ["localhost", "LocalHost:3000", "127.0.0.1", "127.0.0.1:3000"])
def test_the_local_names_pass(host: str) -> None:
    assert ask(host=host).status_code == 200


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "http://evil.example:3000",
        "http://localhost.evil.example",
        "http://evil.example/http://localhost",
        "https://localhost",
        "https://zz.hospital.example",
        "file://",
        "null",
        "",
    ],
)
def test_pages_of_other_origins_are_refused(origin: str) -> None:
    problem = assert_problem(ask(origin=origin), 403)

    assert "another origin" in problem["detail"]


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("localhost:3000", "http://localhost:3000"),
        ("localhost", "HTTP://LOCALHOST"),
        ("127.0.0.1:80", "http://127.0.0.1"),
    ],
)
def test_pages_of_the_service_pass(host: str, origin: str) -> None:
    assert ask(host=host, origin=origin).status_code == 200


@pytest.mark.parametrize("port", ["", ":80", ":8080", ":03000", ":3000/", ":", ":65536"])
def test_pages_of_other_programs_on_this_machine_are_refused(port: str) -> None:
    problem = assert_problem(ask(host="localhost:3000", origin=f"http://localhost{port}"), 403)

    assert "expected http://localhost:3000, or no Origin header" in problem["detail"]


@pytest.mark.parametrize("sender", ["192.168.1.5", "172.17.0.1", "2001:db8::1"])
def test_other_machines_are_refused_without_tls_whatever_host_they_name(sender: str) -> None:
    problem = assert_problem(ask(sender=sender, host="127.0.0.1"), 403)

    assert "without TLS" in problem["detail"]


NAMED = Names(("zz.hospital.example",))


def test_other_machines_are_served_over_tls_under_a_name() -> None:
    origin = "https://zz.hospital.example"
    asked: dict[str, Any] = {"sender": "192.168.1.5", "names": NAMED, "scheme": "https"}

    assert ask(**asked, host="zz.hospital.example", origin=origin).status_code == 200
    assert_problem(ask(**asked, host="192.168.1.9"), 421)
    assert_problem(
        ask(**asked, host="zz.hospital.example", origin="http://zz.hospital.example"), 403
    )
    assert_problem(ask(**asked, host="zz.hospital.example", origin="https://localhost.evil"), 403)


def test_whether_it_lives_is_told_without_tls() -> None:
    response = ask("GET", "/livez", sender="10.1.0.1", names=NAMED, host="zz.hospital.example")

    assert response.status_code == 404  # BentoML's part, which is not here


@pytest.mark.parametrize("name", ["https://zz.example", "zz.example:443", "*", "-a", "Zz.example"])
def test_a_name_that_is_no_host_is_told(name: str) -> None:
    with pytest.raises(HostNameError, match="ZHUZHEN_HOSTS"):
        Names.from_environment({"ZHUZHEN_HOSTS": f"zz.hospital.example, {name}"})


@pytest.mark.parametrize(
    ("how", "status"),
    [("loudly", 500), ("as bentoml", 500), ("early", 503), ("otherwise", 418)],
)
def test_failures_of_any_origin_have_one_shape(how: str, status: int) -> None:
    assert_problem(ask(fails=how), status)


def test_a_problem_passes_as_it_is() -> None:
    response = ask(fails="with a problem")

    assert assert_problem(response, 413)["detail"] == "Too much."


def test_the_log_tells_routes_and_no_word_of_the_sender(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "zhuzhen"):
        ask("GET", f"/patients/{PATIENT}?name={PATIENT}", referer=PATIENT)
        ask(PATIENT, f"/v1/recognize?model={PATIENT}")

    assert [record.getMessage().rsplit(" ", 2)[0] for record in caplog.records] == [
        "GET other 404",
        "other /v1/recognize 405",
    ]
    assert PATIENT not in caplog.text


def test_a_failure_is_logged_with_its_trace(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "zhuzhen"):
        ask(fails="loudly")

    assert "in recognize" in caplog.text


def test_a_failure_is_logged_by_its_route(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "zhuzhen"):
        ask("GET", f"/v1/fetches/{PATIENT}", fails="loudly")

    assert [record.getMessage() for record in caplog.records] == ["GET /v1/fetches/{fetch} failed"]


def test_a_sender_who_leaves_is_no_failure(caplog: pytest.LogCaptureFixture) -> None:
    async def send(message: Message) -> None:
        assert message["type"].startswith("http.response")

    async def leave() -> Message:
        return {"type": "http.disconnect"}

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/recognize",
        "query_string": b"",
        "headers": [(b"host", b"localhost"), (b"authorization", f"Bearer {KEY}".encode())],
    }
    with caplog.at_level(logging.INFO, "zhuzhen"), a_manned_post() as post:
        asyncio.run(Entrance(LEAVING, TABLE, post)(scope, leave, send))

    (record,) = caplog.records
    assert record.levelname == "INFO"
    assert record.getMessage().startswith("POST /v1/recognize 499 ")


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/nothing", {}, 404),
        ("/", {}, 404),
        ("/v1/users", {}, 404),
        ("/ws/subscribers/DESK", {"host": "evil.example"}, 421),
        ("/ws/subscribers/DESK", {"origin": "https://evil.example"}, 403),
        ("/ws/subscribers/DESK", {"authorization": "Bearer other"}, 401),
    ],
)
def test_handshakes_are_refused_like_requests(
    path: str, headers: dict[str, str], status: int
) -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def connect() -> Message:
        return {"type": "websocket.connect"}

    given = {"host": "127.0.0.1", "authorization": f"Bearer {KEY}"} | headers
    scope = {
        "type": "websocket",
        "path": path,
        "scheme": "ws",
        "client": ("127.0.0.1", 50000),
        "headers": [(name.encode(), value.encode()) for name, value in given.items()],
    }
    with a_manned_post() as post:
        asyncio.run(Entrance(INNER, TABLE, post)(scope, connect, send))

    assert [each["type"] for each in sent] == [
        "websocket.http.response.start",
        "websocket.http.response.body",
    ]
    assert sent[0]["status"] == status
    assert (b"content-type", b"application/problem+json") in sent[0]["headers"]
