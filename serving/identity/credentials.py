"""From the credential of a request to the actor that it proves."""

import asyncio
import hashlib
import time
from collections import OrderedDict
from datetime import UTC, datetime

from sqlalchemy import Engine
from starlette.types import Scope

from serving.identity.keys import Verified, verify_key
from serving.policy import Actor

_MOST_REMEMBERED = 4096
_REMEMBERED_S = 2.0
"""For how long a verified key is not looked up again: how late a revocation by another process
may take effect."""


class Credentials:
    """Verifies credentials, with the database's answers remembered for a moment."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._remembered: OrderedDict[bytes, tuple[float, Verified]] = OrderedDict()

    async def actor_of(self, scope: Scope) -> Actor | None:
        """Return who sent the request of `scope`, None where no valid credential says."""
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        if len(given) != 1 or given[0][:7].lower() != b"bearer ":
            return None
        token = given[0][7:].strip()
        # Not the key itself: what is remembered must not be worth stealing from memory.
        digest = hashlib.sha256(token).digest()
        verified = self._recall(digest)
        if verified is None:
            key = token.decode("ascii", "replace")
            verified = await asyncio.to_thread(verify_key, self._engine, key)
            if verified is None:
                return None
            self._remember(digest, verified)
        return verified.actor if verified.expires_at > datetime.now(UTC) else None

    def _recall(self, digest: bytes) -> Verified | None:
        found = self._remembered.get(digest)
        if found is None or time.monotonic() - found[0] > _REMEMBERED_S:
            return None
        return found[1]

    def _remember(self, digest: bytes, verified: Verified) -> None:
        self._remembered[digest] = (time.monotonic(), verified)
        self._remembered.move_to_end(digest)
        if len(self._remembered) > _MOST_REMEMBERED:
            self._remembered.popitem(last=False)
