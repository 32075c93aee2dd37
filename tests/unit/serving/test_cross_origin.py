"""Web pages of other origins: those that are listed may call what is made for other systems."""

import asyncio

import httpx
import pytest

from serving.cross_origin import CrossOrigin, OriginError
from serving.doors.parts import TABLE
from serving.entrance import Entrance
from tests.guards import KEY, MemoryRecorder, a_manned_post

SANDBOX = "https://sandbox.cds-hooks.org"
LISTED = CrossOrigin((SANDBOX, "https://ehr.example:8443", "http://localhost:8080"))


async def nothing_there(scope: object, receive: object, send: object) -> None:
    raise RuntimeError("it got through")


def ask(
    method: str,
    path: str,
    *,
    others: CrossOrigin = LISTED,
    sender: str = "127.0.0.1",
    recorder: MemoryRecorder | None = None,
    **headers: str,
) -> httpx.Response:
    async def send() -> httpx.Response:
        with a_manned_post(recorder) as post:
            entrance = Entrance(nothing_there, TABLE, post, others=others)
            transport = httpx.ASGITransport(entrance, client=(sender, 50000))
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as one:
                named = {name.replace("_", "-"): value for name, value in headers.items()}
                return await one.request(method, path, headers=named)

    return asyncio.run(send())


def preflight(path: str, origin: str = SANDBOX, **more: object) -> httpx.Response:
    return ask("OPTIONS", path, origin=origin, access_control_request_method="POST", **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("origin", LISTED.origins)
def test_a_preflight_is_answered_before_anybody_is_known(origin: str) -> None:
    recorder = MemoryRecorder()
    response = preflight("/cds-services/cardiometabolic-risk", origin, recorder=recorder)

    assert response.status_code == 204
    assert response.headers["access-control-allow-origin"] == origin
    assert "authorization" in response.headers["access-control-allow-headers"].lower()
    assert "POST" in response.headers["access-control-allow-methods"]
    assert response.headers["vary"] == "Origin"
    assert "access-control-allow-credentials" not in response.headers
    assert not recorder.events


def test_a_preflight_does_not_tell_what_there_is() -> None:
    there, not_there = preflight("/cds-services"), preflight("/cds-services/none/nor/this")

    assert there.status_code == not_there.status_code == 204
    assert there.headers == not_there.headers
    assert there.content == b""


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "null",
        "https://sandbox.cds-hooks.org.evil.example",
        "http://sandbox.cds-hooks.org",
        "https://sandbox.cds-hooks.org:444",
        "https://SANDBOX.cds-hooks.org",
    ],
)
@pytest.mark.parametrize("method", ["OPTIONS", "POST"])
def test_other_pages_are_refused(origin: str, method: str) -> None:
    response = ask(
        method,
        "/cds-services",
        origin=origin,
        authorization=f"Bearer {KEY}",
        access_control_request_method="POST",
    )

    assert response.status_code == 403
    assert "access-control-allow-origin" not in response.headers


@pytest.mark.parametrize("path", ["/v1/score-risk", "/v1/login", "/", "/cds-servicesx"])
def test_what_is_made_for_people_is_not_open_to_other_pages(path: str) -> None:
    assert preflight(path).status_code == 403
    assert ask("GET", path, origin=SANDBOX).status_code == 403


def test_by_default_nobody_is_listed() -> None:
    none = CrossOrigin.from_environment({})

    assert preflight("/cds-services", others=none).status_code == 403


@pytest.mark.parametrize("path", ["/cds-services", "/fhir/metadata"])
def test_a_page_can_read_why_it_was_refused(path: str) -> None:
    response = ask("GET", path, origin=SANDBOX)

    assert response.status_code == 401
    assert response.headers["access-control-allow-origin"] == SANDBOX
    assert "WWW-Authenticate" in response.headers["access-control-expose-headers"]


def test_programs_are_answered_as_before() -> None:
    response = ask("GET", "/cds-services")

    assert response.status_code == 401
    assert "access-control-allow-origin" not in response.headers
    assert ask("OPTIONS", "/cds-services").status_code == 405


def test_a_page_on_another_machine_needs_tls_as_well() -> None:
    assert preflight("/cds-services", sender="10.1.0.1").status_code == 403


@pytest.mark.parametrize(
    "origin",
    ["*", "null", "ehr.example", "http://ehr.example", "https://ehr.example/", "https://*.example"],
)
def test_what_is_no_origin_is_told(origin: str) -> None:
    with pytest.raises(OriginError, match="ZHUZHEN_CORS_ORIGINS"):
        CrossOrigin.from_environment({"ZHUZHEN_CORS_ORIGINS": f"{SANDBOX}, {origin}"})
