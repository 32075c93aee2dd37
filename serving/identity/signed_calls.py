"""Calls that a record system signs itself: the client authentication of CDS Hooks 2.0
(https://cds-hooks.hl7.org/2.0/#trusting-cds-clients).

Every request brings a JWT of its own, made for the URL that is called and good for one use. Who may
sign, with which keys, and for which institution, the operator's list says
(`serving.identity.cds_clients`); of a token nothing is believed before its signature (RFC 8725).
Such a token is a credential of the CDS Hooks endpoints and of nothing else.
"""

import asyncio
import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from joserfc import jwt
from joserfc.errors import BadSignatureError, JoseError
from joserfc.jwk import Key
from joserfc.jws import JWSRegistry
from sqlalchemy import Engine
from sqlalchemy.orm import Session
from starlette.types import Scope

from serving.identity.cds_clients import CdsClient, CdsClients
from serving.identity.errors import SignedCallRefusedError
from serving.identity.published_keys import Get, PublishedKeys, key_set
from serving.identity.records import Institution
from serving.identity.tokens import ALGORITHMS
from serving.identity.used_tokens import use_once
from serving.policy import Action, Actor, ActorKind, Role

PATHS = "/cds-services"
"""Where these tokens are a credential."""
ACTIONS = frozenset({Action.DISCOVER, Action.SCORE_RISK, Action.GIVE_FEEDBACK})
LEEWAY_S = 60
"""By how much the client's clock may differ."""
LONGEST_LIFE_S = 3600
"""From now to `exp`: a token is remembered for as long, so that it is not taken twice. The standard
names no limit; clients make one for each request, good for some minutes."""
_LONGEST_TOKEN = 8192
_LONGEST_ID = 255
_FEEDBACK = "/feedback"

_TOLD: Mapping[str, str] = {
    "malformed": "The bearer token is no signed JWT with the header and claims of CDS Hooks 2.0",
    "algorithm": "The JWT's algorithm is not taken; expected a signature with a private key, such "
    "as ES384 or RS384",
    "kid": "The JWT's header names no kid; expected the identifier of the key that it is signed "
    "with",
    "issuer": "The JWT's iss is not on this service's list of CDS clients; its operator can add "
    "it to cds-clients.yaml",
    "jku": "The JWT's jku is not the address that this service's list has for its iss; its "
    "operator can change it in cds-clients.yaml",
    "key": "None of the client's keys that may be used has the JWT's kid; publish the key first, "
    "then sign with it",
    "signature": "The JWT's signature does not fit the client's key of its kid",
    "claims": "The JWT lacks a claim or has one of the wrong type; expected iss and jti as text, "
    "aud, and exp and iat as numbers of seconds",
    "audience": "The JWT's aud is not the URL that was called; expected {expected}",
    "expired": "The JWT has expired; make a new one for each request, and check the client's clock",
    "early": "The JWT is not valid yet (iat or nbf); check the client's clock",
    "long-lived": f"The JWT is valid for too long; expected exp at most {LONGEST_LIFE_S} s ahead",
    "tenant": "The JWT's tenant is none that this service's list has for its iss; its operator "
    "can add it to cds-clients.yaml",
    "institution": "The institution that the client acts for does not exist here; its operator "
    "can add it with zhuzhen institutions add",
    "replayed": "The JWT was used before; make a new one, with a jti of its own, for each request",
}


class CallVerifier:
    """Verifies the tokens of the clients on the list."""

    def __init__(self, clients: CdsClients, engine: Engine) -> None:
        self._clients = clients
        self._engine = engine
        self._published = {
            client.issuer: _published(client)
            for client in clients.by_issuer.values()
            if not client.keys
        }
        self._handed_over = {
            client.issuer: key_set({"keys": list(client.keys)})
            for client in clients.by_issuer.values()
            if client.keys
        }
        self._registry = JWSRegistry(algorithms=ALGORITHMS, strict_check_header=False)

    def __bool__(self) -> bool:
        """Whether anybody is on the list."""
        return bool(self._clients.by_issuer)

    def knows(self, token: str) -> bool:
        """Whether a token claims to be of somebody on the list, which nothing vouches for yet."""
        try:
            return _peek(token)[1].get("iss") in self._clients.by_issuer
        except SignedCallRefusedError:
            return False

    async def verify(self, token: str, scope: Scope, now: datetime) -> Actor:
        """Return who signed `token` for the request of `scope`; it is not taken a second time.

        Raises:
            SignedCallRefusedError: it is not valid for this request.
            KeysUnavailableError: the client's keys cannot be had.
        """
        header, claimed = _peek(token)
        client = self._client(header, claimed)
        claims = self._signed(token, await self._candidates(client, header["kid"]))
        ends = _require_claims(claims, self._addresses(scope), now)
        institution = _institution(client, claims)
        await asyncio.to_thread(self._take, client, institution, claims["jti"], ends, now)
        return Actor(
            id=f"cds:{client.name}",
            kind=ActorKind.PROGRAM,
            roles=frozenset({Role.SYSTEM}),
            institution=institution,
            scopes=ACTIONS,
        )

    def _client(self, header: Mapping[str, Any], claimed: Mapping[str, Any]) -> CdsClient:
        if header.get("alg") not in ALGORITHMS:
            raise _refused("algorithm")
        if str(header.get("typ", "JWT")).upper() != "JWT" or "crit" in header:
            raise _refused("malformed")
        if not isinstance(header.get("kid"), str):
            raise _refused("kid")
        issuer = claimed.get("iss")
        client = self._clients.by_issuer.get(issuer) if isinstance(issuer, str) else None
        if client is None:
            raise _refused("issuer")
        if header.get("jku", client.jku) != client.jku:
            raise _refused("jku")
        return client

    async def _candidates(self, client: CdsClient, kid: str) -> list[Key]:
        if client.keys:
            keys = [key for key in self._handed_over[client.issuer] if key.kid == kid]
        else:
            keys = await self._published[client.issuer].candidates(kid)
        if not keys:
            raise _refused("key")
        return keys

    def _signed(self, token: str, keys: list[Key]) -> dict[str, Any]:
        """Return the claims that one of `keys` signed."""
        for key in keys:
            try:
                return jwt.decode(token, key, ALGORITHMS, self._registry).claims
            except BadSignatureError:
                continue
            except (JoseError, ValueError, TypeError):
                # A key of another kind than the algorithm, or one meant for something else.
                continue
        raise _refused("signature")

    def _addresses(self, scope: Scope) -> tuple[str, ...]:
        """Return the URLs under which a client may know what it called.

        The Host is one of the service's own names, or the request would not have come so far.
        """
        hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        bases = self._clients.base_urls or tuple(f"{scope['scheme']}://{host}" for host in hosts)
        paths = [scope["path"]]
        if scope["path"].endswith(_FEEDBACK):
            # The standard names the service's endpoint; whether that is its feedback's, too, it
            # leaves open.
            paths.append(scope["path"].removesuffix(_FEEDBACK))
        return tuple(f"{base}{path}" for base in bases for path in paths)

    def _take(
        self, client: CdsClient, institution: str, token_id: str, ends: datetime, now: datetime
    ) -> None:
        with Session(self._engine) as session:
            if session.get(Institution, institution) is None:
                raise _refused("institution")
        if not use_once(self._engine, client.issuer, token_id, expires_at=ends, now=now):
            raise _refused("replayed")


def _published(client: CdsClient) -> PublishedKeys:
    async def find(get: Get) -> dict[str, Any]:
        return await get(client.jku or "")

    return PublishedKeys(find, "The CDS client that the token names")


def _require_claims(
    claims: Mapping[str, Any], addresses: tuple[str, ...], now: datetime
) -> datetime:
    """Return until when the token would be taken.

    Raises:
        SignedCallRefusedError: it is not meant for this request, or not now.
    """
    ends, issued = _seconds(claims, "exp"), _seconds(claims, "iat")
    begins = _seconds(claims, "nbf") if "nbf" in claims else issued
    token_id, audience = claims.get("jti"), claims.get("aud")
    if not isinstance(token_id, str) or not 0 < len(token_id) <= _LONGEST_ID:
        raise _refused("claims")
    audiences = audience if isinstance(audience, list) else [audience]
    named = {one.rstrip("/") for one in audiences if isinstance(one, str)}
    if not named or len(named) < len(audiences):
        raise _refused("claims")
    if not named & set(addresses):
        raise _refused("audience", addresses[0] if addresses else "")
    present = now.timestamp()
    if max(begins, issued) > present + LEEWAY_S:
        raise _refused("early")
    if ends <= present - LEEWAY_S:
        raise _refused("expired")
    if ends > present + LONGEST_LIFE_S + LEEWAY_S:
        raise _refused("long-lived")
    return datetime.fromtimestamp(ends, UTC) + timedelta(seconds=2 * LEEWAY_S)


def _seconds(claims: Mapping[str, Any], name: str) -> float:
    """Return a NumericDate (RFC 7519, section 2) within what clocks show."""
    found = claims.get(name)
    if isinstance(found, bool) or not isinstance(found, int | float) or not 0 <= found < 1e11:
        raise _refused("claims")
    return float(found)


def _institution(client: CdsClient, claims: Mapping[str, Any]) -> str:
    if client.institution is not None:
        return client.institution
    tenant = claims.get("tenant")
    found = client.tenants.get(tenant) if isinstance(tenant, str) else None
    if found is None:
        raise _refused("tenant")
    return found


def _peek(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return header and claims of a compact JWS, which nothing vouches for."""
    parts = token.split(".")
    if len(parts) != 3 or len(token) > _LONGEST_TOKEN:
        raise _refused("malformed")
    return _object(parts[0]), _object(parts[1])


def _object(encoded: str) -> dict[str, Any]:
    try:
        found = json.loads(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
    except (ValueError, RecursionError):
        raise _refused("malformed") from None
    if not isinstance(found, dict):
        raise _refused("malformed")
    return found


def _refused(reason: str, expected: str = "") -> SignedCallRefusedError:
    told = _TOLD[reason].replace("{expected}", expected)
    return SignedCallRefusedError(
        f"token_{reason}", f"{told} (CDS Hooks 2.0, Trusting CDS Clients)."
    )
