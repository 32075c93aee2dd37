"""Tokens of a real OpenID Connect provider, and of those who would like to be one."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

from serving.identity import published_keys, tokens
from serving.identity.errors import BearerRefusedError
from serving.identity.published_keys import KeysUnavailableError
from serving.identity.tokens import TokenVerifier
from serving.identity.verified import Verified
from serving.policy import Action, ActorKind, Role
from tests.openid_provider import AUDIENCE, Provider, running_provider


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with pytest.MonkeyPatch.context() as patch:
        # The provider is on this machine, where plain HTTP is right.
        patch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")
        with running_provider() as running:
            yield running


@pytest.fixture
def verifier(provider: Provider) -> TokenVerifier:
    return TokenVerifier(tokens.Provider(provider.issuer, AUDIENCE))


def verify(verifier: TokenVerifier, token: str, now: datetime | None = None) -> Verified:
    return asyncio.run(verifier.verify(token, now or datetime.now(UTC)))


def token_of_a_program(provider: Provider, scope: str) -> str:
    answer = httpx.post(
        f"{provider.issuer}/token",
        auth=("ris", "ris-secret"),
        data={"grant_type": "client_credentials", "scope": scope},
    )
    return str(answer.raise_for_status().json()["access_token"])


def token_of_a_person(provider: Provider, scope: str, subject: str = "dr-li") -> str:
    redirect = "https://ehr.example/callback"
    asked = {"response_type": "code", "client_id": "ehr", "redirect_uri": redirect}
    answer = httpx.get(
        f"{provider.issuer}/authorize", params={**asked, "scope": scope, "subject": subject}
    )
    code = parse_qs(urlsplit(answer.headers["location"]).query)["code"][0]
    answer = httpx.post(
        f"{provider.issuer}/token",
        auth=("ehr", "ehr-secret"),
        data={"grant_type": "authorization_code", "code": code, "redirect_uri": redirect},
    )
    return str(answer.raise_for_status().json()["access_token"])


def claims_of(provider: Provider, **changes: Any) -> dict[str, Any]:
    now = int(datetime.now(UTC).timestamp())
    claims = {
        "iss": provider.issuer,
        "aud": AUDIENCE,
        "sub": "dr-li",
        "iat": now,
        "exp": now + 300,
        "scope": "user/*.rs",
        "zhuzhen_roles": ["specialist"],
        "zhuzhen_institution": "county",
    } | changes
    return {name: value for name, value in claims.items() if value is not None}


def signed(provider: Provider, *, header: dict[str, Any] | None = None, **changes: Any) -> str:
    key = provider.keys.keys[0]
    head = {"alg": "RS256", "kid": key.kid} | (header or {})
    return jwt.encode(head, claims_of(provider, **changes), key, ["RS256", "PS256"])


def encoded(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def test_a_program_is_what_its_provider_says(provider: Provider, verifier: TokenVerifier) -> None:
    found = verify(verifier, token_of_a_program(provider, "system/ImagingStudy.rs")).actor
    assert found.id == "oidc:ris"
    assert found.kind is ActorKind.PROGRAM
    assert found.roles == {Role.SYSTEM}
    assert found.institution == "county"
    assert found.scopes is not None
    assert Action.READ_IMAGES in found.scopes
    assert Action.STORE_IMAGES not in found.scopes


def test_a_person_logs_in_at_the_provider(provider: Provider, verifier: TokenVerifier) -> None:
    token = token_of_a_person(provider, "openid user/Task.cruds zhuzhen/write_reviews")
    found = verify(verifier, token).actor
    assert found.kind is ActorKind.PERSON
    assert found.roles == {Role.SPECIALIST}
    assert found.scopes is not None
    assert found.scopes >= {Action.WORK_ON_TASKS, Action.WRITE_REVIEWS}
    assert Action.READ_IMAGES not in found.scopes


def test_a_subject_that_is_no_token_is_hashed(provider: Provider, verifier: TokenVerifier) -> None:
    found = verify(verifier, token_of_a_person(provider, "user/*.rs", "李 医生")).actor
    assert found.id.startswith("oidc:sha256-")


def test_it_ends_when_the_token_does(provider: Provider, verifier: TokenVerifier) -> None:
    token = signed(provider)
    until = verify(verifier, token).expires_at
    assert until - datetime.now(UTC) < timedelta(seconds=361)
    with pytest.raises(BearerRefusedError, match="expired"):
        verify(verifier, token, until + timedelta(seconds=1))


@pytest.mark.parametrize("clock_is_off", [timedelta(days=-1), timedelta(days=1)])
def test_a_clock_that_jumps_lets_nothing_in(
    provider: Provider, verifier: TokenVerifier, clock_is_off: timedelta
) -> None:
    with pytest.raises(BearerRefusedError):
        verify(verifier, signed(provider), datetime.now(UTC) + clock_is_off)


HOUR_AGO, IN_AN_HOUR = -3600, 3600


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        pytest.param({"exp": HOUR_AGO}, "expired", id="expired"),
        pytest.param({"exp": None}, "missing_claim", id="without an end"),
        pytest.param({"exp": "never"}, "claims", id="an end that is no number"),
        pytest.param({"exp": "10" * 400}, "claims", id="an end that is a long text"),
        pytest.param({"nbf": IN_AN_HOUR}, "not_yet_valid", id="not yet valid"),
        pytest.param({"iat": IN_AN_HOUR}, "not_yet_valid", id="made in the future"),
        pytest.param({"aud": "https://other.example"}, "wrong_audience", id="for another service"),
        pytest.param({"aud": None}, "missing_claim", id="for nobody"),
        pytest.param(
            {"aud": f"{AUDIENCE}.evil.example"},
            "wrong_audience",
            id="for a name that begins like ours",
        ),
        pytest.param({"iss": "https://other.example"}, "wrong_issuer", id="of another issuer"),
        pytest.param({"iss": None}, "missing_claim", id="of nobody"),
        pytest.param({"sub": None}, "missing_claim", id="about nobody"),
        pytest.param({"sub": {"$ne": ""}}, "claims", id="a subject that is no text"),
        pytest.param({"scope": ["user/*.*"]}, "claims", id="scopes that are no text"),
        pytest.param({"zhuzhen_roles": "administrator"}, "claims", id="roles that are no list"),
        pytest.param(
            {"zhuzhen_institution": ["county"]}, "claims", id="an institution that is no text"
        ),
        pytest.param({"zhuzhen_institution": 5}, "claims", id="an institution that is a number"),
    ],
)
def test_claims_that_must_not_be_believed(
    provider: Provider, verifier: TokenVerifier, changes: dict[str, Any], reason: str
) -> None:
    now = int(datetime.now(UTC).timestamp())
    moved: dict[str, Any] = {
        name: now + value if isinstance(value, int) else value for name, value in changes.items()
    }
    with pytest.raises(BearerRefusedError) as refused:
        verify(verifier, signed(provider, **moved))
    assert refused.value.reason == f"token_{reason}"
    assert "dr-li" not in str(refused.value)


def test_an_end_that_no_clock_reaches_is_an_end(
    provider: Provider, verifier: TokenVerifier
) -> None:
    for end in (10**14, 10**400):
        until = verify(verifier, signed(provider, exp=end)).expires_at
        assert until - datetime.now(UTC) <= timedelta(days=1)


def test_nobody_signs_for_the_provider(provider: Provider, verifier: TokenVerifier) -> None:
    own = RSAKey.generate_key(2048, auto_kid=True)
    kid = provider.keys.keys[0].kid
    forged = {
        "another key under the name of a known one": jwt.encode(
            {"alg": "RS256", "kid": kid}, claims_of(provider), own
        ),
        "a key that came with the token": jwt.encode(
            {"alg": "RS256", "jwk": own.as_dict(private=False)}, claims_of(provider), own
        ),
        "keys at an address in the token": jwt.encode(
            {"alg": "RS256", "jku": "https://evil.example/keys"}, claims_of(provider), own
        ),
        "an unknown key": jwt.encode({"alg": "RS256", "kid": "mine"}, claims_of(provider), own),
    }
    # A header with a whole key in it is longer than any that is read.
    reasons = {"an unknown key": "unknown_key", "a key that came with the token": "too_long"}
    for told, token in forged.items():
        with pytest.raises(BearerRefusedError) as refused:
            verify(verifier, token)
        assert refused.value.reason == f"token_{reasons.get(told, 'bad_signature')}"


@pytest.mark.parametrize("kind", ["logout+jwt", "dpop+jwt", "secevent+jwt", "", ["JWT"], 1])
def test_what_else_the_provider_signs_is_no_access_token(
    provider: Provider, verifier: TokenVerifier, kind: Any
) -> None:
    body = f"{encoded({'alg': 'RS256', 'typ': kind})}.{encoded(claims_of(provider))}"
    with pytest.raises(BearerRefusedError, match="token_type"):
        verify(verifier, f"{body}.AAAA")
    for right in ("JWT", "at+jwt", "application/at+jwt", "AT+JWT"):
        assert verify(verifier, signed(provider, header={"typ": right})).actor.id == "oidc:dr-li"


def test_who_else_signs_tokens_is_told_apart(provider: Provider, verifier: TokenVerifier) -> None:
    own = RSAKey.generate_key(2048, auto_kid=True)
    elsewhere = claims_of(provider, iss="https://other.example")
    token = jwt.encode({"alg": "RS256", "kid": own.kid}, elsewhere, own)
    with pytest.raises(BearerRefusedError, match="unknown_issuer"):
        verify(verifier, token)


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", "", None, "HS256", "dir"])
def test_an_algorithm_without_a_private_key(
    provider: Provider, verifier: TokenVerifier, algorithm: str | None
) -> None:
    body = f"{encoded({'alg': algorithm, 'typ': 'JWT'})}.{encoded(claims_of(provider))}"
    for signature in ("", "AAAA"):
        with pytest.raises(BearerRefusedError, match="token_algorithm"):
            verify(verifier, f"{body}.{signature}")


def test_the_public_key_is_no_shared_secret(provider: Provider, verifier: TokenVerifier) -> None:
    public = provider.keys.keys[0]
    assert isinstance(public, RSAKey)
    for secret in (
        public.as_pem(private=False),
        public.as_pem(private=False).strip(),
        json.dumps(public.as_dict(private=False)).encode(),
    ):
        head = encoded({"alg": "HS256", "kid": public.kid})
        body = f"{head}.{encoded(claims_of(provider))}"
        made = base64.urlsafe_b64encode(hmac.digest(secret, body.encode(), hashlib.sha256))
        with pytest.raises(BearerRefusedError):
            verify(verifier, f"{body}.{made.decode().rstrip('=')}")


def test_a_changed_token(provider: Provider, verifier: TokenVerifier) -> None:
    head, _, signature = signed(provider).split(".")
    more = claims_of(provider, zhuzhen_roles=["administrator"])
    for token in (
        f"{head}.{encoded(more)}.{signature}",
        f"{head}.{encoded(claims_of(provider))}.",
        f"{head}.{encoded(claims_of(provider))}",
    ):
        with pytest.raises(BearerRefusedError):
            verify(verifier, token)


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "..",
        "...",
        "a.b.c",
        "é.é.é",
        "\x00.\x00.\x00",
        encoded([]) + "..",
        encoded({"alg": "RS256", "kid": {"a": 1}}) + ".e30.AAAA",
        encoded({"alg": "RS256", "crit": ["b64"], "b64": False}) + ".e30.AAAA",
        "a" * 9000 + ".e30.AAAA",
        base64.urlsafe_b64encode(b"[" * 5000).decode().rstrip("=") + ".e30.AAAA",
    ],
)
def test_what_is_no_token(verifier: TokenVerifier, token: str) -> None:
    with pytest.raises(BearerRefusedError):
        verify(verifier, token)


def test_a_person_is_no_program_and_the_other_way_round(
    provider: Provider, verifier: TokenVerifier
) -> None:
    both = ["system", "specialist", "king"]
    person = verify(verifier, signed(provider, scope="user/*.*", zhuzhen_roles=both)).actor
    program = verify(verifier, signed(provider, scope="system/*.*", zhuzhen_roles=both)).actor
    assert person.roles == {Role.SPECIALIST}
    assert program.roles == {Role.SYSTEM}


def test_new_keys_of_the_provider_are_found(
    provider: Provider, verifier: TokenVerifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    verify(verifier, signed(provider))
    provider.rotate()
    # Not asked for again at once, however many tokens name keys that are not known.
    asked = len(provider.asked_for_keys)
    for _ in range(3):
        with pytest.raises(BearerRefusedError):
            verify(verifier, signed(provider))
    assert len(provider.asked_for_keys) == asked
    monkeypatch.setattr(published_keys, "ASKED_AGAIN_S", 0.0)
    verify(verifier, signed(provider))
    verify(verifier, token_of_a_program(provider, "system/*.rs"))


def test_a_provider_that_does_not_answer_lets_nobody_in() -> None:
    verifier = TokenVerifier(tokens.Provider("http://127.0.0.1:9", AUDIENCE))
    with pytest.raises(KeysUnavailableError):
        verify(verifier, encoded({"alg": "RS256"}) + ".e30.AAAA")


@pytest.mark.parametrize(
    ("issuer", "audience"),
    [
        ("http://op.example", "a"),
        ("ftp://op.example", "a"),
        ("op", "a"),
        ("https://op.example", ""),
    ],
)
def test_a_provider_must_be_described_safely(issuer: str, audience: str) -> None:
    with pytest.raises(tokens.ProviderSettingError, match="ZHUZHEN_OIDC_"):
        tokens.Provider(issuer, audience)


def test_no_shared_secret_is_taken_from_the_provider(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = OctKey.import_key("a shared secret that anybody may read", {"kid": "shared"})
    monkeypatch.setattr(provider.keys, "keys", [*provider.keys.keys, secret])
    verifier = TokenVerifier(tokens.Provider(provider.issuer, AUDIENCE))
    token = jwt.encode({"alg": "HS256", "kid": "shared"}, claims_of(provider), secret)
    with pytest.raises(BearerRefusedError):
        verify(verifier, token)
