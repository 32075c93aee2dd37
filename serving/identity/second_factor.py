"""One-time codes of an authenticator application as a second factor (TOTP, RFC 6238)."""

import hmac
from datetime import datetime

import pyotp

STEP_S = 30
_DRIFT_STEPS = 1
"""Steps that the clock of a phone may be off (RFC 6238, 5.2)."""
_ISSUER = "Zhuzhen"


def new_secret() -> str:
    """Return a secret of 160 bits in base32."""
    return pyotp.random_base32()


def enrolment_uri(secret: str, account_name: str) -> str:
    """Return what an authenticator application reads, usually from a QR code."""
    return pyotp.TOTP(secret, name=account_name, issuer=_ISSUER).provisioning_uri()


def accepted_step(secret: str, code: str, *, after: int, now: datetime) -> int | None:
    """Return the time step whose code `code` is, None for none.

    Args:
        secret: in base32.
        code: six digits.
        after: last step that was accepted; this one and earlier ones are not accepted again, also
            when the clock was set back.
        now: with its zone.
    """
    current = int(now.timestamp()) // STEP_S
    totp = pyotp.TOTP(secret)
    for step in range(current - _DRIFT_STEPS, current + _DRIFT_STEPS + 1):
        fits = hmac.compare_digest(totp.at(step * STEP_S).encode(), code.encode())
        if fits and step > after:
            return step
    return None
