"""`/v1/score-risk` and `POST /fhir/$assess-risk`: the risks of one person."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping
from http import HTTPStatus
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from models.errors import InputError, OtherKindError, PackageError
from models.observation import UNKNOWN
from models.risk.assessment import Assessment
from models.risk.inputs import INPUTS
from models.risk.registry import UnknownScoreError, all_scores, find, is_on, usable
from models.risk.score import Score
from models.risk.units import conversion
from serving import tracing
from serving.access import access_of
from serving.doors.describing import refusals
from serving.doors.route import Operation, Part, Route
from serving.json_answer import json_answer
from serving.json_body import JsonBody
from serving.model_doors import other_door
from serving.policy import Action
from serving.problems import Problem
from serving.risk.answers import answer_of, description_of
from serving.risk.choosing import APPLICABLE, assess_all, chosen_scores, enabled_scores
from serving.risk.packaged import PackagedModels
from serving.tracing import Stage

_REFUSALS = {
    "400": "The body is no such request, or names a score or input that is not known.",
    "401": "The request has no credential that is valid now.",
    "403": "The credential does not allow it, or the score is not enabled.",
    "408": "The body did not arrive in time.",
    "413": "The body is over the limit on bytes.",
    "415": "The body is not JSON.",
    "503": "A model cannot be loaded, or what happens cannot be recorded.",
}


_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "required": ["person"],
    "additionalProperties": False,
    "properties": {
        "scores": {
            "description": "One identifier, several, or `applicable` (the default): all that are "
            "on, with why those do not apply that give no number. Packaged models of people are "
            "named likewise (`mortality-10y`, `coronary-disease`) and answer under "
            "`model_assessments`.",
            "oneOf": [
                {"type": "string"},
                {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 64},
            ],
        },
        "person": {
            "type": "object",
            "description": "Inputs by name: a value, or an object with `value`, `unit` (UCUM) and "
            "`date`. GET /v1/risk-scores lists them.",
        },
    },
}
_BODY = JsonBody(_SCHEMA, most_bytes=2**20)


async def _score_risk(request: Request) -> Response:
    access = access_of(request)
    access.require(access.own("assessment"))
    asked = await _BODY.read(request)
    sender = access.actor.institution or UNKNOWN
    with tracing.span(Stage.ASSESSMENT):
        answer = await asyncio.to_thread(
            _scored, request, asked.get("scores", APPLICABLE), asked["person"], sender
        )
    return json_answer(request, answer)


def _scored(
    request: Request, asked: object, person: Mapping[str, object], institution: str
) -> dict[str, Any]:
    packaged: PackagedModels = request.app.state.packaged_models
    models = packaged.names_among(asked)
    try:
        told = packaged.answers(models, person, institution)
        # What the models alone take is no mistake of those who ask for equations as well.
        known = packaged.inputs_of(models) - INPUTS.keys()
    except OtherKindError as error:
        raise Problem(HTTPStatus.BAD_REQUEST, other_door(error)) from None
    except PackageError as error:
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, str(error)) from None
    except InputError as error:
        raise Problem(HTTPStatus.BAD_REQUEST, str(error)) from None
    rest = [name for name in asked if name not in models] if isinstance(asked, list) else asked
    if models and rest in ([], models[0]):
        return {"assessments": [], "model_assessments": told}
    own = {name: value for name, value in person.items() if name not in known}
    answer = _answer(_assessed(_chosen(request, rest), own), everything=asked == APPLICABLE)
    return {**answer, "model_assessments": told} if models else answer


def _answer(assessments: list[Assessment], *, everything: bool) -> dict[str, Any]:
    """Of all scores that are on, those without a number are told apart, with why."""
    if not everything:
        return {"assessments": [answer_of(assessment) for assessment in assessments]}
    return {
        "assessments": [answer_of(one) for one in assessments if one.value is not None],
        "not_applicable": [
            {
                "score": one.score.id,
                "title": {"en": one.score.title.en, "zh": one.score.title.zh},
                "status": one.status.word,
                "reasons": [
                    {"en": refusal.told.en, "zh": refusal.told.zh} for refusal in one.refusals
                ],
            }
            for one in assessments
            if one.value is None
        ],
    }


async def _list_scores(request: Request) -> Response:
    enabled = request.app.state.enabled_scores
    described = [description_of(score, enabled=is_on(score, enabled)) for score in all_scores()]
    return json_answer(request, {"scores": described})


async def _show_score(request: Request) -> Response:
    try:
        score = find(request.path_params["score"])
    except UnknownScoreError:
        raise Problem(HTTPStatus.NOT_FOUND, "There is no risk score of that identifier.") from None
    except PackageError as error:
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, str(error)) from None
    enabled = is_on(score, request.app.state.enabled_scores)
    return json_answer(request, description_of(score, enabled=enabled))


def _chosen(request: Request, asked: object) -> list[Score]:
    try:
        return chosen_scores(asked, request.app.state.enabled_scores)
    except InputError as error:
        raise Problem(HTTPStatus.BAD_REQUEST, str(error)) from None
    except PackageError as error:
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, str(error)) from None


def _assessed(scores: list[Score], person: Mapping[str, object]) -> list[Assessment]:
    try:
        return assess_all(scores, person)
    except InputError as error:
        raise Problem(HTTPStatus.BAD_REQUEST, str(error)) from None


@contextlib.asynccontextmanager
async def _open(app: Starlette) -> AsyncIterator[None]:
    # A wrong setting keeps the service from starting; later it would fail every request.
    app.state.enabled_scores = enabled_scores()
    app.state.packaged_models = PackagedModels(app.state.watcher)
    # The first unit that needs converting would otherwise wait seconds for the table of units, and
    # the service need not wait for it to be ready.
    warming = asyncio.create_task(
        asyncio.to_thread(conversion, INPUTS["total_cholesterol_mmol_l"], "mg/dL")
    )
    for name in app.state.enabled_scores:
        usable(name, app.state.enabled_scores)
    yield
    await warming


def _operation(summary: str, description: str, body: JsonBody | None) -> Operation:
    answers = {"application/json": {"schema": {"type": "object"}}}
    operation: dict[str, Any] = {
        "summary": summary,
        "description": description,
        "responses": {
            "200": {"description": "The answer.", "content": answers},
            **refusals(_REFUSALS if body is not None else _few()),
        },
    }
    if body is not None:
        operation["requestBody"] = body.described()
    return operation


def _few() -> dict[str, str]:
    return {status: _REFUSALS[status] for status in ("401", "403", "503")} | {
        "404": "There is no such score."
    }


def _routes() -> Iterator[Route]:
    yield Route(
        "POST",
        "/v1/score-risk",
        Action.SCORE_RISK,
        _score_risk,
        _operation(
            "Score the risks of one person",
            "Published risk scores, each with its population, source, inputs, contributions and "
            "limits, or with the exact reasons why there is no number. Nothing is imputed.",
            _BODY,
        ),
    )
    yield Route(
        "GET",
        "/v1/risk-scores",
        Action.DISCOVER,
        _list_scores,
        _operation("List the risk scores", "With what each needs and is for.", None),
    )
    yield Route(
        "GET",
        "/v1/risk-scores/{score}",
        Action.DISCOVER,
        _show_score,
        _operation("Show one risk score", "With what it needs and is for.", None),
    )


PART = Part("risk-scoring", routes=tuple(_routes()), open=_open)
