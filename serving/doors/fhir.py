"""FHIR R4: `GET /fhir/metadata` and `POST /fhir/$assess-risk`."""

import asyncio
from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from models.errors import InputError
from serving.access import Access, access_of
from serving.doors.patients import patient_numbered
from serving.doors.route import Operation, Part, Route
from serving.fhir.assessments import bundle_of
from serving.fhir.operation import read_request
from serving.fhir.problems import MEDIA_TYPE
from serving.json_answer import json_answer
from serving.json_body import JsonBody
from serving.policy import Action
from serving.problems import Problem
from serving.risk.choosing import APPLICABLE, assess_all, chosen_scores

_RESOURCE = {
    "type": "object",
    "required": ["resourceType"],
    "properties": {"resourceType": {"enum": ["Bundle", "Parameters"]}},
}
_MOST_BYTES = 2 * 2**20
"""A Bundle with some years of one person's observations has a few hundred kilobytes."""
_BODY = JsonBody(_RESOURCE, _MOST_BYTES, (MEDIA_TYPE, "application/json"))


async def _assess_risk(request: Request) -> Response:
    access = access_of(request)
    body = await _BODY.read(request)
    bundle = await asyncio.to_thread(_assess, access, body, request.app.state.enabled_scores)
    return json_answer(request, bundle, MEDIA_TYPE)


def _assess(access: Access, body: dict[str, Any], enabled: frozenset[str]) -> dict[str, Any]:
    try:
        asked = read_request(body)
        access.require(access.own("assessment", patient_numbered(access, asked.person.number)))
        scores = chosen_scores(list(asked.scores) or APPLICABLE, enabled)
        return bundle_of(assess_all(scores, asked.person.inputs), asked.person)
    except InputError as error:
        raise Problem(HTTPStatus.BAD_REQUEST, str(error)) from None


async def _metadata(request: Request) -> Response:
    return json_answer(request, capability_statement(), MEDIA_TYPE)


def capability_statement() -> dict[str, Any]:
    """Return what this server can do (https://hl7.org/fhir/R4/capabilitystatement.html)."""
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": "2026-11-25",
        "kind": "instance",
        "implementation": {"description": "Zhuzhen 助诊: risk scores"},
        "software": {"name": "Zhuzhen"},
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json"],
        "rest": [
            {
                "mode": "server",
                "security": {"description": "Bearer keys and tokens; see docs/security.md."},
                "operation": [
                    {
                        "name": "assess-risk",
                        "definition": "urn:zhuzhen:operation:assess-risk",
                        "documentation": "A Bundle or Parameters of one person's resources in, a "
                        "Bundle of RiskAssessment, Observation and OperationOutcome out. Decision "
                        "support for professionals; not a cleared medical device.",
                    }
                ],
            }
        ],
    }


def _operation(summary: str, *, takes_body: bool) -> Operation:
    content = {MEDIA_TYPE: {"schema": {"type": "object"}}}
    failures = ("400", "401", "403", "408", "413", "415", "503") if takes_body else ("401", "403")
    operation: dict[str, Any] = {
        "summary": summary,
        "responses": {
            "200": {"description": "A FHIR R4 resource.", "content": content},
            **{
                status: {"description": "An OperationOutcome.", "content": content}
                for status in failures
            },
        },
    }
    if takes_body:
        operation["requestBody"] = _BODY.described()
    return operation


PART = Part(
    "fhir",
    routes=(
        Route(
            "GET",
            "/fhir/metadata",
            Action.DISCOVER,
            _metadata,
            _operation("What the FHIR interface can do", takes_body=False),
        ),
        Route(
            "POST",
            "/fhir/$assess-risk",
            Action.SCORE_RISK,
            _assess_risk,
            _operation("Assess the risks of one person", takes_body=True),
        ),
    ),
)
