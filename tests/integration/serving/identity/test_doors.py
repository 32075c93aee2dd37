"""Through the running service's HTTP door: who gets in, and who tries to by other ways."""

import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from serving.attached import AttachedService
from serving.doors import Route
from serving.doors.parts import ROUTES
from serving.identity import accounts, sessions
from serving.identity.errors import CredentialRefusedError
from serving.identity.local import LOCAL, passing_key
from serving.identity.sessions import CSRF_HEADER
from serving.policy import Action, Role
from serving.records import database_url, open_engine
from tests.access_table import expected_access

EXPECTED = expected_access()
PASSWORD = "correct horse battery staple"  # noqa: S105 - of an account made here
JSON = {"Content-Type": "application/json"}
PUBLIC = {"/livez", "/readyz", "/v1/login"}


@pytest.fixture(scope="module")
def keys(service: AttachedService) -> Iterator[dict[Role, str]]:
    with ExitStack() as stack:
        yield {role: stack.enter_context(passing_key(role, label="walk")) for role in Role}


@pytest.fixture
def browser(service: AttachedService) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service.url, timeout=60, trust_env=False) as found:
        yield found


@pytest.fixture(scope="module")
def name(service: AttachedService) -> Iterator[str]:
    """The name of an account with the password above."""
    engine = open_engine(database_url())
    name = f"doctor-{datetime.now(UTC):%H%M%S%f}"
    account, first = accounts.add_account(
        engine,
        name,
        full_name="李 明",
        roles=[Role.PRIMARY_CLINICIAN],
        institution=LOCAL,
        now=datetime.now(UTC),
    )
    accounts.change_password(engine, account.id, first, PASSWORD, datetime.now(UTC))
    yield name
    engine.dispose()


def log_in(browser: httpx.Client, name: str, password: str = PASSWORD) -> httpx.Response:
    return browser.post("/v1/login", json={"name": name, "password": password})


def path_of(route: Route) -> str:
    return re.sub(r"\{[^}]*\}", "1.2.3", route.path)


def test_the_walk_over_every_route_and_role(browser: httpx.Client, keys: dict[Role, str]) -> None:
    leaks = []
    for route in ROUTES:
        if route.action is None:
            assert route.path in PUBLIC
            continue
        bare = browser.request(route.method, path_of(route))
        if bare.status_code != 401:
            leaks.append((route.name, "nobody", bare.status_code))
        for role, key in keys.items():
            headers = {"Authorization": f"Bearer {key}"}
            status = browser.request(route.method, path_of(route), headers=headers).status_code
            # A key has no account of its own to manage.
            expected_403 = not EXPECTED[route.action, role] or (
                route.action is Action.MANAGE_OWN_ACCOUNT and status == 403
            )
            if (status == 403) is not expected_403 or status == 401 or status >= 500:
                leaks.append((route.name, role, status))
    assert leaks == []


def test_logging_in_and_out(browser: httpx.Client, name: str) -> None:
    answer = log_in(browser, name)

    assert answer.status_code == 200
    cookie = answer.headers["set-cookie"]
    assert re.search(r"; HttpOnly(;|$)", cookie)
    assert "SameSite=strict" in cookie
    assert "Path=/" in cookie
    assert "Domain" not in cookie
    session = browser.get("/v1/session").json()
    assert session["roles"] == ["primary_clinician"]
    token = {CSRF_HEADER: session["csrf_token"]}
    assert browser.post("/v1/logout", headers=token).status_code == 204
    assert browser.get("/v1/session").status_code == 401
    # The cookie itself is worth nothing any more, not only forgotten.
    value = cookie.partition(";")[0]
    assert browser.get("/v1/session", headers={"Cookie": value}).status_code == 401


def test_a_session_is_not_fixed_by_somebody_else(browser: httpx.Client, name: str) -> None:
    planted = "A" * 43

    given = browser.post(
        "/v1/login",
        json={"name": name, "password": PASSWORD},
        headers={"Cookie": f"zhuzhen={planted}"},
    )

    assert planted not in given.headers["set-cookie"]
    browser.cookies.clear()
    asked = browser.get("/v1/session", headers={"Cookie": f"zhuzhen={planted}"})
    assert asked.status_code == 401


def test_a_login_leaves_the_session_before_it_behind(browser: httpx.Client, name: str) -> None:
    log_in(browser, name)
    before = browser.cookies["zhuzhen"]

    log_in(browser, name)

    assert browser.cookies["zhuzhen"] != before
    engine = open_engine(database_url())
    with pytest.raises(CredentialRefusedError, match="session_unknown"):
        sessions.verify_session(engine, before, datetime.now(UTC))
    engine.dispose()


def test_other_sites_cannot_use_a_session(browser: httpx.Client, name: str) -> None:
    token = log_in(browser, name).json()["csrf_token"]
    other = httpx.Client(base_url=browser.base_url, timeout=60, trust_env=False)
    foreign = log_in(other, name).json()["csrf_token"]

    for headers in (
        {},
        {CSRF_HEADER: ""},
        {CSRF_HEADER: foreign},
        {CSRF_HEADER: token, "Origin": "https://evil.example"},
        {CSRF_HEADER: token, "Origin": "null"},
    ):
        assert browser.post("/v1/logout", headers=headers).status_code == 403
    two = [(CSRF_HEADER, token), (CSRF_HEADER, token)]
    assert browser.post("/v1/logout", headers=two).status_code == 403
    # A form of another page can send no JSON.
    as_form = browser.post(
        "/v1/login",
        content="name=a&password=b",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    assert as_form.status_code == 415
    assert browser.get("/v1/session").status_code == 200
    other.close()


def test_a_header_is_not_taken_for_the_cookies(browser: httpx.Client, name: str) -> None:
    log_in(browser, name)

    for given in ("Bearer", "Bearer x", "Basic eDp4", "bearer zz_0_0", ""):
        answer = browser.get("/v1/session", headers={"Authorization": given})
        assert answer.status_code == 401


INJECTIONS = (
    "' OR '1'='1",
    "x'; DROP TABLE accounts; --",
    "admin' --",
    '{"$ne": ""}',
    "${jndi:ldap://evil.example}",
    "%00",
    "../../etc/passwd",
    "<script>alert(1)</script>",
)


def test_injections_are_only_words(browser: httpx.Client, keys: dict[Role, str], name: str) -> None:
    headers = {"Authorization": f"Bearer {keys[Role.ADMINISTRATOR]}"}
    users = len(browser.get("/v1/users", headers=headers).json()["users"])
    for word in INJECTIONS:
        added = browser.post(
            "/v1/users",
            headers=headers,
            json={"name": word, "full_name": word, "roles": ["auditor"]},
        )
        assert added.status_code == 400
        assert word not in added.text
        reset = browser.post(f"/v1/users/{quote(word, safe='')}/disable", headers=headers)
        assert reset.status_code in (404, 422)
        assert (
            browser.delete(f"/v1/keys/{quote(word, safe='')}", headers=headers).status_code == 404
        )
    assert len(browser.get("/v1/users", headers=headers).json()["users"]) == users
    assert log_in(browser, "' OR 1=1 --", "' OR 1=1 --").status_code == 401


def answer_to(service: AttachedService, lines: bytes) -> bytes:
    """What the service sends to bytes that no client library would send."""
    host, port = service.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(lines)
        received = b""
        while piece := connection.recv(65536):
            received += piece
    return received


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param(b"Host: 127.0.0.1\r\nHost: evil.example\r\n", id="two hosts"),
        pytest.param(
            b"Host: 127.0.0.1\r\nX-Forwarded-Host: 127.0.0.1\r\nX-Original-URL: /livez\r\n",
            id="another address",
        ),
        pytest.param(b"Host: 127.0.0.1\r\nX-Remote-User: admin\r\n", id="a user's name"),
        pytest.param(
            b"Host: 127.0.0.1\r\nAuthorization: Bearer a\r\nAuthorization: Bearer b\r\n",
            id="two credentials",
        ),
        pytest.param(b"Host: 127.0.0.1\r\nX-HTTP-Method-Override: GET\r\n", id="another method"),
        pytest.param(b"Host: 127.0.0.1\r\nCookie: zhuzhen=a\x00b\r\n", id="a zero in a cookie"),
        pytest.param(b"Host: 127.0.0.1\r\nCookie: =;;=\xff; zhuzhen\r\n", id="no cookie"),
        pytest.param(b"Host : 127.0.0.1\r\n", id="a space in a name"),
    ],
)
def test_headers_open_nothing(service: AttachedService, lines: bytes) -> None:
    answer = answer_to(
        service, b"GET /v1/users HTTP/1.1\r\n" + lines + b"Connection: close\r\n\r\n"
    )

    assert re.match(rb"HTTP/1.1 4(00|01|21)", answer)


def test_no_header_can_be_put_into_an_answer(service: AttachedService) -> None:
    answer = answer_to(
        service,
        b"GET /v1/users/x%0d%0aSet-Cookie:%20zhuzhen=evil HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        b"Connection: close\r\n\r\n",
    )

    assert b"evil" not in answer


@pytest.mark.parametrize(
    "path",
    [
        "/v1/users/",
        "//v1/users",
        "/v1//users",
        "/v1/./users",
        "/livez/../v1/users",
        "/livez/%2e%2e/v1/users",
        "/livez;/v1/users",
        "/V1/USERS",
        "/v1/users%00",
        "/v1/users%2f",
        "/static_content/../v1/users",
        "/static_content/%2e%2e/%2e%2e/service.py",
        "/static_content/..%2f..%2fservice.py",
        "http://127.0.0.1/v1/users",
    ],
)
def test_no_path_leads_around(service: AttachedService, path: str) -> None:
    answer = answer_to(
        service,
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode(),
    )

    assert re.match(rb"HTTP/1.1 (400|401|404)", answer)
    assert b'"users"' not in answer
    assert b"import" not in answer


def test_bodies_are_small(browser: httpx.Client, keys: dict[Role, str]) -> None:
    headers = {"Authorization": f"Bearer {keys[Role.ADMINISTRATOR]}"}
    large: dict[str, Any] = {"label": "x" * 70_000}

    assert browser.post("/v1/keys", headers=headers, json=large).status_code == 413
    assert (
        browser.post("/v1/login", json={"name": "a", "password": "x" * 70_000}).status_code == 413
    )
    deep = b'{"label":' + b"[" * 30_000 + b"]" * 30_000 + b"}"
    sent = headers | JSON
    assert browser.post("/v1/keys", headers=sent, content=deep).status_code == 400
    for content in (b"", b"[]", b"null", b'{"label": NaN}', b"\xff", b'{"label": "x", "id": "1"}'):
        assert browser.post("/v1/keys", headers=sent, content=content).status_code == 400


def test_a_key_made_and_revoked_over_http(browser: httpx.Client, keys: dict[Role, str]) -> None:
    headers = {"Authorization": f"Bearer {keys[Role.ADMINISTRATOR]}"}
    wanted = {"label": "EHR", "institution": LOCAL, "scopes": ["discover"], "days": 1}
    made = browser.post("/v1/keys", headers=headers, json=wanted)
    assert made.status_code == 201
    own = {"Authorization": f"Bearer {made.json()['key']}"}

    assert browser.get("/v1/institutions", headers=own).status_code == 200
    assert browser.get("/metrics", headers=own).status_code == 403
    listed = browser.get("/v1/keys", headers=headers)
    assert made.json()["key"].split("_", 2)[2] not in listed.text
    assert browser.delete(f"/v1/keys/{made.json()['id']}", headers=headers).status_code == 204
    assert browser.get("/v1/institutions", headers=own).status_code == 401


def test_breaking_the_glass_over_http(browser: httpx.Client, keys: dict[Role, str]) -> None:
    doctor = {"Authorization": f"Bearer {keys[Role.PRIMARY_CLINICIAN]}"}
    patient = {"issuer": "county", "identifier": "ZhangSan-19800101"}
    given = {"patient": patient, "reason": "昏迷，无家属陪同，需查阅既往影像"}

    broken = browser.post("/v1/emergency-access", headers=doctor, json=given)

    assert broken.status_code == 201
    assert re.fullmatch(r"p-[a-z2-7]{26}", broken.json()["patient"])
    auditor = {"Authorization": f"Bearer {keys[Role.AUDITOR]}"}
    listed = browser.get("/v1/emergency-access", headers=auditor)
    assert broken.json()["id"] in listed.text
    assert "昏迷" not in listed.text
    one = f"/v1/emergency-access/{broken.json()['id']}"
    assert browser.get(one, headers=auditor).json()["reason"] == given["reason"]
    assert browser.get(one, headers=doctor).status_code == 403
    assert browser.get(one + "0", headers=auditor).status_code == 422
    review = f"/v1/emergency-access/{broken.json()['id']}/review"
    assert browser.post(review, headers=auditor).status_code == 204
    assert browser.post(review, headers=auditor).status_code == 422
    empty = browser.post("/v1/emergency-access", headers=doctor, json={**given, "reason": "?"})
    assert empty.status_code == 422


def test_guesses_from_one_address_are_slowed_down(browser: httpx.Client) -> None:
    """The last one here: it uses up the logins of this minute."""
    statuses = set()
    for _ in range(25):
        answer = browser.post(
            "/v1/login", content=b"{", headers={"Content-Type": "application/json"}
        )
        statuses.add(answer.status_code)

    assert statuses == {400, 429}
    assert int(answer.headers["retry-after"]) >= 1
