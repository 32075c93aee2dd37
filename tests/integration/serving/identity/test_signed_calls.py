"""Calls that a record system signs, and those of who would like to be it (CDS Hooks 2.0)."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from joserfc import jwt
from joserfc.errors import SecurityWarning
from joserfc.jwk import ECKey, RSAKey
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from serving.identity.cds_clients import CdsClient, CdsClients
from serving.identity.credentials import Credentials
from serving.identity.errors import CredentialRefusedError
from serving.identity.institutions import add_institution
from serving.identity.published_keys import KeysUnavailableError
from serving.identity.records import Tier
from serving.identity.signed_calls import ACTIONS, LEEWAY_S, CallVerifier
from serving.identity.used_tokens import UsedToken, use_once
from serving.policy import Actor, ActorKind, Role
from serving.records import open_engine, upgrade
from tests.record_system import ISSUER, RecordSystem, running_record_system

HOST = "zz.hospital.example"
PATH = "/cds-services/cardiometabolic-risk"
URL = f"https://{HOST}{PATH}"


@pytest.fixture(scope="module")
def system() -> Iterator[RecordSystem]:
    with running_record_system() as running:
        yield running


def clients(system: RecordSystem, **changes: Any) -> CdsClients:
    told: dict[str, Any] = {"institution": "county", "jku": system.jku} | changes
    return CdsClients({ISSUER: CdsClient("sandbox", ISSUER, **told)})


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """One database for what leaves nothing in it that others look at."""
    found = open_engine(f"sqlite:///{tmp_path_factory.mktemp('records') / 'records.sqlite3'}")
    upgrade(found)
    for name in ("county", "village"):
        add_institution(
            found, name, name=name, name_zh=name, tier=Tier.SECONDARY, now=datetime.now(UTC)
        )
    yield found
    found.dispose()


@pytest.fixture
def verifier(system: RecordSystem, records: Engine) -> CallVerifier:
    return CallVerifier(clients(system), records)


def scope_of(path: str = PATH) -> dict[str, Any]:
    return {
        "type": "http",
        "method": "POST",
        "scheme": "https",
        "path": path,
        "headers": [(b"host", HOST.encode())],
    }


def verify(
    verifier: CallVerifier, token: str, path: str = PATH, now: datetime | None = None
) -> Actor:
    return asyncio.run(verifier.verify(token, scope_of(path), now or datetime.now(UTC)))


def refusal(verifier: CallVerifier, token: str, path: str = PATH) -> CredentialRefusedError:
    with pytest.raises(CredentialRefusedError) as refused:
        verify(verifier, token, path)
    return refused.value


@pytest.mark.parametrize("algorithm", ["ES256", "ES384", "RS384"])
def test_a_listed_client_acts_for_its_institution(
    system: RecordSystem, verifier: CallVerifier, algorithm: str
) -> None:
    actor = verify(verifier, system.token(URL, algorithm))

    assert actor == Actor(
        "cds:sandbox", ActorKind.PROGRAM, frozenset({Role.SYSTEM}), "county", ACTIONS
    )


@pytest.mark.parametrize(
    ("path", "audience"),
    [
        ("/cds-services", f"https://{HOST}/cds-services"),
        (PATH, [URL]),
        (PATH, f"{URL}/"),
        (f"{PATH}/feedback", f"{URL}/feedback"),
        (f"{PATH}/feedback", URL),
    ],
)
def test_it_is_meant_for_the_url_that_is_called(
    system: RecordSystem, verifier: CallVerifier, path: str, audience: object
) -> None:
    assert verify(verifier, system.token(audience), path).institution == "county"


def test_behind_a_proxy_the_service_may_have_another_address(
    system: RecordSystem, records: Engine
) -> None:
    known = CdsClients(clients(system).by_issuer, ("https://cloud.example/zz",))
    verifier = CallVerifier(known, records)

    assert verify(verifier, system.token(f"https://cloud.example/zz{PATH}")).institution == "county"
    assert refusal(verifier, system.token(URL)).reason == "token_audience"


def test_a_token_is_good_once_in_every_process(system: RecordSystem, engine: Engine) -> None:
    workers = [CallVerifier(clients(system), engine) for _ in range(2)]
    token = system.token(URL)

    assert verify(workers[0], token).institution == "county"
    assert [refusal(worker, token).reason for worker in workers] == ["token_replayed"] * 2
    # Nor does the same identifier make another token of it.
    again = system.token(URL, jti="1")
    other = system.token(URL, jti="1", exp=round(time.time()) + 200)
    assert verify(workers[1], again).institution == "county"
    assert refusal(workers[0], other).reason == "token_replayed"


def test_of_many_that_come_at_once_one_is_taken(engine: Engine) -> None:
    now = datetime.now(UTC)

    def take(_: int) -> bool:
        return use_once(engine, ISSUER, "same", expires_at=now + timedelta(minutes=5), now=now)

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(take, range(24))) == 1


def test_what_nobody_takes_any_more_is_not_kept(system: RecordSystem, engine: Engine) -> None:
    verifier = CallVerifier(clients(system), engine)
    verify(verifier, system.token(URL))
    later = datetime.now(UTC) + timedelta(seconds=300 + 2 * LEEWAY_S + 2)
    ends = round(later.timestamp()) + 60

    verify(verifier, system.token(URL, exp=ends, iat=ends - 100), now=later)

    with Session(engine) as session:
        assert session.scalar(select(func.count()).select_from(UsedToken)) == 1


NOW = round(time.time())


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        pytest.param({"exp": NOW - 3600}, "expired", id="expired"),
        pytest.param({"exp": None}, "claims", id="without an end"),
        pytest.param({"exp": str(NOW + 300)}, "claims", id="an end that is text"),
        pytest.param({"exp": 1e300}, "claims", id="an end beyond every calendar"),
        pytest.param({"exp": NOW + 90_000}, "long-lived", id="good for a day"),
        pytest.param({"iat": NOW + 3600}, "early", id="made in the future"),
        pytest.param({"iat": None}, "claims", id="made at no time"),
        pytest.param({"iat": True}, "claims", id="made at a truth"),
        pytest.param({"nbf": NOW + 3600}, "early", id="not yet valid"),
        pytest.param({"jti": None}, "claims", id="without an identifier"),
        pytest.param({"jti": ""}, "claims", id="an empty identifier"),
        pytest.param({"jti": 7}, "claims", id="an identifier that is no text"),
        pytest.param({"jti": "x" * 300}, "claims", id="an endless identifier"),
        pytest.param({"audience": None}, "claims", id="for nobody"),
        pytest.param({"audience": [URL, 3]}, "claims", id="for what is no URL"),
        pytest.param({"audience": "https://other.example"}, "audience", id="for others"),
        pytest.param({"audience": URL.replace("risk", "x")}, "audience", id="another one"),
        pytest.param({"audience": f"{URL}.evil"}, "audience", id="begins like ours"),
        pytest.param({"iss": "https://other.example"}, "issuer", id="of an unlisted issuer"),
        pytest.param({"iss": None}, "issuer", id="of nobody"),
        pytest.param({"iss": [ISSUER]}, "issuer", id="of several"),
        pytest.param({"header": {"jku": "https://evil.example/k"}}, "jku", id="unlisted keys"),
        pytest.param({"header": {"kid": None}}, "kid", id="a key without a name"),
        pytest.param({"header": {"kid": "other"}}, "key", id="an unknown key"),
        pytest.param({"header": {"typ": "at+jwt"}}, "malformed", id="a token of another kind"),
    ],
)
def test_what_must_not_be_believed(
    system: RecordSystem, verifier: CallVerifier, changes: dict[str, Any], reason: str
) -> None:
    error = refusal(verifier, system.token(**{"audience": URL, **changes}))

    assert error.reason == f"token_{reason}"
    assert "evil" not in str(error)


def encoded(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def test_no_address_but_the_listed_one_is_asked(
    system: RecordSystem, verifier: CallVerifier
) -> None:
    elsewhere = system.jku.replace("jwks.json", "mine.json")

    assert refusal(verifier, system.token(URL, header={"jku": elsewhere})).reason == "token_jku"
    assert "/.well-known/mine.json" not in system.asked_for_keys


def test_nobody_signs_for_the_client(system: RecordSystem, verifier: CallVerifier) -> None:
    head, claims, signature = system.token(URL).split(".")
    mine = ECKey.generate_key("P-384", {"kid": "es384"})
    own = json.loads(base64.urlsafe_b64decode(claims + "=="))
    forged = {
        "another key under the name of a known one": jwt.encode(
            {"alg": "ES384", "kid": "es384"}, own, mine, ["ES384"]
        ),
        "a key that came with the token": jwt.encode(
            {"alg": "ES384", "kid": "es384", "jwk": mine.as_dict(private=False)},
            own,
            mine,
            ["ES384"],
        ),
        "other claims": f"{head}.{encoded({**own, 'jti': 'x'})}.{signature}",
        "no signature": f"{head}.{claims}.",
    }
    for token in forged.values():
        assert refusal(verifier, token).reason == "token_signature"


@pytest.mark.parametrize("algorithm", ["none", "NONE", "", None, "HS256", "HS384", "dir"])
def test_an_algorithm_without_a_private_key(
    system: RecordSystem, verifier: CallVerifier, algorithm: str | None
) -> None:
    claims = system.token(URL).split(".")[1]
    for signature in ("", "AAAA"):
        token = f"{encoded({'alg': algorithm, 'kid': 'es384'})}.{claims}.{signature}"
        assert refusal(verifier, token).reason == "token_algorithm"


def test_the_public_key_is_no_shared_secret(system: RecordSystem, verifier: CallVerifier) -> None:
    claims = system.token(URL).split(".")[1]
    body = f"{encoded({'alg': 'HS256', 'kid': 'rs384'})}.{claims}"
    made = hmac.digest(system.keys["RS384"].as_pem(private=False), body.encode(), hashlib.sha256)
    token = f"{body}.{base64.urlsafe_b64encode(made).decode().rstrip('=')}"

    assert refusal(verifier, token).reason == "token_algorithm"


@pytest.mark.parametrize(
    "token",
    ["", "..", "a.b.c", "é.é.é", f"{encoded([])}.e30.AAAA", "a" * 9000, f"{encoded({})}.e30"],
)
def test_what_is_no_token(verifier: CallVerifier, token: str) -> None:
    assert refusal(verifier, token).reason in ("token_malformed", "token_algorithm")


def test_short_keys_prove_nothing(
    system: RecordSystem, records: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with warnings.catch_warnings(action="ignore", category=SecurityWarning):
        short = RSAKey.generate_key(1024, {"kid": "rs384"})
    monkeypatch.setitem(system.keys, "RS384", short)
    with warnings.catch_warnings(action="ignore", category=SecurityWarning):
        token = system.token(URL, "RS384")

    assert refusal(CallVerifier(clients(system), records), token).reason == "token_key"


def test_keys_that_were_handed_over_need_no_network(system: RecordSystem, records: Engine) -> None:
    keys = tuple(system.published["keys"])
    listed = clients(system, keys=keys, jku="https://unreachable.invalid/keys")
    verifier = CallVerifier(listed, records)

    token = system.token(URL, header={"jku": "https://unreachable.invalid/keys"})

    assert verify(verifier, token).institution == "county"


def test_keys_that_cannot_be_had_are_no_refusal(system: RecordSystem, records: Engine) -> None:
    verifier = CallVerifier(clients(system, jku="http://127.0.0.1:9/keys"), records)

    with pytest.raises(KeysUnavailableError):
        verify(verifier, system.token(URL, header={"jku": None}))


def test_one_system_may_act_for_several_institutions(system: RecordSystem, records: Engine) -> None:
    tenants = {"t-1": "county", "t-2": "village", "t-3": "closed"}
    verifier = CallVerifier(clients(system, institution=None, tenants=tenants), records)

    assert verify(verifier, system.token(URL, tenant="t-2")).institution == "village"
    for tenant, reason in ((None, "tenant"), ("t-9", "tenant"), (["t-1"], "tenant")):
        assert refusal(verifier, system.token(URL, tenant=tenant)).reason == f"token_{reason}"
    assert refusal(verifier, system.token(URL, tenant="t-3")).reason == "token_institution"


def test_elsewhere_it_is_no_credential(system: RecordSystem, records: Engine) -> None:
    credentials = Credentials(records, cds_clients=clients(system))

    def actor_at(path: str) -> Actor:
        token = system.token(f"https://{HOST}{path}")
        scope = scope_of(path)
        scope["headers"].append((b"authorization", f"Bearer {token}".encode()))
        return asyncio.run(credentials.actor_of(scope))

    assert actor_at(PATH).institution == "county"
    for path in ("/v1/score-risk", "/fhir/$assess-risk", "/v1/keys"):
        with pytest.raises(CredentialRefusedError):
            actor_at(path)
