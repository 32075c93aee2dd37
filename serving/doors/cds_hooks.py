"""CDS Hooks 2.0: discovery, services, feedback (https://cds-hooks.hl7.org/2.0/)."""

import asyncio
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from models.errors import InputError
from models.risk.assessment import Assessment
from models.risk.registry import all_usable
from serving.access import access_of
from serving.cds_hooks.cards import Card, cards_of, missing_card
from serving.cds_hooks.feedback import count_feedback, keep_cards, keep_feedback
from serving.cds_hooks.services import (
    SERVICES,
    Call,
    PrefetchMissingError,
    Service,
    concerns,
    discovery,
    read_call,
)
from serving.doors.describing import refusals
from serving.doors.patients import patient_numbered
from serving.doors.route import Operation, Part, Route
from serving.json_answer import json_answer
from serving.json_body import JsonBody
from serving.policy import Action
from serving.problems import Problem
from serving.risk.choosing import assess_all

_BODY = JsonBody({"type": "object"}, most_bytes=2 * 2**20)
_SCORES_OF = {
    "cardiometabolic-risk": (
        "china-par",
        "who-cvd-lab",
        "who-cvd-nonlab",
        "ncdrs",
        "ckd-epi-2021",
        "kdigo",
        "kfre-4",
        "fib-4",
        "bp-grade-cn",
        "bmi-class-cn",
    ),
    "atrial-fibrillation-stroke-risk": ("cha2ds2-va", "cha2ds2-vasc"),
}


async def _discover(request: Request) -> Response:
    return json_answer(request, discovery())


async def _call(request: Request) -> Response:
    service = _service(request)
    body = await _BODY.read(request)
    cards = await asyncio.to_thread(_answer, request, service, body)
    return json_answer(request, {"cards": cards})


def _answer(request: Request, service: Service, body: Mapping[str, Any]) -> list[Card]:
    access = access_of(request)
    try:
        call = read_call(service, body)
    except PrefetchMissingError as error:
        raise Problem(HTTPStatus.PRECONDITION_FAILED, str(error)) from None
    except InputError as error:
        raise Problem(HTTPStatus.BAD_REQUEST, str(error)) from None
    access.require(access.own("assessment", patient_numbered(access, call.person.number)))
    if not concerns(service, call):
        return []
    language = "zh" if _speaks_chinese(request) else "en"
    assessments = _assess(request, service, call)
    cards = cards_of(assessments, language)
    keep_cards(access.guard.engine, service.id, access.actor.institution, cards)
    return [card for card, _ in cards] or [missing_card(assessments, language)]


def _assess(request: Request, service: Service, call: Call) -> list[Assessment]:
    wanted = _SCORES_OF[service.id]
    scores = [s for s in all_usable(request.app.state.enabled_scores) if s.id in wanted]
    return assess_all(scores, call.person.inputs)


async def _feedback(request: Request) -> Response:
    service = _service(request)
    access = access_of(request)
    access.require(access.own("feedback"))
    body = await _BODY.read(request)
    engine, institution = request.app.state.guard.engine, access.actor.institution
    try:
        await asyncio.to_thread(keep_feedback, engine, service.id, institution, body)
    except InputError as error:
        raise Problem(HTTPStatus.BAD_REQUEST, str(error)) from None
    return json_answer(request, {})


async def _count(request: Request) -> Response:
    counts = await asyncio.to_thread(count_feedback, request.app.state.guard.engine)
    return json_answer(request, {"scores": counts})


def _service(request: Request) -> Service:
    service = SERVICES.get(request.path_params["service"])
    if service is None:
        raise Problem(
            HTTPStatus.NOT_FOUND, "There is no CDS service of that id; GET /cds-services has them."
        )
    return service


def _speaks_chinese(request: Request) -> bool:
    """Chinese unless another language is asked for: most of its readers are in China."""
    asked = request.headers.get("accept-language", "zh").strip().lower()
    return asked.startswith(("zh", "*")) or not asked


_REFUSALS = {
    "400": "The body is no such call or feedback.",
    "401": "The request has no credential that is valid now.",
    "403": "The credential does not allow it.",
    "404": "There is no such service.",
    "412": "The call came without the prefetched patient.",
    "413": "The body is over the limit on bytes.",
    "415": "The body is not JSON.",
    "503": "What happens cannot be recorded.",
}


def _operation(summary: str, *, takes_body: bool) -> Operation:
    content = {"application/json": {"schema": {"type": "object"}}}
    operation: dict[str, Any] = {
        "summary": summary,
        "responses": {
            "200": {"description": "As CDS Hooks 2.0 says.", "content": content},
            **refusals(_REFUSALS),
        },
    }
    if takes_body:
        operation["requestBody"] = _BODY.described()
    return operation


PART = Part(
    "cds-hooks",
    routes=(
        Route(
            "GET",
            "/cds-services",
            Action.DISCOVER,
            _discover,
            _operation("List the CDS services", takes_body=False),
        ),
        Route(
            "POST",
            "/cds-services/{service}",
            Action.SCORE_RISK,
            _call,
            _operation("Call a CDS service", takes_body=True),
        ),
        Route(
            "POST",
            "/cds-services/{service}/feedback",
            Action.GIVE_FEEDBACK,
            _feedback,
            _operation("Tell what became of cards", takes_body=True),
        ),
        Route(
            "GET",
            "/v1/risk-feedback",
            Action.READ_MONITORING,
            _count,
            _operation("Count cards and their feedback", takes_body=False),
        ),
    ),
)
