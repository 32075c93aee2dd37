"""`/v1/referrals` and `/v1/emergency-access`: seeing another institution's patient."""

import asyncio
import logging
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from serving.access import access_of
from serving.doors.describing import described, refusals
from serving.doors.patients import PATIENT, pseudonym_in
from serving.doors.route import Part, Route
from serving.json_body import JsonBody
from serving.policy import Action, Target
from serving.relations import (
    break_glass,
    close_referral,
    find_override,
    list_overrides,
    list_referrals,
    refer,
    review_override,
)
from serving.relations.break_glass import LONGEST_REASON
from serving.relations.records import EmergencyOverride, Referral

_ALERTS = logging.getLogger("zhuzhen.alerts")
_REFER = JsonBody(
    {
        "type": "object",
        "required": ["patient", "to"],
        "additionalProperties": False,
        "properties": {"patient": PATIENT, "to": {"type": "string", "maxLength": 64}},
    }
)
_EMERGENCY = JsonBody(
    {
        "type": "object",
        "required": ["patient", "reason"],
        "additionalProperties": False,
        "properties": {
            "patient": PATIENT,
            "reason": {"type": "string", "maxLength": LONGEST_REASON},
        },
    }
)


def referral_json(referral: Referral) -> dict[str, Any]:
    """Return a referral as JSON."""
    return {
        "id": referral.id,
        "patient": referral.patient,
        "from": referral.from_id,
        "to": referral.to_id,
        "opened_at": referral.opened_at.isoformat(),
    }


def override_json(override: EmergencyOverride) -> dict[str, Any]:
    """Return an emergency override as JSON, without the person's words."""
    return {
        "id": override.id,
        "actor": override.actor,
        "institution": override.actor_institution,
        "patient": override.patient,
        "begun_at": override.begun_at.isoformat(),
        "expires_at": override.expires_at.isoformat(),
        "reviewed_by": override.reviewed_by,
    }


async def _list_referrals(request: Request) -> Response:
    access = access_of(request)
    access.require(access.own("referral"))
    institution = access.actor.institution or "-"
    found = await asyncio.to_thread(list_referrals, access.guard.engine, institution)
    return JSONResponse({"referrals": [referral_json(one) for one in found]})


async def _refer(request: Request) -> Response:
    access = access_of(request)
    given = await _REFER.read(request)
    patient = pseudonym_in(access.guard, given["patient"])
    access.require(access.own("referral", patient))
    await access.settled()
    referral = await asyncio.to_thread(
        refer,
        access.guard.engine,
        access.actor,
        patient,
        given["to"],
        datetime.now(UTC),
    )
    return JSONResponse(referral_json(referral), status_code=HTTPStatus.CREATED)


async def _close(request: Request) -> Response:
    access = access_of(request)
    access.require(access.own("referral"))
    await access.settled()
    await asyncio.to_thread(
        close_referral,
        access.guard.engine,
        access.actor,
        request.path_params["referral"],
        datetime.now(UTC),
    )
    return Response(status_code=HTTPStatus.NO_CONTENT)


async def _break_glass(request: Request) -> Response:
    access = access_of(request)
    given = await _EMERGENCY.read(request)
    patient = pseudonym_in(access.guard, given["patient"])
    access.require(Target("patient", None, patient))
    # On record before anybody sees anything on its ground, and told where alarms are watched.
    await access.settled()
    override = await asyncio.to_thread(
        break_glass,
        access.guard.engine,
        access.actor,
        patient,
        given["reason"],
        datetime.now(UTC),
    )
    _ALERTS.warning("emergency override %s by %s", override.id, access.actor.id)
    return JSONResponse(override_json(override), status_code=HTTPStatus.CREATED)


async def _list_overrides(request: Request) -> Response:
    access = access_of(request)
    access.require(Target("emergency_override"))
    found = await asyncio.to_thread(list_overrides, access.guard.engine)
    return JSONResponse({"overrides": [override_json(one) for one in found]})


async def _read_override(request: Request) -> Response:
    access = access_of(request)
    engine, number = access.guard.engine, request.path_params["override"]
    override = await asyncio.to_thread(find_override, engine, number)
    access.require(Target("emergency_override", object_id=f"override-{override.id}"))
    return JSONResponse({**override_json(override), "reason": override.reason})


async def _review(request: Request) -> Response:
    access = access_of(request)
    access.require(Target("emergency_override"))
    await access.settled()
    await asyncio.to_thread(
        review_override,
        access.guard.engine,
        request.path_params["override"],
        access.actor,
        datetime.now(UTC),
    )
    return Response(status_code=HTTPStatus.NO_CONTENT)


_REFUSED = refusals(
    {
        "401": "There is no credential that is valid now.",
        "403": "Not allowed.",
        "422": "It cannot be done as it was asked for; the detail says why.",
    }
)
_EMERGENCIES = "/v1/emergency-access"
PART = Part(
    "sharing",
    routes=(
        Route(
            "GET",
            "/v1/referrals",
            Action.READ_REFERRALS,
            _list_referrals,
            described("List the open referrals from and to the institution", refused=_REFUSED),
        ),
        Route(
            "POST",
            "/v1/referrals",
            Action.REFER_PATIENT,
            _refer,
            described("Refer a patient", body=_REFER, status="201", refused=_REFUSED),
        ),
        Route(
            "POST",
            "/v1/referrals/{referral}/close",
            Action.REFER_PATIENT,
            _close,
            described("Close it", parameters=("referral",), status="204", refused=_REFUSED),
        ),
        Route(
            "POST",
            _EMERGENCIES,
            Action.BREAK_GLASS,
            _break_glass,
            described(
                "See another institution's patient in an emergency: with a reason, for an hour, "
                "looked at afterwards",
                body=_EMERGENCY,
                status="201",
                refused=_REFUSED,
            ),
        ),
        Route(
            "GET",
            _EMERGENCIES,
            Action.REVIEW_EMERGENCY,
            _list_overrides,
            described("List emergency overrides", refused=_REFUSED),
        ),
        Route(
            "GET",
            _EMERGENCIES + "/{override}",
            Action.REVIEW_EMERGENCY,
            _read_override,
            described(
                "Read one with the person's own words",
                parameters=("override",),
                refused=_REFUSED,
            ),
        ),
        Route(
            "POST",
            _EMERGENCIES + "/{override}/review",
            Action.REVIEW_EMERGENCY,
            _review,
            described(
                "Note that it was looked at",
                parameters=("override",),
                status="204",
                refused=_REFUSED,
            ),
        ),
    ),
)
