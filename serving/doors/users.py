"""`/v1/users`: accounts of people, for administrators."""

import asyncio
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from serving.access import Access, access_of
from serving.doors.describing import described, refusals
from serving.doors.route import Part, Route
from serving.identity import accounts
from serving.identity.account_records import Account
from serving.json_body import JsonBody
from serving.policy import Action, Role, Target

_NEW = JsonBody(
    {
        "type": "object",
        "required": ["name", "full_name", "roles"],
        "additionalProperties": False,
        "properties": {
            "name": {"type": "string", "pattern": f"^{accounts.NAME.pattern}$"},
            "full_name": {"type": "string", "minLength": 1, "maxLength": 200},
            "institution": {"type": "string", "maxLength": 64},
            "roles": {
                "type": "array",
                "minItems": 1,
                "items": {"enum": [role.value for role in Role if role is not Role.SYSTEM]},
            },
        },
    }
)


def account_json(account: Account) -> dict[str, Any]:
    """Return what others may know of an account."""
    return {
        "id": account.id,
        "name": account.name,
        "full_name": account.full_name,
        "institution": account.institution_id,
        "roles": account.roles,
        "second_factor": account.totp_confirmed,
        "must_change_password": account.must_change_password,
        "locked_until": account.locked_until.isoformat() if account.locked_until else None,
        "disabled": account.disabled_at is not None,
        "created_at": account.created_at.isoformat(),
    }


async def _list(request: Request) -> Response:
    access = access_of(request)
    access.require(Target("account"))
    found = await asyncio.to_thread(accounts.list_accounts, access.guard.engine)
    return JSONResponse({"users": [account_json(account) for account in found]})


async def _add(request: Request) -> Response:
    access = access_of(request)
    given = await _NEW.read(request)
    access.require(Target("account"))
    await access.settled()
    account, password = await asyncio.to_thread(
        accounts.add_account,
        access.guard.engine,
        given["name"],
        full_name=given["full_name"],
        roles=[Role(role) for role in given["roles"]],
        institution=given.get("institution"),
        now=datetime.now(UTC),
    )
    # Shown once: its owner must change it at the first login.
    return JSONResponse(
        {**account_json(account), "password": password}, status_code=HTTPStatus.CREATED
    )


async def _reset_password(request: Request) -> Response:
    access, account = await _named(request)
    password = await asyncio.to_thread(accounts.reset_password, access.guard.engine, account.id)
    access.guard.credentials.forget()
    return JSONResponse({"password": password})


async def _disable(request: Request) -> Response:
    access, account = await _named(request)
    await asyncio.to_thread(
        accounts.disable_account, access.guard.engine, account.id, datetime.now(UTC)
    )
    access.guard.credentials.forget()
    return Response(status_code=HTTPStatus.NO_CONTENT)


async def _remove_second_factor(request: Request) -> Response:
    access, account = await _named(request)
    await asyncio.to_thread(accounts.remove_second_factor, access.guard.engine, account.id)
    return Response(status_code=HTTPStatus.NO_CONTENT)


async def _named(request: Request) -> tuple[Access, Account]:
    access = access_of(request)
    account = await asyncio.to_thread(
        accounts.find_account, access.guard.engine, request.path_params["user"]
    )
    access.require(Target("account", object_id=account.id))
    await access.settled()
    return access, account


_REFUSED = refusals(
    {
        "401": "There is no credential that is valid now.",
        "403": "Administrators alone.",
        "422": "It cannot be done as it was asked for; the detail says why.",
    }
)
_MANAGE = Action.MANAGE_ACCOUNTS
_USER = ("user",)
PART = Part(
    "users",
    routes=(
        Route("GET", "/v1/users", _MANAGE, _list, described("List accounts", refused=_REFUSED)),
        Route(
            "POST",
            "/v1/users",
            _MANAGE,
            _add,
            described("Make an account", body=_NEW, status="201", refused=_REFUSED),
        ),
        Route(
            "POST",
            "/v1/users/{user}/reset-password",
            _MANAGE,
            _reset_password,
            described(
                "Give an account a new password, to be changed", parameters=_USER, refused=_REFUSED
            ),
        ),
        Route(
            "POST",
            "/v1/users/{user}/disable",
            _MANAGE,
            _disable,
            described("Close an account", parameters=_USER, status="204", refused=_REFUSED),
        ),
        Route(
            "DELETE",
            "/v1/users/{user}/second-factor",
            _MANAGE,
            _remove_second_factor,
            described(
                "Take the second factor off an account",
                parameters=_USER,
                status="204",
                refused=_REFUSED,
            ),
        ),
    ),
)
