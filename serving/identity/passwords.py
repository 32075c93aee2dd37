"""Passwords: what may be one, and how one is kept.

Kept as argon2id (RFC 9106, section 4, second recommended option: 64 MiB, 3 passes, 4 lanes).
Required is length and that it cannot be guessed from what stands beside it, not kinds of characters
(NIST SP 800-63B, 5.1.1.2).
"""

import secrets
import unicodedata
from functools import cache

import argon2
from argon2.exceptions import InvalidHashError, VerificationError

from serving.identity.errors import RequestRefusedError

SHORTEST = 12
LONGEST = 256
_FEWEST_DIFFERENT = 6
_GUESSED = ("zhuzhen", "password", "qwertyuiop", "1234567890", "admin", "hospital", "yiyuan")


class PasswordRefusedError(RequestRefusedError):
    """A password that is too easy to guess; it is not repeated."""


def require_strength(password: str, account_name: str) -> None:
    """Refuse a password that others would try first.

    Raises:
        PasswordRefusedError: saying what a password must have.
    """
    plain = normal(password).casefold()
    left = plain
    for guessed in (account_name.casefold(), *_GUESSED):
        left = left.replace(guessed, "")
    if not SHORTEST <= len(plain) <= LONGEST:
        reason = f"has {len(plain)} characters; expected {SHORTEST} to {LONGEST}"
    elif len(set(plain)) < _FEWEST_DIFFERENT:
        reason = f"has only {len(set(plain))} different characters"
    elif len(left) < SHORTEST // 2:
        reason = "is made of the account's name or of words that everybody tries first"
    else:
        return
    raise PasswordRefusedError(
        f"The password {reason}. Take several words that have nothing to do with each other."
    )


def normal(password: str) -> str:
    """Return `password` as every keyboard writes it (NFKC)."""
    return unicodedata.normalize("NFKC", password)


def hash_password(password: str) -> str:
    """Return what is kept of `password`; takes tens of milliseconds, so not on an event loop."""
    return _hasher().hash(normal(password))


def fits(kept: str | None, password: str) -> bool:
    """Whether `password` is the one of `kept`; as slow where there is none to compare with."""
    try:
        _hasher().verify(kept or _nobodys(), normal(password)[:LONGEST])
    except (VerificationError, InvalidHashError):
        return False
    return kept is not None


def is_outdated(kept: str) -> bool:
    """Whether `kept` was made with other parameters than those of today."""
    return _hasher().check_needs_rehash(kept)


def new_password() -> str:
    """Return a random password of 100 bits that can be read out and typed."""
    letters = "abcdefghjkmnpqrstuvwxyz23456789"
    return "-".join("".join(secrets.choice(letters) for _ in range(5)) for _ in range(4))


@cache
def _hasher() -> argon2.PasswordHasher:
    return argon2.PasswordHasher()


@cache
def _nobodys() -> str:
    return _hasher().hash(secrets.token_urlsafe())
