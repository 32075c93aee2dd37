"""From the credential of a request to the actor that it proves.

Four kinds: a key of a program, a token of an OpenID Connect provider and, at the CDS Hooks
endpoints, one that a record system signed for this very request, all in the Authorization header;
a session of a browser in a cookie. Which one it is shows in the request itself; a request with a
header is never taken for its cookie's.
"""

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from sqlalchemy import Engine
from starlette.types import Scope

from serving.identity.cds_clients import CdsClients
from serving.identity.cookies import cookie_of
from serving.identity.errors import (
    BearerRefusedError,
    CredentialRefusedError,
    ForgedRequestError,
)
from serving.identity.institutions import is_known
from serving.identity.keys import PREFIX, verify_key
from serving.identity.sessions import CSRF_HEADER, is_forged, verify_session
from serving.identity.signed_calls import PATHS, CallVerifier
from serving.identity.tokens import Provider, TokenVerifier
from serving.identity.verified import Verified
from serving.policy import Actor

_MOST_REMEMBERED = 4096
_REMEMBERED_S = 2.0
"""For how long a verified credential is not looked up again: how late a revocation by another
process may take effect."""
_READING = ("GET", "HEAD")
_Verify = Callable[[str], Awaitable[Verified]]


class Credentials:
    """Verifies credentials, with the answers remembered for a moment."""

    def __init__(
        self,
        engine: Engine,
        provider: Provider | None = None,
        cds_clients: CdsClients | None = None,
    ) -> None:
        self._engine = engine
        self._calls = CallVerifier(cds_clients or CdsClients(), engine)
        self._tokens = TokenVerifier(provider) if provider is not None else None
        self._remembered: OrderedDict[bytes, tuple[float, Verified]] = OrderedDict()

    async def actor_of(self, scope: Scope) -> Actor:
        """Return who sent the request of `scope`.

        Raises:
            CredentialRefusedError: it has no credential that is valid now, or a browser sent its
                session along without the page showing that it is ours.
            KeysUnavailableError: nobody can tell.
        """
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        if len(given) > 1:
            raise CredentialRefusedError("two_credentials")
        if given:
            scheme, _, token = given[0].partition(b" ")
            if scheme.lower() != b"bearer":
                raise CredentialRefusedError("not_bearer")
            secret = token.strip()
            if self._is_signed_call(scope, secret):
                return await self._verify_call(scope, secret)
            return await self._remembered_or(secret, self._verify_bearer)
        session = cookie_of(scope)
        if session is None:
            raise CredentialRefusedError("no_credential")
        actor = await self._remembered_or(session.encode(), self._verify_session)
        if scope["method"] not in _READING and not _is_own_page(scope, session):
            raise ForgedRequestError(actor)
        return actor

    def _is_signed_call(self, scope: Scope, token: bytes) -> bool:
        if not self._calls or not scope["path"].startswith(PATHS):
            return False
        if token.startswith(PREFIX.encode()):
            return False
        # Where there is a provider as well, what is not of a listed client may be its token.
        return self._tokens is None or self._calls.knows(token.decode("ascii", "replace"))

    async def _verify_call(self, scope: Scope, token: bytes) -> Actor:
        # Never remembered: it is good for one request.
        written = token.decode("ascii", "replace")
        return await self._calls.verify(written, scope, datetime.now(UTC))

    def forget(self) -> None:
        """Look every credential up again: one was revoked, an account closed, a session ended."""
        self._remembered.clear()

    async def _remembered_or(self, secret: bytes, verify: _Verify) -> Actor:
        # Not the secret itself: what is remembered must not be worth stealing from memory.
        digest = hashlib.sha256(secret).digest()
        verified = self._recall(digest)
        if verified is None:
            verified = await verify(secret.decode("ascii", "replace"))
            self._remember(digest, verified)
        if verified.expires_at <= datetime.now(UTC):
            raise BearerRefusedError("expired")
        return verified.actor

    async def _verify_bearer(self, token: str) -> Verified:
        if token.startswith(PREFIX):
            return await asyncio.to_thread(verify_key, self._engine, token, datetime.now(UTC))
        if self._tokens is None:
            raise BearerRefusedError("no_provider")
        verified = await self._tokens.verify(token, datetime.now(UTC))
        named = verified.actor.institution
        if named is not None and not await asyncio.to_thread(is_known, self._engine, named):
            # What it stored would be nobody's, and whoever is given that name later would have it.
            raise BearerRefusedError("token_unknown_institution")
        return verified

    async def _verify_session(self, token: str) -> Verified:
        return await asyncio.to_thread(verify_session, self._engine, token, datetime.now(UTC))

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


def _is_own_page(scope: Scope, session: str) -> bool:
    """Whether it was not another site's page that had a browser send our cookie."""
    name = CSRF_HEADER.encode()
    given = [value.decode("latin-1") for header, value in scope["headers"] if header == name]
    return len(given) == 1 and not is_forged(session, given[0])
