"""Keys for programs: made, verified, revoked.

A key is `zz_<id>_<secret>`, with 32 random bytes, so that its digest needs no slow hash (NIST SP
800-63B, 5.1.1.2, asks for one where a person chose the secret). It is shown once and only its
digest is kept.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from serving.identity.errors import NO_INSTITUTION, BearerRefusedError, RequestRefusedError
from serving.identity.records import ApiKey, Institution
from serving.identity.verified import Verified
from serving.policy import Action, Actor, ActorKind, Role

LONGEST = timedelta(days=366)
USUAL = timedelta(days=90)
PREFIX = "zz_"
_CLOCKS = timedelta(minutes=1)
"""By how much the clocks of the service's machines may differ."""
_KEY = re.compile(r"zz_([a-f0-9]{16})_([A-Za-z0-9_-]{43})")


class KeyRequestError(RequestRefusedError):
    """A key was asked for that cannot be made."""


def make_key(
    engine: Engine,
    *,
    label: str,
    roles: Iterable[Role],
    institution: str | None = None,
    scopes: Iterable[Action] | None = None,
    valid_for: timedelta = USUAL,
) -> str:
    """Return a new key; it cannot be had again.

    Raises:
        KeyRequestError: saying what about the request cannot be.
    """
    if not timedelta(0) < valid_for <= LONGEST:
        raise KeyRequestError(f"The key would be valid for {valid_for}; expected up to {LONGEST}.")
    granted = sorted(set(roles))
    if not granted:
        raise KeyRequestError("The key has no role; expected at least one.")
    key_id, secret = secrets.token_hex(8), secrets.token_urlsafe(32)
    now = datetime.now(UTC)
    with Session(engine) as session, session.begin():
        if institution is not None and session.get(Institution, institution) is None:
            raise KeyRequestError(NO_INSTITUTION)
        session.add(
            ApiKey(
                id=key_id,
                label=label,
                institution_id=institution,
                roles=granted,
                scopes=None if scopes is None else sorted(set(scopes)),
                secret_sha256=_digest(secret),
                created_at=now,
                expires_at=now + valid_for,
                revoked_at=None,
            )
        )
    return f"zz_{key_id}_{secret}"


def verify_key(engine: Engine, key: str, now: datetime) -> Verified:
    """Return what `key` proves now.

    Raises:
        BearerRefusedError: it is unknown, forged, expired or revoked.
    """
    found = _KEY.fullmatch(key)
    if found is None:
        raise BearerRefusedError("key_malformed")
    with Session(engine) as session:
        record = session.get(ApiKey, found[1])
    if record is None:
        raise BearerRefusedError("key_unknown")
    if not hmac.compare_digest(record.secret_sha256, _digest(found[2])):
        raise BearerRefusedError("key_wrong_secret")
    if record.revoked_at is not None:
        raise BearerRefusedError("key_revoked")
    if record.expires_at <= now:
        raise BearerRefusedError("key_expired")
    if record.created_at > now + _CLOCKS:
        # Of a clock since set back, under which it would last too long.
        raise BearerRefusedError("key_from_the_future")
    scopes = None if record.scopes is None else frozenset(map(Action, record.scopes))
    return Verified(
        Actor(
            id=f"key:{record.id}",
            kind=ActorKind.PROGRAM,
            roles=frozenset(map(Role, record.roles)),
            institution=record.institution_id,
            scopes=scopes,
        ),
        record.expires_at,
    )


def id_of(key: str) -> str:
    """Return the number of a key, which is no secret."""
    return key.split("_")[1]


def revoke_key(engine: Engine, key_id: str) -> bool:
    """End a key now; return whether there was one that was valid."""
    with Session(engine) as session, session.begin():
        record = session.get(ApiKey, key_id)
        if record is None or record.revoked_at is not None:
            return False
        record.revoked_at = datetime.now(UTC)
        return True


def list_keys(engine: Engine) -> list[ApiKey]:
    """Return all keys, the newest first; their secrets are not known."""
    with Session(engine, expire_on_commit=False) as session:
        return list(session.scalars(select(ApiKey).order_by(ApiKey.created_at.desc())))


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
