"""Sessions of browsers: a random cookie whose digest is kept, and a token against forged requests.

A session begins at login and never before, under a value that the service chose, so that nobody can
fix another's session beforehand. It ends after an idle time, after a working day, at logout, and
when the password changes or the account is closed (OWASP Session Management Cheat Sheet).
"""

import base64
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Engine, delete, update
from sqlalchemy.orm import Session

from serving.identity.account_records import Account, BrowserSession
from serving.identity.accounts import actor_of
from serving.identity.errors import CredentialRefusedError
from serving.identity.verified import Verified

IDLE = timedelta(minutes=30)
LONGEST = timedelta(hours=12)
_NOTED = timedelta(minutes=1)
"""How exactly the last use is kept: not each request writes."""
_CLOCKS = timedelta(minutes=1)
"""By how much the clocks of the service's machines may differ."""
TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")
CSRF_HEADER = "x-csrf-token"


@dataclass(frozen=True, slots=True)
class NewSession:
    """What a browser gets at login."""

    token: str
    """Value of the cookie; it cannot be had again."""
    csrf_token: str
    """What each request that changes something must repeat in the header `X-CSRF-Token`."""


def begin_session(engine: Engine, account_id: str, now: datetime) -> NewSession:
    """Begin a session of an account that has just logged in."""
    token = secrets.token_urlsafe(32)
    with Session(engine) as session, session.begin():
        # Also the time to forget those that nobody ended.
        session.execute(delete(BrowserSession).where(BrowserSession.expires_at < now))
        session.add(
            BrowserSession(
                digest=_digest(token),
                account_id=account_id,
                created_at=now,
                seen_at=now,
                expires_at=now + LONGEST,
            )
        )
    return NewSession(token, csrf_token_of(token))


def verify_session(engine: Engine, token: str, now: datetime) -> Verified:
    """Return whose session `token` is, until when.

    Raises:
        CredentialRefusedError: it is none, or over.
    """
    with Session(engine) as session:
        found = session.get(BrowserSession, _digest(token))
        account = session.get(Account, found.account_id) if found else None
        if found is None or account is None:
            raise CredentialRefusedError("session_unknown")
        if account.disabled_at is not None:
            raise CredentialRefusedError("account_disabled")
        if found.created_at > now + _CLOCKS:
            # Begun by a clock since set back, under which it would last too long.
            raise CredentialRefusedError("session_from_the_future")
        if now >= found.expires_at:
            raise CredentialRefusedError("session_over")
        if now >= found.seen_at + IDLE:
            raise CredentialRefusedError("session_idle")
        if now >= found.seen_at + _NOTED:
            _note_use(session, found.digest, now)
        until = min(found.expires_at, now + IDLE)
        return Verified(actor_of(account), until)


def _note_use(session: Session, digest: str, now: datetime) -> None:
    session.execute(
        update(BrowserSession).where(BrowserSession.digest == digest).values(seen_at=now)
    )
    session.commit()


def end_session(engine: Engine, token: str) -> None:
    """End a session, if there is one."""
    with Session(engine) as session, session.begin():
        session.execute(delete(BrowserSession).where(BrowserSession.digest == _digest(token)))


def csrf_token_of(token: str) -> str:
    """Return the token against forged requests that belongs to a session.

    A page of another origin can have a browser send the cookie, but cannot read it, nor this.
    """
    found = hmac.digest(token.encode(), b"zhuzhen-csrf-1", hashlib.sha256)
    return base64.urlsafe_b64encode(found).decode().rstrip("=")


def is_forged(token: str, given: str | None) -> bool:
    """Whether `given` is not the token against forged requests of the session."""
    expected = csrf_token_of(token).encode()
    return given is None or not hmac.compare_digest(expected, given.encode("latin-1", "replace"))


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
