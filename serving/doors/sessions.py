"""Logging in and out in a browser, and one's own account: `/v1/login`, `/v1/session`."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from serving import audit
from serving.access import Guard, access_of, address_of
from serving.doors.describing import described, refusals
from serving.doors.route import Part, Route
from serving.identity import accounts, sessions
from serving.identity.account_records import Account
from serving.identity.cookies import (
    cookie_of,
    forget_cookie,
    known_browser_of,
    set_cookie,
    set_known_browser,
)
from serving.identity.known_browsers import Browser, KnownBrowsers
from serving.identity.rates import RateLimit, network_of
from serving.json_body import JsonBody
from serving.policy import Action, Target
from serving.problems import Problem, too_many

_LOGINS_PER_MINUTE = 20
"""From one address; an account is locked long before."""
_PASSWORD = {"type": "string", "minLength": 1, "maxLength": 1024}
_LOGIN = JsonBody(
    {
        "type": "object",
        "required": ["name", "password"],
        "additionalProperties": False,
        "properties": {
            "name": {"type": "string", "maxLength": 64},
            "password": _PASSWORD,
            "code": {"type": "string", "pattern": "^[0-9]{6}$"},
        },
    }
)
_CHANGE = JsonBody(
    {
        "type": "object",
        "required": ["old", "new"],
        "additionalProperties": False,
        "properties": {"old": _PASSWORD, "new": _PASSWORD},
    }
)
_ENROL = JsonBody(
    {
        "type": "object",
        "required": ["password"],
        "additionalProperties": False,
        "properties": {"password": _PASSWORD},
    }
)
_CODE = JsonBody(
    {
        "type": "object",
        "required": ["code"],
        "additionalProperties": False,
        "properties": {"code": {"type": "string", "pattern": "^[0-9]{6}$"}},
    }
)


async def _log_in(request: Request) -> Response:
    guard: Guard = request.app.state.guard
    limit: RateLimit = request.app.state.logins
    wait_s = limit.wait_s(network_of(address_of(request.scope)))
    if wait_s:
        raise too_many(wait_s)
    given = await _LOGIN.read(request)
    now = datetime.now(UTC)
    try:
        account = await _slowly(
            request,
            accounts.log_in,
            guard.engine,
            given["name"],
            given["password"],
            given.get("code"),
            now,
            _browser(request),
        )
    except accounts.LoginRefusedError as error:
        await _record(guard, request, error.account_id, error.reason)
        raise Problem(HTTPStatus.UNAUTHORIZED, str(error)) from None
    # A session that the browser came with is left behind: what somebody else may have put there
    # must not become this person's.
    before = cookie_of(request.scope)
    if before is not None:
        await asyncio.to_thread(sessions.end_session, guard.engine, before)
    begun = await asyncio.to_thread(sessions.begin_session, guard.engine, account.id, now)
    await _record(guard, request, account.id, None)
    response = JSONResponse({**_told(account), "csrf_token": begun.csrf_token})
    set_cookie(response, request.scope, begun.token)
    known: KnownBrowsers = request.app.state.known_browsers
    set_known_browser(response, request.scope, known.cookie_for(account.id))
    return response


def _browser(request: Request) -> Browser:
    known: KnownBrowsers = request.app.state.known_browsers
    return known.browser_with(known_browser_of(request.scope))


async def _record(guard: Guard, request: Request, account: str | None, reason: str | None) -> None:
    event = audit.AuditEvent(
        category=audit.Category.USER_AUTHENTICATION,
        action=audit.Action.EXECUTE,
        outcome=audit.Outcome.DENIED if reason else audit.Outcome.ALLOWED,
        operation="POST:/v1/login",
        actor=f"account:{account}" if account else "anonymous",
        role="none",
        purpose=audit.Purpose.OPERATIONS,
        reason=reason,
        source_address=address_of(request.scope),
    )
    try:
        await guard.recorder.record(event)
    except audit.AuditUnavailableError as error:
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, str(error)) from error


async def _log_out(request: Request) -> Response:
    access = access_of(request)
    access.require(Target("account"))
    token = cookie_of(request.scope)
    if token is not None:
        await asyncio.to_thread(sessions.end_session, access.guard.engine, token)
        access.guard.credentials.forget()
    response = Response(status_code=HTTPStatus.NO_CONTENT)
    forget_cookie(response, request.scope)
    return response


async def _session(request: Request) -> Response:
    access = access_of(request)
    access.require(Target("account"))
    actor = access.actor
    token = cookie_of(request.scope)
    found: dict[str, Any] = {
        "actor": actor.id,
        "roles": sorted(actor.roles),
        "institution": actor.institution,
        "scopes": None if actor.scopes is None else sorted(actor.scopes),
    }
    if token is not None:
        found["csrf_token"] = sessions.csrf_token_of(token)
    return JSONResponse(found)


async def _change_password(request: Request) -> Response:
    access = access_of(request)
    account = _own(request)
    access.require(Target("account", object_id=account))
    given = await _CHANGE.read(request)
    await access.settled()
    try:
        await _slowly(
            request,
            accounts.change_password,
            access.guard.engine,
            account,
            given["old"],
            given["new"],
            datetime.now(UTC),
            _browser(request),
        )
    except accounts.LoginRefusedError as error:
        access.note_result(audit.Outcome.FAILED, error.reason)
        raise Problem(HTTPStatus.FORBIDDEN, str(error)) from None
    access.guard.credentials.forget()
    return Response(status_code=HTTPStatus.NO_CONTENT)


async def _enrol(request: Request) -> Response:
    access = access_of(request)
    account = _own(request)
    access.require(Target("account", object_id=account))
    given = await _ENROL.read(request)
    await access.settled()
    try:
        uri = await _slowly(
            request,
            accounts.enrol_second_factor,
            access.guard.engine,
            account,
            given["password"],
            datetime.now(UTC),
            _browser(request),
        )
    except accounts.LoginRefusedError as error:
        access.note_result(audit.Outcome.FAILED, error.reason)
        raise Problem(HTTPStatus.FORBIDDEN, str(error)) from None
    return JSONResponse({"uri": uri})


async def _confirm(request: Request) -> Response:
    access = access_of(request)
    account = _own(request)
    access.require(Target("account", object_id=account))
    given = await _CODE.read(request)
    await access.settled()
    try:
        await asyncio.to_thread(
            accounts.confirm_second_factor,
            access.guard.engine,
            account,
            given["code"],
            datetime.now(UTC),
        )
    except accounts.LoginRefusedError as error:
        access.note_result(audit.Outcome.FAILED, error.reason)
        raise Problem(HTTPStatus.FORBIDDEN, str(error)) from None
    access.guard.credentials.forget()
    return Response(status_code=HTTPStatus.NO_CONTENT)


def _own(request: Request) -> str:
    """Return the account of who asks.

    Raises:
        Problem: 403, it is a program or somebody of an outside provider.
    """
    kind, _, account = access_of(request).actor.id.partition(":")
    if kind != "account":
        raise Problem(
            HTTPStatus.FORBIDDEN,
            "The credential is not an account of this service, so it has no password here.",
        )
    return account


async def _slowly(request: Request, work: Any, *arguments: Any) -> Any:
    """Do what compares passwords on the one thread for it: guesses wait for each other."""
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(request.app.state.password_checks, work, *arguments)


def _told(account: Account) -> dict[str, Any]:
    return {
        "actor": f"account:{account.id}",
        "name": account.name,
        "roles": account.roles,
        "institution": account.institution_id,
        "must_change_password": account.must_change_password,
    }


@contextlib.asynccontextmanager
async def _open(app: Starlette) -> AsyncIterator[None]:
    app.state.logins = RateLimit(_LOGINS_PER_MINUTE)
    app.state.known_browsers = KnownBrowsers(app.state.guard.keyring)
    with ThreadPoolExecutor(1, thread_name_prefix="passwords") as app.state.password_checks:
        yield


_REFUSED = refusals({"401": "Not logged in.", "403": "Not allowed, or not the password or code."})
_OWN_ACCOUNT = Action.MANAGE_OWN_ACCOUNT
PART = Part(
    "sessions",
    routes=(
        Route(
            "POST",
            "/v1/login",
            None,
            _log_in,
            described("Log in with a name and a password", body=_LOGIN, refused=_REFUSED),
        ),
        Route(
            "GET",
            "/v1/session",
            Action.READ_OWN_ACCOUNT,
            _session,
            described("Who is logged in, and the token for requests that change", refused=_REFUSED),
        ),
        Route(
            "POST",
            "/v1/logout",
            _OWN_ACCOUNT,
            _log_out,
            described("Log out", status="204", refused=_REFUSED),
        ),
        Route(
            "POST",
            "/v1/password",
            _OWN_ACCOUNT,
            _change_password,
            described("Change the own password", body=_CHANGE, status="204", refused=_REFUSED),
        ),
        Route(
            "POST",
            "/v1/second-factor",
            _OWN_ACCOUNT,
            _enrol,
            described(
                "Get a secret for an authenticator application", body=_ENROL, refused=_REFUSED
            ),
        ),
        Route(
            "POST",
            "/v1/second-factor/confirm",
            _OWN_ACCOUNT,
            _confirm,
            described("Confirm it with a first code", body=_CODE, status="204", refused=_REFUSED),
        ),
    ),
    open=_open,
)
