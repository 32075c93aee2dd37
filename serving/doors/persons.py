"""`/v1/persons` and `/v1/legal-holds`: what a person may ask for, and what a court may forbid."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from serving.access import Access, access_of
from serving.audit import AuditUnavailableError
from serving.doors.describing import described, refusals
from serving.doors.patients import NUMBER, PATIENT, pseudonym_in
from serving.doors.route import Operation, Part, Route
from serving.json_body import JsonBody
from serving.persons import Person, erase_person, export_person, personal_records
from serving.persons.person import PersonalRecords
from serving.policy import Action, Target
from serving.privacy.holds import REASON, find_hold, lift_hold, list_holds, place_hold
from serving.privacy.records import LegalHold
from serving.problems import Problem

_Result = TypeVar("_Result")
_PERSON = JsonBody(
    {
        "type": "object",
        "required": ["identifier"],
        "additionalProperties": False,
        "properties": {
            "identifier": NUMBER | {"description": "The patient's number at the own institution."},
            "issuer": NUMBER
            | {"description": "Who gave it, where images name another (DICOM 0010,0021)."},
        },
    }
)
_HOLD = JsonBody(
    {
        "type": "object",
        "required": ["patient", "reason"],
        "additionalProperties": False,
        "properties": {
            "patient": PATIENT,
            "reason": {
                "type": "string",
                "pattern": f"^{REASON}$",
                "description": "A machine name or the number of a file; nothing of the person.",
            },
        },
    }
)


def hold_json(hold: LegalHold) -> dict[str, Any]:
    """Return a legal hold as JSON."""
    return {
        "id": hold.id,
        "patient": hold.patient,
        "reason": hold.reason,
        "placed_by": hold.placed_by,
        "placed_at": hold.placed_at.isoformat(),
        "lifted_at": hold.lifted_at.isoformat() if hold.lifted_at else None,
    }


async def _export(request: Request) -> Response:
    access, person = await _asked_for(request)
    pieces = await _on_record(export_person, access, request.app.state.persons, person)
    return StreamingResponse(
        pieces,
        media_type="application/zip",
        headers={"Content-Disposition": 'attachment; filename="person.zip"'},
    )


async def _erase(request: Request) -> Response:
    access, person = await _asked_for(request)
    removed = await _on_record(erase_person, access, request.app.state.persons, person)
    return JSONResponse({"removed": removed})


async def _on_record(
    work: Callable[[Access, tuple[PersonalRecords, ...], Person], _Result],
    access: Access,
    parts: tuple[PersonalRecords, ...],
    person: Person,
) -> _Result:
    """Carry a request out in a thread.

    Raises:
        Problem: 503, it cannot be recorded.
    """
    try:
        return await asyncio.to_thread(work, access, parts, person)
    except AuditUnavailableError as error:
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, str(error)) from error


async def _asked_for(request: Request) -> tuple[Access, Person]:
    access = access_of(request)
    given = await _PERSON.read(request)
    institution = access.actor.institution or "-"
    keyring = access.guard.keyring
    return access, Person.of(keyring, institution, given["identifier"], given.get("issuer"))


async def _place(request: Request) -> Response:
    access = access_of(request)
    given = await _HOLD.read(request)
    patient = pseudonym_in(access.guard, given["patient"])
    access.require(Target("legal_hold", None, patient))
    await access.settled()
    placed = await asyncio.to_thread(
        place_hold, access.guard.engine, patient, given["reason"], access.actor.id
    )
    return JSONResponse(hold_json(placed), status_code=HTTPStatus.CREATED)


async def _list(request: Request) -> Response:
    access = access_of(request)
    access.require(Target("legal_hold"))
    found = await asyncio.to_thread(list_holds, access.guard.engine)
    return JSONResponse({"holds": [hold_json(hold) for hold in found]})


async def _lift(request: Request) -> Response:
    access = access_of(request)
    engine = access.guard.engine
    hold = await asyncio.to_thread(find_hold, engine, request.path_params["hold"])
    access.require(Target("legal_hold", None, hold.patient, f"hold-{hold.id}"))
    await access.settled()
    return JSONResponse(hold_json(await asyncio.to_thread(lift_hold, engine, hold.id)))


@contextlib.asynccontextmanager
async def _open(app: Starlette) -> AsyncIterator[None]:
    app.state.persons = personal_records(app.state.guard.engine, app.state.guard.keyring)
    yield


_REFUSED = refusals(
    {
        "400": "The body is not as described.",
        "401": "There is no credential that is valid now.",
        "403": "Not allowed; or a legal hold forbids it.",
        "422": "It cannot be done as it was asked for; the detail says why.",
    }
)


def _export_operation() -> Operation:
    operation = dict(
        described(
            "Write a zip file of everything that there is of a patient",
            body=_PERSON,
            refused=_REFUSED,
        )
    )
    answer = {"description": "The file.", "content": {"application/zip": {}}}
    return operation | {"responses": {**operation["responses"], "200": answer}}


_HOLDS = "/v1/legal-holds"
PART = Part(
    "persons",
    routes=(
        Route("POST", "/v1/persons/export", Action.EXPORT_PERSON, _export, _export_operation()),
        Route(
            "POST",
            "/v1/persons/erasure",
            Action.ERASE_PERSON,
            _erase,
            described(
                "Remove everything of a patient but what the law keeps",
                body=_PERSON,
                refused=_REFUSED,
            ),
        ),
        Route(
            "GET",
            _HOLDS,
            Action.HOLD_RECORDS,
            _list,
            described("List legal holds, lifted ones too", refused=_REFUSED),
        ),
        Route(
            "POST",
            _HOLDS,
            Action.HOLD_RECORDS,
            _place,
            described(
                "Keep everything of a patient until the hold is lifted",
                body=_HOLD,
                status="201",
                refused=_REFUSED,
            ),
        ),
        Route(
            "POST",
            f"{_HOLDS}/{{hold}}/lift",
            Action.HOLD_RECORDS,
            _lift,
            described("Lift a legal hold", parameters=("hold",), refused=_REFUSED),
        ),
    ),
    open=_open,
)
