"""`/v1/fetches`: studies brought here from a PACS of the own institution."""

import asyncio
from collections.abc import Callable
from dataclasses import asdict
from http import HTTPStatus
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from models import store
from models.findings import Text
from serving.access import Access, access_of
from serving.audit import AuditUnavailableError
from serving.dicomweb.context import runtime_of
from serving.doors.describing import described, option, refusals
from serving.doors.route import Operation, Part, Route
from serving.fetching.ordering import Order, on_record, place_order
from serving.fetching.orders import (
    FetchLine,
    FetchNotFoundError,
    FetchOrderError,
    cancel_fetch,
    find_fetch,
    line_of,
    list_fetches,
    source_to_fetch_from,
)
from serving.fetching.tables import FetchState
from serving.json_body import JsonBody
from serving.peers import PeerError, PeerSettingError
from serving.policy import Action, Target
from serving.privacy import pseudonym_of
from serving.problems import Problem
from serving.records import writing

Result = TypeVar("Result")
_MOST_STUDIES, _MOST_PRIORS, _MOST_LISTED = 100, 20, 1000
_WORD = {"type": "string", "minLength": 1, "maxLength": 64}
_ORDER = JsonBody(
    {
        "type": "object",
        "required": ["source"],
        "additionalProperties": False,
        "properties": {
            "source": {**_WORD, "description": "Name of a source with `fetch` in node.yaml."},
            "studies": {
                "type": "array",
                "maxItems": _MOST_STUDIES,
                "items": {"type": "string", "pattern": r"^[0-9.]{1,64}$"},
                "description": "Study Instance UIDs.",
            },
            "accession_number": {**_WORD, "description": "The PACS is searched for it."},
            "patient_id": {**_WORD, "description": "All studies of the patient."},
            "priors": {
                "type": "integer",
                "minimum": 0,
                "maximum": _MOST_PRIORS,
                "description": "So many earlier studies of the patient as well, as a routine.",
            },
            "priority": {
                "enum": ["routine", "urgent"],
                "description": "Urgent: fetched first, and pre-read first.",
            },
        },
    }
)


async def _order(request: Request) -> Response:
    access = access_of(request)
    given = await _ORDER.read(request)
    institution = str(access.actor.institution)
    node = runtime_of(request).node
    patient_id = given.get("patient_id", "")
    keyring = access.guard.keyring
    patient = pseudonym_of(keyring, institution, patient_id) if patient_id else None
    access.require(access.own("study", patient))
    await access.settled()
    order = Order(
        tuple(given.get("studies", ())),
        given.get("accession_number", ""),
        patient_id,
        given.get("priors", 0),
        given.get("priority") == "urgent",
    )

    def place() -> list[FetchLine]:
        source = source_to_fetch_from(node, given["source"], institution)
        ordered = place_order(
            access.guard.engine, node, source, order, store.home(), on_record(access)
        )
        with access.guard.engine.connect() as connection:
            return [line_of(find_fetch(connection, each)) for each in ordered]

    lines = await _told(place)
    runtime_of(request).wake()
    shown = {"fetches": [_shown(line) for line in lines]}
    return JSONResponse(shown, status_code=HTTPStatus.ACCEPTED)


async def _list(request: Request) -> Response:
    access = access_of(request)
    access.require(access.own("study"))
    state, institution = request.query_params.get("state"), str(access.actor.institution)
    lines = await _told(
        lambda: list_fetches(access.guard.engine, state, _MOST_LISTED, institution=institution)
    )
    return JSONResponse({"fetches": [_shown(line) for line in lines]})


async def _show(request: Request) -> Response:
    line = await _told(lambda: _find(access_of(request), request.path_params["fetch"]))
    return JSONResponse(_shown(line))


async def _cancel(request: Request) -> Response:
    access, fetch_id = access_of(request), request.path_params["fetch"]
    await _told(lambda: _find(access, fetch_id))
    await access.settled()

    def cancel() -> FetchLine:
        with writing(access.guard.engine) as connection:
            cancel_fetch(connection, fetch_id)
            return line_of(find_fetch(connection, fetch_id))

    return JSONResponse(_shown(await _told(cancel)))


def _find(access: Access, fetch_id: str) -> FetchLine:
    """Return a fetch of the actor's institution; to others there is none.

    Raises:
        FetchNotFoundError: there is none.
    """
    with access.guard.engine.connect() as connection:
        row = find_fetch(connection, fetch_id)
    if row.institution != access.actor.institution:
        raise FetchNotFoundError
    access.require(Target("study", row.institution, object_id=row.id))
    return line_of(row)


async def _told(work: Callable[[], Result]) -> Result:
    """Do `work` in a thread; what it cannot do is told in both languages.

    Raises:
        Problem: 404, 422; 502, the PACS did not answer a search; 503, it cannot be recorded.
    """
    try:
        return await asyncio.to_thread(work)
    except FetchNotFoundError as error:
        raise _problem(HTTPStatus.NOT_FOUND, error.told) from None
    except FetchOrderError as error:
        raise _problem(HTTPStatus.UNPROCESSABLE_ENTITY, error.told) from None
    except PeerSettingError:
        raise _problem(HTTPStatus.UNPROCESSABLE_ENTITY, _WRONG_ENTRY) from None
    except PeerError as error:
        told = Text(f"{error} Nothing was queued.", f"{_NO_ANSWER.zh}（{error}）")
        raise _problem(HTTPStatus.BAD_GATEWAY, told) from None
    except AuditUnavailableError as error:
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, str(error)) from None


_NO_ANSWER = Text(
    "The PACS did not answer the search. Nothing was queued.",
    "PACS 未能应答查询，未登记任何调取任务；请稍后重试或联系管理员。",
)
_WRONG_ENTRY = Text(
    "The entry of this source in node.yaml cannot be used; ask an administrator to run "
    "`zhuzhen doctor`.",
    "node.yaml 中该来源的配置无法使用；请管理员运行 `zhuzhen doctor` 检查。",
)


def _problem(status: HTTPStatus, told: Text) -> Problem:
    return Problem(status, f"{told.en} / {told.zh}")


def _shown(line: FetchLine) -> dict[str, Any]:
    return asdict(line)


_REFUSED = {
    "400": "The body is not as described.",
    "401": "There is no credential that is valid now.",
    "403": "Not allowed.",
}
_FETCHES = "/v1/fetches"
_FETCH = f"{_FETCHES}/{{fetch}}"


def _described(summary: str, refused: dict[str, str], **more: Any) -> Operation:
    return described(summary, refused=refusals(_REFUSED | refused), **more)


_STATES = option(
    "state", {"enum": [state.value for state in FetchState]}, "Only fetches in this state."
)
PART = Part(
    "fetching",
    routes=(
        Route(
            "POST",
            _FETCHES,
            Action.FETCH_STUDY,
            _order,
            _described(
                "Have studies brought here from a PACS, however long that is away",
                {
                    "422": "There is no such source or study, or nothing was asked for.",
                    "502": "The PACS did not answer the search.",
                },
                body=_ORDER,
                status="202",
            ),
        ),
        Route(
            "GET",
            _FETCHES,
            Action.FETCH_STUDY,
            _list,
            {
                **_described("List fetches, the newest first", {"422": "There is no such state."}),
                "parameters": [_STATES],
            },
        ),
        Route(
            "GET",
            _FETCH,
            Action.FETCH_STUDY,
            _show,
            _described("Show how far a fetch is", {"404": "There is none."}),
        ),
        Route(
            "POST",
            f"{_FETCH}/cancel",
            Action.FETCH_STUDY,
            _cancel,
            _described(
                "Give a fetch up; what has come stays",
                {"404": "There is none.", "422": "It has ended."},
            ),
        ),
    ),
)
