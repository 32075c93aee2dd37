"""Public keys that somebody publishes as a JWK set (RFC 7517): asked for when needed, then kept."""

import asyncio
import base64
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

from joserfc.errors import JoseError
from joserfc.jwk import Key, KeySet

from models.errors import ZhuzhenError

KEPT_S = 3600.0
ASKED_AGAIN_S = 30.0
"""Least time between two requests for keys, however many tokens name unknown ones."""
_LARGEST_DOCUMENT = 1 << 20
_TIMEOUT_S = 5.0
_LEAST_RSA_BYTES = 256
"""NIST SP 800-131A, revision 2, section 3."""
_LOCAL = ("127.0.0.1", "localhost")

Get = Callable[[str], Awaitable[dict[str, Any]]]
"""Fetches the JSON object at an address."""


class KeysUnavailableError(ZhuzhenError):
    """Somebody's keys cannot be had, so that nobody's token can be verified with them."""


def is_protected(address: str) -> bool:
    """Whether what comes from `address` cannot be changed on the way: https, or this machine."""
    parts = urlsplit(address)
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOCAL)


def key_set(document: dict[str, Any]) -> KeySet:
    """Return the public keys of a JWK set.

    Raises:
        ValueError: there is none among them that is understood.
    """
    # A shared secret among them would let whoever reads it sign.
    public = [key for key in document["keys"] if key.get("kty") != "oct" and not _is_weak(key)]
    return KeySet.import_key_set({"keys": public})


def _is_weak(key: dict[str, Any]) -> bool:
    """Whether it is an RSA key that others may have the private part of by now."""
    if key.get("kty") != "RSA":
        return False
    modulus = key["n"].encode("ascii")
    return len(base64.urlsafe_b64decode(modulus + b"=" * (-len(modulus) % 4))) < _LEAST_RSA_BYTES


class PublishedKeys:
    """The keys of one publisher."""

    def __init__(self, find: Callable[[Get], Awaitable[dict[str, Any] | None]], whose: str) -> None:
        self._find = find
        """Returns the JWK set, None where what was found is not to be trusted."""
        self._whose = whose
        self._keys: KeySet | None = None
        self._asked_at = -KEPT_S
        self._asking = asyncio.Lock()

    async def candidates(self, kid: str | None, *, anew: bool = False) -> list[Key]:
        """Return the keys that a token naming `kid`, or none, may be signed with.

        They are asked for where `kid` is not among them, or to be had `anew`; but seldom, however
        many tokens give reason to.

        Raises:
            KeysUnavailableError: there are none and the publisher does not answer.
        """
        if self._must_ask(kid, anew):
            async with self._asking:
                if self._must_ask(kid, anew):
                    await self._ask()
        if self._keys is None:
            raise KeysUnavailableError(
                f"{self._whose} does not give its keys, so no token can be verified. Try again "
                "later, or use a key of this service."
            )
        return [key for key in self._keys if kid in (None, key.kid)]

    def _must_ask(self, kid: str | None, anew: bool) -> bool:
        age_s = time.monotonic() - self._asked_at
        if age_s < ASKED_AGAIN_S:
            return False
        known = self._keys is not None and any(kid in (None, key.kid) for key in self._keys)
        return anew or not known or age_s >= KEPT_S

    async def _ask(self) -> None:
        import httpx

        self._asked_at = time.monotonic()
        try:
            async with httpx.AsyncClient(timeout=_TIMEOUT_S, trust_env=False) as client:
                found = await self._find(lambda address: _document(client, address))
            if found is not None:
                self._keys = key_set(found)
        except (httpx.HTTPError, JoseError, AttributeError, KeyError, TypeError, ValueError):
            # Keys that are still known go on to be used.
            return


async def _document(client: Any, address: str) -> dict[str, Any]:
    if not is_protected(address):
        raise ValueError("keys over an unprotected connection")
    async with client.stream("GET", address) as response:
        response.raise_for_status()
        content = b""
        async for piece in response.aiter_bytes():
            content += piece
            if len(content) > _LARGEST_DOCUMENT:
                raise ValueError("a document with keys is too large")
    found = json.loads(content)
    if not isinstance(found, dict):
        raise ValueError("a document with keys is no object")
    return found
