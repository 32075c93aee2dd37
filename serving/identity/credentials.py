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
from http import HTTPStatus

from sqlalchemy import Engine
from starlette.types import Scope

from serving.identity.cds_clients import CdsClients
from serving.identity.cookies import cookie_of
from serving.identity.keys import PREFIX, verify_key
from serving.identity.published_keys import KeysUnavailableError
from serving.identity.sessions import CSRF_HEADER, is_forged, verify_session
from serving.identity.signed_calls import PATHS, CallVerifier
from serving.identity.tokens import Provider, TokenRefusedError, TokenVerifier
from serving.identity.verified import Verified
from serving.policy import Actor
from serving.problems import Problem

_MOST_REMEMBERED = 4096
_REMEMBERED_S = 2.0
"""For how long a verified credential is not looked up again: how late a revocation by another
process may take effect."""
_READING = ("GET", "HEAD")
_Verify = Callable[[str], Awaitable[Verified | None]]


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

    async def actor_of(self, scope: Scope) -> Actor | None:
        """Return who sent the request of `scope`, None where no valid credential says.

        Raises:
            CredentialRefusedError: a record system signed no such call.
            Problem: 403, a browser sent its session along without the page showing that it is
                ours; 503, the identity provider does not give its keys.
        """
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        if len(given) > 1:
            return None
        if given:
            scheme, _, token = given[0].partition(b" ")
            if scheme.lower() != b"bearer":
                return None
            secret = token.strip()
            if self._is_signed_call(scope, secret):
                return await self._verify_call(scope, secret)
            return await self._remembered_or(secret, self._verify_bearer)
        session = cookie_of(scope)
        if session is None:
            return None
        actor = await self._remembered_or(session.encode(), self._verify_session)
        if actor is not None and scope["method"] not in _READING:
            _require_own_page(scope, session)
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
        try:
            return await self._calls.verify(written, scope, datetime.now(UTC))
        except KeysUnavailableError as error:
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, str(error)) from error

    def forget(self) -> None:
        """Look every credential up again: one was revoked, an account closed, a session ended."""
        self._remembered.clear()

    async def _remembered_or(self, secret: bytes, verify: _Verify) -> Actor | None:
        # Not the secret itself: what is remembered must not be worth stealing from memory.
        digest = hashlib.sha256(secret).digest()
        verified = self._recall(digest)
        if verified is None:
            verified = await verify(secret.decode("ascii", "replace"))
            if verified is None:
                return None
            self._remember(digest, verified)
        return verified.actor if verified.expires_at > datetime.now(UTC) else None

    async def _verify_bearer(self, token: str) -> Verified | None:
        if token.startswith(PREFIX):
            return await asyncio.to_thread(verify_key, self._engine, token)
        if self._tokens is None:
            return None
        try:
            return await self._tokens.verify(token, datetime.now(UTC))
        except TokenRefusedError:
            return None
        except KeysUnavailableError as error:
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, str(error)) from error

    async def _verify_session(self, token: str) -> Verified | None:
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


def _require_own_page(scope: Scope, session: str) -> None:
    """Refuse what another site's page has a browser send with our cookie.

    Raises:
        Problem: 403.
    """
    name = CSRF_HEADER.encode()
    given = [value.decode("latin-1") for header, value in scope["headers"] if header == name]
    if len(given) != 1 or is_forged(session, given[0]):
        raise Problem(
            HTTPStatus.FORBIDDEN,
            "The request changes something and lacks the session's token in X-CSRF-Token, which "
            "login and GET /v1/session give. Log in anew if it was not you who sent it.",
        )
