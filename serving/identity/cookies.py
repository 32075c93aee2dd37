"""The cookie of a browser's session.

Over TLS it has the prefix `__Host-`, so that no other host or path can set it (RFC 6265bis, 4.1.3);
over plain HTTP, which is this machine alone, browsers refuse that prefix.
"""

from http.cookies import CookieError, SimpleCookie

from starlette.responses import Response
from starlette.types import Scope

from serving.identity.sessions import LONGEST, TOKEN

_SECURE = "__Host-zhuzhen"
_PLAIN = "zhuzhen"


def cookie_of(scope: Scope) -> str | None:
    """Return the value of the session's cookie, None for none or one that we did not make."""
    given = [value for name, value in scope["headers"] if name == b"cookie"]
    try:
        found = SimpleCookie(b"; ".join(given).decode("latin-1"))
    except CookieError:
        return None
    morsel = found.get(_name(scope))
    return morsel.value if morsel is not None and TOKEN.fullmatch(morsel.value) else None


def set_cookie(response: Response, scope: Scope, token: str) -> None:
    """Give a browser its session."""
    response.set_cookie(
        _name(scope),
        token,
        max_age=int(LONGEST.total_seconds()),
        path="/",
        secure=_is_secure(scope),
        httponly=True,
        samesite="strict",
    )


def forget_cookie(response: Response, scope: Scope) -> None:
    """Take a browser's session away."""
    response.delete_cookie(
        _name(scope), path="/", secure=_is_secure(scope), httponly=True, samesite="strict"
    )


def _name(scope: Scope) -> str:
    return _SECURE if _is_secure(scope) else _PLAIN


def _is_secure(scope: Scope) -> bool:
    return scope.get("scheme") == "https"
