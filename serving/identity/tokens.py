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
from datetime import UTC, datetime
from typing import Any

from joserfc import jwt
from joserfc.errors import (
    BadSignatureError,
    ExpiredTokenError,
    InvalidKeyCurveError,
    JoseError,
    KeyParameterError,
)
from joserfc.jwk import Key
from joserfc.jws import JWSRegistry

from models.errors import ZhuzhenError
from serving.identity import smart
from serving.identity.published_keys import Get, PublishedKeys, is_protected
from serving.identity.verified import Verified
from serving.policy import Actor, ActorKind, Role

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "Ed25519")
"""Signatures with a private key alone: a public key can then not be taken for a shared secret."""
_LONGEST_TOKEN = 8192
_LEEWAY_S = 60
"""By how much the provider's clock may differ."""
_PLAIN_SUBJECT = re.compile(r"[A-Za-z0-9._@=+~-]{1,120}")
_ROLES_CLAIM = "zhuzhen_roles"
_INSTITUTION_CLAIM = "zhuzhen_institution"


class ProviderSettingError(ZhuzhenError, ValueError):
    """The identity provider is not described as it must be."""


class TokenRefusedError(ZhuzhenError):
    """A token is not valid; `reason` is for the audit record, the token is never repeated."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"The token is not valid ({reason}). Get a new one from your provider.")
        self.reason = reason


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
            TokenRefusedError: it is not valid now, or not for this service.
            KeysUnavailableError: nobody can tell.
        """
        if len(token) > _LONGEST_TOKEN:
            raise TokenRefusedError("too_long")
        kid = _kid_of(token)
        try:
            claims = self._claims(token, await self._keys.candidates(kid))
            if claims is None and kid is None:
                # The keys may have changed, which a token that names none does not show.
                claims = self._claims(token, await self._keys.candidates(None, anew=True))
            if claims is None:
                raise TokenRefusedError("bad_signature")
            self._require_valid(claims, now)
        except ExpiredTokenError:
            raise TokenRefusedError("expired") from None
        except (JoseError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise TokenRefusedError(getattr(error, "error", "") or "malformed") from None
        return self._verified(claims)

    def _claims(self, token: str, keys: list[Key]) -> dict[str, Any] | None:
        """Return the claims that one of `keys` signed, None where none of them did."""
        for key in keys:
            try:
                return jwt.decode(token, key, ALGORITHMS, self._registry).claims
            except (BadSignatureError, KeyParameterError, InvalidKeyCurveError):
                continue
        return None

    def _require_valid(self, claims: dict[str, Any], now: datetime) -> None:
        jwt.JWTClaimsRegistry(
            now=int(now.timestamp()),
            leeway=_LEEWAY_S,
            iss={"essential": True, "value": self._provider.issuer},
            aud={"essential": True, "value": self._provider.audience},
            sub={"essential": True},
            exp={"essential": True},
        ).validate(claims)

    def _verified(self, claims: dict[str, Any]) -> Verified:
        scope = claims.get("scope", "")
        named = claims.get(self._provider.roles_claim, [])
        institution = claims.get(self._provider.institution_claim)
        if not isinstance(scope, str) or not isinstance(named, list):
            raise TokenRefusedError("claims")
        if institution is not None and not isinstance(institution, str):
            raise TokenRefusedError("claims")
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
        return Verified(actor, datetime.fromtimestamp(claims["exp"] + _LEEWAY_S, UTC))


def _kid_of(token: str) -> str | None:
    """Return the name of the key in a token's header, which nothing vouches for yet."""
    encoded = token.partition(".")[0]
    try:
        kid = json.loads(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))).get("kid")
    except (ValueError, AttributeError, RecursionError):
        raise TokenRefusedError("malformed") from None
    if kid is not None and not isinstance(kid, str):
        raise TokenRefusedError("malformed")
    return kid


def _subject(issuer: str, subject: str) -> str:
    if _PLAIN_SUBJECT.fullmatch(subject):
        return subject
    return "sha256-" + hashlib.sha256(f"{issuer}\n{subject}".encode()).hexdigest()[:32]
