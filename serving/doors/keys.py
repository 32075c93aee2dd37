"""`/v1/keys`: credentials of programs, for administrators."""

import asyncio
from datetime import timedelta
from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from serving.access import access_of
from serving.doors.describing import described, refusals
from serving.doors.route import Part, Route
from serving.identity import keys
from serving.identity.records import ApiKey
from serving.json_body import JsonBody
from serving.policy import Action, Role, Target
from serving.problems import Problem

_NEW = JsonBody(
    {
        "type": "object",
        "required": ["label"],
        "additionalProperties": False,
        "properties": {
            "label": {"type": "string", "minLength": 1, "maxLength": 200},
            "institution": {"type": "string", "maxLength": 64},
            "roles": {
                "type": "array",
                "minItems": 1,
                "items": {"enum": [role.value for role in Role]},
                "default": [Role.SYSTEM.value],
            },
            "scopes": {"type": "array", "items": {"enum": [action.value for action in Action]}},
            "days": {
                "type": "integer",
                "minimum": 1,
                "maximum": keys.LONGEST.days,
                "default": keys.USUAL.days,
            },
        },
    }
)


def key_json(key: ApiKey) -> dict[str, Any]:
    """Return a key as JSON: everything but its secret, which nobody has."""
    return {
        "id": key.id,
        "label": key.label,
        "institution": key.institution_id,
        "roles": key.roles,
        "scopes": key.scopes,
        "created_at": key.created_at.isoformat(),
        "expires_at": key.expires_at.isoformat(),
        "revoked_at": key.revoked_at.isoformat() if key.revoked_at else None,
    }


async def _list(request: Request) -> Response:
    access = access_of(request)
    access.require(Target("key"))
    found = await asyncio.to_thread(keys.list_keys, access.guard.engine)
    return JSONResponse({"keys": [key_json(key) for key in found]})


async def _add(request: Request) -> Response:
    access = access_of(request)
    given = await _NEW.read(request)
    scopes = given.get("scopes")
    access.require(Target("key"))
    await access.settled()
    key = await asyncio.to_thread(
        keys.make_key,
        access.guard.engine,
        label=given["label"],
        roles=[Role(role) for role in given.get("roles", [Role.SYSTEM])],
        institution=given.get("institution"),
        scopes=None if scopes is None else [Action(scope) for scope in scopes],
        valid_for=timedelta(days=given.get("days", keys.USUAL.days)),
    )
    # Shown once; only its digest is kept.
    return JSONResponse({"id": keys.id_of(key), "key": key}, status_code=HTTPStatus.CREATED)


async def _revoke(request: Request) -> Response:
    access = access_of(request)
    key_id = request.path_params["key"]
    access.require(Target("key"))
    await access.settled()
    if not await asyncio.to_thread(keys.revoke_key, access.guard.engine, key_id):
        raise Problem(HTTPStatus.NOT_FOUND, "There is no key of this number that is valid.")
    access.guard.credentials.forget()
    return Response(status_code=HTTPStatus.NO_CONTENT)


_REFUSED = refusals(
    {
        "401": "There is no credential that is valid now.",
        "403": "Administrators alone.",
        "404": "There is no such key.",
        "422": "It cannot be done as it was asked for; the detail says why.",
    }
)
_MANAGE = Action.MANAGE_KEYS
PART = Part(
    "keys",
    routes=(
        Route("GET", "/v1/keys", _MANAGE, _list, described("List keys", refused=_REFUSED)),
        Route(
            "POST",
            "/v1/keys",
            _MANAGE,
            _add,
            described("Make a key, which is shown once", body=_NEW, status="201", refused=_REFUSED),
        ),
        Route(
            "DELETE",
            "/v1/keys/{key}",
            _MANAGE,
            _revoke,
            described("Revoke a key", parameters=("key",), status="204", refused=_REFUSED),
        ),
    ),
)
