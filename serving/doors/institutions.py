"""`/v1/institutions`: who there is, and who refers to whom."""

import asyncio
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from serving.access import access_of
from serving.doors.describing import described, refusals
from serving.doors.route import Part, Route
from serving.identity import institutions
from serving.identity.records import Tier
from serving.json_body import JsonBody
from serving.policy import Action, Target

_ID = {"type": "string", "pattern": f"^{institutions.ID.pattern}$"}
_NAME = {"type": "string", "minLength": 1, "maxLength": 200}
_NEW = JsonBody(
    {
        "type": "object",
        "required": ["id", "name", "name_zh", "tier"],
        "additionalProperties": False,
        "properties": {
            "id": _ID,
            "name": _NAME,
            "name_zh": _NAME,
            "tier": {"enum": [tier.value for tier in Tier]},
        },
    }
)
_REFERS_TO = JsonBody(
    {
        "type": "object",
        "required": ["refers_to"],
        "additionalProperties": False,
        "properties": {"refers_to": {"type": "array", "maxItems": 1000, "items": _ID}},
    }
)


def institution_json(found: institutions.Described) -> dict[str, Any]:
    """Return an institution as JSON."""
    return {
        "id": found.id,
        "name": found.name,
        "name_zh": found.name_zh,
        "tier": found.tier.value,
        "refers_to": list(found.refers_to),
    }


async def _list(request: Request) -> Response:
    access = access_of(request)
    access.require(Target("institution"))
    found = await asyncio.to_thread(institutions.list_institutions, access.guard.engine)
    return JSONResponse({"institutions": [institution_json(one) for one in found]})


async def _add(request: Request) -> Response:
    access = access_of(request)
    given = await _NEW.read(request)
    access.require(Target("institution", object_id=given["id"]))
    await access.settled()
    await asyncio.to_thread(
        institutions.add_institution,
        access.guard.engine,
        given["id"],
        name=given["name"],
        name_zh=given["name_zh"],
        tier=Tier(given["tier"]),
        now=datetime.now(UTC),
    )
    return JSONResponse({"id": given["id"]}, status_code=HTTPStatus.CREATED)


async def _set_referrals(request: Request) -> Response:
    access = access_of(request)
    given = await _REFERS_TO.read(request)
    access.require(Target("institution"))
    await access.settled()
    await asyncio.to_thread(
        institutions.set_referrals,
        access.guard.engine,
        request.path_params["institution"],
        given["refers_to"],
    )
    return Response(status_code=HTTPStatus.NO_CONTENT)


_REFUSED = refusals(
    {
        "401": "There is no credential that is valid now.",
        "403": "Not allowed.",
        "422": "It cannot be done as it was asked for; the detail says why.",
    }
)
PART = Part(
    "institutions",
    routes=(
        Route(
            "GET",
            "/v1/institutions",
            Action.DISCOVER,
            _list,
            described("List institutions", refused=_REFUSED),
        ),
        Route(
            "POST",
            "/v1/institutions",
            Action.MANAGE_INSTITUTIONS,
            _add,
            described("Add an institution", body=_NEW, status="201", refused=_REFUSED),
        ),
        Route(
            "PUT",
            "/v1/institutions/{institution}/referrals",
            Action.MANAGE_INSTITUTIONS,
            _set_referrals,
            described(
                "Say where an institution refers patients to",
                body=_REFERS_TO,
                parameters=("institution",),
                status="204",
                refused=_REFUSED,
            ),
        ),
    ),
)
