"""The cookies of a browser: of its session, and that somebody has logged in here before.

Over TLS it has the prefix `__Host-`, so that no other host or path can set it (RFC 6265bis, 4.1.3);
over plain HTTP, which is this machine alone, browsers refuse that prefix.
"""

from datetime import timedelta
from http.cookies import CookieError, SimpleCookie

from starlette.responses import Response
from starlette.types import Scope

from serving.identity.known_browsers import KEPT
from serving.identity.sessions import LONGEST, TOKEN

_SECURE = "__Host-zhuzhen"
_PLAIN = "zhuzhen"


def cookie_of(scope: Scope) -> str | None:
    """Return the value of the session's cookie, None for none or one that we did not make."""
    found = _cookie(scope, _name(scope))
    return found if found is not None and TOKEN.fullmatch(found) else None


def known_browser_of(scope: Scope) -> str | None:
    """Return what a browser has kept of an earlier login, whoever made it."""
    return _cookie(scope, f"{_name(scope)}-browser")


def _cookie(scope: Scope, name: str) -> str | None:
    given = [value for name, value in scope["headers"] if name == b"cookie"]
    try:
        found = SimpleCookie(b"; ".join(given).decode("latin-1"))
    except CookieError:
        return None
    morsel = found.get(name)
    return morsel.value if morsel is not None else None


def set_cookie(response: Response, scope: Scope, token: str) -> None:
    """Give a browser its session."""
    _set(response, scope, _name(scope), token, LONGEST)


def set_known_browser(response: Response, scope: Scope, value: str) -> None:
    """Have a browser keep that somebody has logged in here."""
    _set(response, scope, f"{_name(scope)}-browser", value, KEPT)


def _set(response: Response, scope: Scope, name: str, value: str, kept: timedelta) -> None:
    response.set_cookie(
        name,
        value,
        max_age=int(kept.total_seconds()),
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
