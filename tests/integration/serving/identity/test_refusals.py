"""Why a credential was refused: in the audit record and the log, and nowhere else."""

import asyncio
import contextlib
import io
import json
import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey
from sqlalchemy import Engine
from starlette.applications import Starlette

from serving.access import Guard, GuardPost
from serving.audit import Outcome
from serving.doors.parts import TABLE
from serving.entrance import Entrance
from serving.identity import accounts, sessions, tokens
from serving.identity.credentials import Credentials
from serving.identity.keys import id_of, make_key, revoke_key
from serving.logs import JsonLines
from serving.policy import Role
from serving.privacy import Keyring
from tests.guards import MemoryRecorder
from tests.openid_provider import AUDIENCE, Provider, running_provider

NOTHING = Starlette()


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")
        with running_provider() as running:
            yield running


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What the service's log has of identity."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    logger = logging.getLogger("zhuzhen.identity")
    logger.addHandler(handler)
    yield stream
    logger.removeHandler(handler)


def a_token(provider: Provider, *, expires_in_s: int = 300, **changes: str) -> str:
    claims = {
        "iss": provider.issuer,
        "aud": AUDIENCE,
        "sub": "dr-li",
        "exp": int((datetime.now(UTC) + timedelta(seconds=expires_in_s)).timestamp()),
        **changes,
    }
    key = provider.keys.keys[0]
    return jwt.encode({"alg": "RS256", "kid": key.kid}, claims, key)


def by_another(provider: Provider, issuer: str | None = None) -> str:
    own = RSAKey.generate_key(2048)
    claims = {"iss": issuer or provider.issuer, "aud": AUDIENCE, "sub": "x", "exp": 9999999999}
    return jwt.encode({"alg": "RS256", "kid": provider.keys.keys[0].kid}, claims, own)


def unsigned(provider: Provider) -> str:
    token = a_token(provider).split(".")
    # Its header says that the algorithm is "none".
    return f"eyJhbGciOiJub25lIn0.{token[1]}."


BEARERS: dict[str, Callable[[Provider], str]] = {
    "token_expired": lambda provider: a_token(provider, expires_in_s=-3600),
    "token_wrong_audience": lambda provider: a_token(provider, aud="https://other.example"),
    "token_wrong_issuer": lambda provider: a_token(provider, iss="https://other.example"),
    "token_unknown_institution": lambda provider: a_token(provider, zhuzhen_institution="nobody"),
    "token_bad_signature": by_another,
    "token_unknown_issuer": lambda provider: by_another(provider, "https://other.example"),
    "token_algorithm": unsigned,
    "token_malformed": lambda provider: "ZhangSan-19800101",
    "key_malformed": lambda provider: "zz_ZhangSan_19800101",
    "key_unknown": lambda provider: f"zz_{'0' * 16}_{'A' * 43}",
}


def test_a_token_of_an_institution_that_is_known_is_taken_until_it_is_not(
    engine: Engine, keyring: Keyring, provider: Provider
) -> None:
    for institution in ("county", None):
        claims = {"zhuzhen_institution": institution} if institution else {}
        bearer = {"Authorization": f"Bearer {a_token(provider, expires_in_s=300, **claims)}"}
        _, recorder = ask(engine, keyring, provider, bearer)
        assert {event.institution for event in recorder.events} <= {institution}
        assert all(event.reason != "token_unknown_institution" for event in recorder.events)
        assert {event.actor for event in recorder.events} == {"oidc:dr-li"}


@pytest.mark.parametrize("reason", BEARERS)
def test_a_bearers_refusal(
    engine: Engine, keyring: Keyring, provider: Provider, log: io.StringIO, reason: str
) -> None:
    bearer = BEARERS[reason](provider)

    answer, recorder = ask(engine, keyring, provider, {"Authorization": f"Bearer {bearer}"})

    assert answer.status_code == 401
    # RFC 6750, section 3.1: an error code, which says nothing of why.
    assert answer.headers["www-authenticate"] == 'Bearer realm="zhuzhen", error="invalid_token"'
    assert_told(reason, bearer, answer, recorder, log)


def test_a_revoked_keys_refusal(
    engine: Engine, keyring: Keyring, provider: Provider, log: io.StringIO
) -> None:
    key = make_key(engine, label="x", roles=[Role.SYSTEM])
    revoke_key(engine, id_of(key))

    answer, recorder = ask(engine, keyring, provider, {"Authorization": f"Bearer {key}"})

    assert_told("key_revoked", key, answer, recorder, log)


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({}, "no_credential"),
        ({"Authorization": "Basic WmhhbmdTYW46MTk4MDAxMDE="}, "not_bearer"),
        ({"Cookie": f"zhuzhen={'A' * 43}"}, "session_unknown"),
    ],
)
def test_what_is_no_bearer_is_asked_for_one(
    engine: Engine,
    keyring: Keyring,
    provider: Provider,
    log: io.StringIO,
    headers: dict[str, str],
    reason: str,
) -> None:
    answer, recorder = ask(engine, keyring, provider, headers)

    assert answer.headers["www-authenticate"] == 'Bearer realm="zhuzhen"'
    assert_told(reason, "".join(headers.values()) or "nothing", answer, recorder, log)


def test_another_sites_page_is_on_record_as_whose_session_it_used(
    engine: Engine, keyring: Keyring, provider: Provider, log: io.StringIO
) -> None:
    now = datetime.now(UTC)
    account, _ = accounts.add_account(
        engine, "li.ming", full_name="李 明", roles=[Role.AUDITOR], institution=None, now=now
    )
    begun = sessions.begin_session(engine, account.id, now)
    cookie = {"Cookie": f"zhuzhen={begun.token}"}

    answer, recorder = ask(engine, keyring, provider, cookie, "POST", "/v1/logout")

    assert answer.status_code == 403
    (event,) = recorder.events
    assert (event.actor, event.reason) == (f"account:{account.id}", "forged_request")
    assert "forged_request" in log.getvalue()
    assert begun.token not in log.getvalue() + str(recorder.events)


def test_nobody_can_tell_while_the_provider_is_away(
    engine: Engine, keyring: Keyring, provider: Provider
) -> None:
    away = Provider("http://127.0.0.1:9", provider.keys)
    bearer = {"Authorization": f"Bearer {a_token(provider)}"}

    answer, recorder = ask(engine, keyring, away, bearer)

    assert answer.status_code == 503
    (event,) = recorder.events
    assert (event.outcome, event.reason) == (Outcome.FAILED, "keys_unavailable")


def ask(
    engine: Engine,
    keyring: Keyring,
    provider: Provider,
    headers: dict[str, str],
    method: str = "GET",
    path: str = "/v1/session",
) -> tuple[httpx.Response, MemoryRecorder]:
    """Ask the entrance of a service that trusts `provider`."""
    recorder = MemoryRecorder()
    credentials = Credentials(engine, tokens.Provider(provider.issuer, AUDIENCE))
    guard = Guard(engine, recorder, credentials, keyring)

    async def send() -> httpx.Response:
        post = GuardPost()
        with post.manned(lambda: contextlib.nullcontext(guard)):
            transport = httpx.ASGITransport(Entrance(NOTHING, TABLE, post))
            async with httpx.AsyncClient(
                transport=transport, base_url="http://127.0.0.1"
            ) as client:
                return await client.request(method, path, headers=headers)

    return asyncio.run(send()), recorder


def assert_told(
    reason: str,
    secret: str,
    answer: httpx.Response,
    recorder: MemoryRecorder,
    log: io.StringIO,
) -> None:
    """The reason is where the operator looks, and the credential nowhere."""
    (event,) = recorder.events
    assert (event.outcome, event.reason, event.actor) == (Outcome.DENIED, reason, "anonymous")
    line = json.loads(log.getvalue())
    assert (line["reason"], line["request_id"]) == (reason, event.request_id)
    told = f"{answer.text} {answer.headers}"
    assert reason not in told
    for place in (told, log.getvalue(), str(event)):
        assert secret not in place
        assert "dr-li" not in place
