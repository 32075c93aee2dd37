"""Browsers in which somebody has logged in before: others' guesses do not lock them out.

Device cookies, as OWASP has them ("Slow Down Online Guessing Attacks with Device Cookies"): whoever
logged in gets a cookie that says for which account, signed with the installation's key and kept
nowhere. Guesses without it are counted for all strangers together, and lock the account for them
alone; guesses with it are counted by themselves, and after some it says nothing any more. It is no
credential: who has it needs the password as everybody does.
"""

import base64
import hashlib
import hmac
import re
import secrets
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import timedelta

from serving.privacy import Keyring, SecretName

KEPT = timedelta(days=180)
"""For how long a browser is known after the last login."""
_VALUE = re.compile(r"[0-9a-f]{16}\.[0-9a-f]{32}\.[A-Za-z0-9_-]{43}")
_MOST_FAILURES = 5
_MOST_REMEMBERED = 8192


@dataclass(slots=True)
class KnownBrowsers:
    """Makes and verifies cookies; used from several threads."""

    keyring: Keyring
    _failures: "OrderedDict[str, int]" = field(default_factory=OrderedDict)
    """Wrong passwords by number of the cookie, in this process."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def browser_with(self, cookie: str | None) -> "Browser":
        """Return what sent a request with this cookie."""
        account, number = self._read(cookie)
        return Browser(self, account, number)

    def cookie_for(self, account_id: str) -> str:
        """Return a cookie for a browser in which somebody has just logged in."""
        number = secrets.token_hex(16)
        return f"{account_id}.{number}.{self._signature(account_id, number)}"

    def has_failed_too_often(self, number: str) -> bool:
        """Whether so many guesses came with a cookie that it is worth nothing any more."""
        with self._lock:
            return self._failures.get(number, 0) >= _MOST_FAILURES

    def failed(self, number: str) -> None:
        """Count a wrong password, or code, that came with a cookie."""
        with self._lock:
            self._failures[number] = self._failures.pop(number, 0) + 1
            if len(self._failures) > _MOST_REMEMBERED:
                self._failures.popitem(last=False)

    def _read(self, cookie: str | None) -> tuple[str | None, str]:
        if cookie is None or not _VALUE.fullmatch(cookie):
            return None, ""
        account, number, signature = cookie.split(".")
        is_ours = hmac.compare_digest(signature, self._signature(account, number))
        return (account if is_ours else None), number

    def _signature(self, account: str, number: str) -> str:
        key = self.keyring.secret(SecretName.CREDENTIALS)
        signed = hmac.digest(key, f"known browser\n{account}\n{number}".encode(), hashlib.sha256)
        return base64.urlsafe_b64encode(signed).decode().rstrip("=")


@dataclass(frozen=True, slots=True)
class Browser:
    """What a request came from."""

    known: KnownBrowsers | None = None
    account: str | None = None
    number: str = ""

    def is_known_to(self, account_id: str) -> bool:
        """Whether somebody has logged in here to that account, and not guessed too often since."""
        if self.known is None or self.account != account_id:
            return False
        return not self.known.has_failed_too_often(self.number)

    def failed(self) -> None:
        """Count a wrong password or code."""
        if self.known is not None:
            self.known.failed(self.number)


STRANGER = Browser()
"""In which nobody has logged in that is known."""
