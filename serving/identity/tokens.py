"""Access tokens of an OpenID Connect provider: who it says somebody is.

The service is a resource server (RFC 6749): it is sent JWTs (RFC 7519, RFC 9068) that a hospital's
provider signed, and verifies them with the provider's published keys. What an attacker can choose
in a token, its algorithm and keys, is not listened to (RFC 8725).
"""

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from joserfc import jwt
from joserfc.errors import (
    BadSignatureError,
    ExceededSizeError,
    ExpiredTokenError,
    InvalidClaimError,
    InvalidKeyCurveError,
    JoseError,
    KeyParameterError,
    MissingClaimError,
)
from joserfc.jwk import Key
from joserfc.jws import JWSRegistry

from models.errors import ZhuzhenError
from serving.identity import smart
from serving.identity.errors import BearerRefusedError
from serving.identity.institutions import ID
from serving.identity.published_keys import Get, PublishedKeys, is_protected
from serving.identity.verified import Verified
from serving.policy import Actor, ActorKind, Role

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "Ed25519")
"""Signatures with a private key alone: a public key can then not be taken for a shared secret."""
_TYPES = ("jwt", "at+jwt", "application/at+jwt")
"""A provider signs other things with the same keys: logouts, other events (RFC 8725, section 3.11;
RFC 9068, section 4). Many say of an access token that it is a JWT and no more."""
_LONGEST_TOKEN = 8192
_LEEWAY_S = 60
"""By how much the provider's clock may differ."""
_LONGEST_S = 86_400
_PLAIN_SUBJECT = re.compile(r"[A-Za-z0-9._@=+~-]{1,120}")
_ROLES_CLAIM = "zhuzhen_roles"
_INSTITUTION_CLAIM = "zhuzhen_institution"


class ProviderSettingError(ZhuzhenError, ValueError):
    """The identity provider is not described as it must be."""


@dataclass(frozen=True, slots=True)
class Provider:
    """An OpenID Connect provider that is trusted."""

    issuer: str
    """`ZHUZHEN_OIDC_ISSUER`, an https address; http where it is this machine's own."""
    audience: str
    """`ZHUZHEN_OIDC_AUDIENCE`: what tokens for this service name."""
    roles_claim: str = _ROLES_CLAIM
    """`ZHUZHEN_OIDC_ROLES_CLAIM`: claim that holds the roles, a list of our names of them."""
    institution_claim: str = _INSTITUTION_CLAIM
    """`ZHUZHEN_OIDC_INSTITUTION_CLAIM`: claim that holds the institution's identifier."""

    def __post_init__(self) -> None:
        if not is_protected(self.issuer):
            raise ProviderSettingError(
                "ZHUZHEN_OIDC_ISSUER is not an https address; keys that came unprotected would "
                "prove nothing."
            )
        if not self.audience:
            raise ProviderSettingError(
                "ZHUZHEN_OIDC_AUDIENCE is empty; without it a token for any other service would do."
            )

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Provider | None":
        """Return the provider that the settings name, None where they name none.

        Raises:
            ProviderSettingError: saying what is wrong with which setting.
        """
        issuer = environment.get("ZHUZHEN_OIDC_ISSUER")
        if not issuer:
            return None
        return cls(
            issuer,
            environment.get("ZHUZHEN_OIDC_AUDIENCE", ""),
            environment.get("ZHUZHEN_OIDC_ROLES_CLAIM", _ROLES_CLAIM),
            environment.get("ZHUZHEN_OIDC_INSTITUTION_CLAIM", _INSTITUTION_CLAIM),
        )


def _keys_of(provider: Provider) -> PublishedKeys:
    """Return the keys that a provider signs with, as its own description says."""

    async def find(get: Get) -> dict[str, Any] | None:
        place = f"{provider.issuer.rstrip('/')}/.well-known/openid-configuration"
        described = await get(place)
        if described["issuer"] != provider.issuer:
            return None
        return await get(described["jwks_uri"])

    return PublishedKeys(find, "The identity provider")


class TokenVerifier:
    """Verifies the tokens of one provider."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self._keys = _keys_of(provider)
        self._registry = JWSRegistry(algorithms=ALGORITHMS, strict_check_header=False)

    async def verify(self, token: str, now: datetime) -> Verified:
        """Return what `token` proves.

        Raises:
            BearerRefusedError: it is not valid now, or not for this service.
            KeysUnavailableError: nobody can tell.
        """
        if len(token) > _LONGEST_TOKEN:
            raise BearerRefusedError("token_too_long")
        header = _part(token, 0)
        if header.get("alg") not in ALGORITHMS:
            raise BearerRefusedError("token_algorithm")
        if str(header.get("typ", "JWT")).lower() not in _TYPES:
            raise BearerRefusedError("token_type")
        kid = _kid_of(token)
        try:
            keys = await self._keys.candidates(kid)
            claims = self._claims(token, keys)
            if claims is None and kid is None:
                # The keys may have changed, which a token that names none does not show.
                keys = await self._keys.candidates(None, anew=True)
                claims = self._claims(token, keys)
            if claims is None:
                raise BearerRefusedError(self._reason_without_key(token, keys))
            self._require_valid(claims, now)
            return self._verified(claims, now)
        except (
            JoseError,
            ArithmeticError,
            AttributeError,
            LookupError,
            TypeError,
            ValueError,
        ) as error:
            raise BearerRefusedError(_reason_of(error)) from None

    def _claims(self, token: str, keys: list[Key]) -> dict[str, Any] | None:
        """Return the claims that one of `keys` signed, None where none of them did."""
        for key in keys:
            try:
                return jwt.decode(token, key, ALGORITHMS, self._registry).claims
            except (BadSignatureError, KeyParameterError, InvalidKeyCurveError):
                continue
        return None

    def _reason_without_key(self, token: str, keys: list[Key]) -> str:
        """Say why none of the provider's keys signed `token`, whose words nothing vouches for."""
        if _part(token, 1).get("iss") != self._provider.issuer:
            return "token_unknown_issuer"
        return "token_bad_signature" if keys else "token_unknown_key"

    def _require_valid(self, claims: dict[str, Any], now: datetime) -> None:
        jwt.JWTClaimsRegistry(
            now=int(now.timestamp()),
            leeway=_LEEWAY_S,
            iss={"essential": True, "value": self._provider.issuer},
            aud={"essential": True, "value": self._provider.audience},
            sub={"essential": True},
            exp={"essential": True},
        ).validate(claims)

    def _verified(self, claims: dict[str, Any], now: datetime) -> Verified:
        scope = claims.get("scope", "")
        named = claims.get(self._provider.roles_claim, [])
        institution = claims.get(self._provider.institution_claim)
        if not isinstance(scope, str) or not isinstance(named, list):
            raise BearerRefusedError("token_claims")
        is_named = isinstance(institution, str) and ID.fullmatch(institution)
        if institution is not None and not is_named:
            raise BearerRefusedError("token_claims")
        program = smart.is_for_a_program(scope)
        roles = frozenset(Role(role) for role in named if role in tuple(Role))
        actor = Actor(
            id=f"oidc:{_subject(self._provider.issuer, claims['sub'])}",
            kind=ActorKind.PROGRAM if program else ActorKind.PERSON,
            # A person is no program, whatever a token says, nor the other way round.
            roles=roles & {Role.SYSTEM} if program else roles - {Role.SYSTEM},
            institution=institution,
            scopes=smart.actions_of(scope),
        )
        # What is looked up again after a day needs no end in another century, which no clock has.
        left_s = min(int(claims["exp"]) + _LEEWAY_S - int(now.timestamp()), _LONGEST_S)
        return Verified(actor, now + timedelta(seconds=left_s))


def _kid_of(token: str) -> str | None:
    """Return the name of the key in a token's header, which nothing vouches for yet."""
    kid = _part(token, 0).get("kid")
    if kid is not None and not isinstance(kid, str):
        raise BearerRefusedError("token_malformed")
    return kid


def _part(token: str, number: int) -> dict[str, Any]:
    """Return the header (0) or claims (1) of a token as anybody may have written them."""
    try:
        encoded = token.split(".")[number]
        found = json.loads(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
    except (ValueError, IndexError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise BearerRefusedError("token_malformed")
    return found


def _reason_of(error: Exception) -> str:
    match error:
        case ExpiredTokenError():
            return "token_expired"
        case ExceededSizeError():
            return "token_too_long"
        case MissingClaimError():
            return "token_missing_claim"
        case InvalidClaimError():
            return _REASONS.get(error.claim, "token_claims")
    return "token_malformed"


_REASONS = {
    "aud": "token_wrong_audience",
    "iat": "token_not_yet_valid",
    "iss": "token_wrong_issuer",
    "nbf": "token_not_yet_valid",
}
"""Why a claim is refused, by its name (RFC 7519, 4.1)."""


def _subject(issuer: str, subject: str) -> str:
    if _PLAIN_SUBJECT.fullmatch(subject):
        return subject
    return "sha256-" + hashlib.sha256(f"{issuer}\n{subject}".encode()).hexdigest()[:32]
