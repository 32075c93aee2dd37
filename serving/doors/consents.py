"""`/v1/consents`: what patients agreed to, recorded, listed and withdrawn."""

import asyncio
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
from serving.privacy.consents import LONGEST_EVIDENCE, PURPOSES, Agreement, Consents, state_of
from serving.privacy.records import Consent

_RECORD = JsonBody(
    {
        "type": "object",
        "required": ["patient", "purpose", "evidence"],
        "additionalProperties": False,
        "properties": {
            "patient": PATIENT,
            "purpose": {"enum": [purpose.value for purpose in PURPOSES]},
            "recipient": {
                "type": "string",
                "maxLength": 64,
                "description": "Institution that may see the records; for sharing alone.",
            },
            "evidence": {
                "type": "string",
                "minLength": 1,
                "maxLength": LONGEST_EVIDENCE,
                "description": "Where the signed form is kept; stored encrypted.",
            },
            "expires_at": {"type": "string", "format": "date-time", "maxLength": 40},
        },
    }
)
_SEARCH = JsonBody(
    {
        "type": "object",
        "required": ["patient"],
        "additionalProperties": False,
        "properties": {"patient": PATIENT},
    }
)


def consent_json(consent: Consent) -> dict[str, Any]:
    """Return a consent as JSON."""
    return {
        "id": consent.id,
        "status": state_of(consent).value,
        "patient": consent.patient,
        "institution": consent.owner,
        "purpose": consent.purpose,
        "recipient": consent.recipient,
        "evidence": consent.evidence,
        "recorded_at": consent.given_at.isoformat(),
        "recorded_by": consent.recorded_by,
        "expires_at": consent.expires_at.isoformat() if consent.expires_at else None,
        "withdrawn_at": consent.withdrawn_at.isoformat() if consent.withdrawn_at else None,
        "withdrawn_by": consent.withdrawn_by,
    }


async def _record(request: Request) -> Response:
    access = access_of(request)
    given = await _RECORD.read(request)
    agreed = Agreement.of(
        given["purpose"], given["evidence"], given.get("recipient"), given.get("expires_at")
    )
    patient = pseudonym_in(access.guard, given["patient"])
    access.require(access.own("consent", patient))
    await access.settled()
    consent = await asyncio.to_thread(
        Consents(access.guard.engine).give,
        patient,
        str(access.actor.institution),
        agreed,
        access.actor.id,
    )
    return JSONResponse(consent_json(consent), status_code=HTTPStatus.CREATED)


async def _search(request: Request) -> Response:
    access = access_of(request)
    patient = pseudonym_in(access.guard, (await _SEARCH.read(request))["patient"])
    access.require(access.own("consent", patient))
    found = await asyncio.to_thread(
        Consents(access.guard.engine).of_patient, patient, str(access.actor.institution)
    )
    return JSONResponse({"consents": [consent_json(consent) for consent in found]})


async def _withdraw(request: Request) -> Response:
    access = access_of(request)
    access.require(access.own("consent"))
    consents, institution = Consents(access.guard.engine), str(access.actor.institution)
    asked = await asyncio.to_thread(consents.find, request.path_params["consent"], institution)
    access.require(Target("consent", asked.owner, asked.patient, f"consent-{asked.id}"))
    await access.settled()
    ended = await asyncio.to_thread(consents.withdraw, asked.id, institution, access.actor.id)
    return JSONResponse({"withdrawn": [consent_json(consent) for consent in ended]})


_REFUSED = refusals(
    {
        "400": "The body is not as described.",
        "401": "There is no credential that is valid now.",
        "403": "Not allowed.",
        "422": "It cannot be done as it was asked for; the detail says why.",
    }
)
_CONSENTS = "/v1/consents"
PART = Part(
    "consents",
    routes=(
        Route(
            "POST",
            _CONSENTS,
            Action.RECORD_CONSENT,
            _record,
            described(
                "Record what a patient of the own institution agreed to",
                body=_RECORD,
                status="201",
                refused=_REFUSED,
            ),
        ),
        Route(
            "POST",
            f"{_CONSENTS}/search",
            Action.READ_CONSENTS,
            _search,
            described(
                "List what a patient agreed to at the own institution, withdrawn consents too",
                body=_SEARCH,
                refused=_REFUSED,
            ),
        ),
        Route(
            "POST",
            f"{_CONSENTS}/{{consent}}/withdraw",
            Action.RECORD_CONSENT,
            _withdraw,
            described(
                "Withdraw a consent, with all others to the same; it counts from the next request",
                parameters=("consent",),
                refused=_REFUSED,
            ),
        ),
    ),
)
