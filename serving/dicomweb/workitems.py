"""Work items over HTTP: UPS-RS (PS3.18 sections 11.4 to 11.9)."""

import asyncio
import uuid
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response

from serving.access import access_of
from serving.answers import write_json
from serving.archive.entries import text_of
from serving.archive.header import Attributes, is_uid
from serving.archive.patients import patient_of
from serving.dicomweb.context import base_url, runtime_of
from serving.dicomweb.matching import key_of
from serving.dicomweb.searching import THERE_IS_MORE
from serving.json_body import read_json
from serving.problems import Problem
from serving.settings import Settings
from serving.slow_bodies import going_on
from serving.worklist.items import MOST, TRANSACTION, Worklist
from serving.worklist.reports import STATE
from serving.worklist.states import State

DICOM_JSON = "application/dicom+json"
_MOST_BYTES = 1024 * 1024
Result = TypeVar("Result")


async def create(request: Request) -> Response:
    """`POST /dicom-web/workitems?{UID}`: 201 and where it is."""
    names = [name for name, value in request.query_params.multi_items() if not value]
    uid = names[0] if names else f"2.25.{uuid.uuid4().int}"
    if not is_uid(uid):
        raise Problem(HTTPStatus.BAD_REQUEST, "The work item in the query is not a UID.")
    attributes = await _body(request)
    await on_worklist(request, lambda worklist: worklist.create(uid, attributes), whose=attributes)
    place = f"{base_url(request)}/workitems/{uid}"
    return Response(status_code=HTTPStatus.CREATED, headers={"Content-Location": place})


async def retrieve(request: Request) -> Response:
    """`GET /dicom-web/workitems/{workitem}`."""
    uid = request.path_params["workitem"]
    base = base_url(request)
    found = await on_worklist(request, lambda worklist: worklist.get(uid, base), changes=False)
    return Response(write_json([found]), media_type=DICOM_JSON)


async def amend(request: Request) -> Response:
    """`POST /dicom-web/workitems/{workitem}?{Transaction UID}`."""
    uid = request.path_params["workitem"]
    attributes = await _body(request)
    names = list(request.query_params)
    transaction = names[0] if names else ""
    await on_worklist(
        request, lambda worklist: worklist.amend(uid, attributes, transaction), whose=attributes
    )
    return Response(status_code=HTTPStatus.OK)


async def change_state(request: Request) -> Response:
    """`PUT /dicom-web/workitems/{workitem}/state`: claim, complete, cancel."""
    uid = request.path_params["workitem"]
    body = await _body(request)
    wanted = text_of(body, STATE)
    if wanted not in tuple(State) or wanted == State.SCHEDULED:
        raise Problem(
            HTTPStatus.BAD_REQUEST,
            "The body has no Procedure Step State (0074,1000) that can be changed to: expected "
            "IN PROGRESS, COMPLETED or CANCELED.",
        )
    transaction = text_of(body, TRANSACTION)
    if transaction and not is_uid(transaction):
        raise Problem(HTTPStatus.BAD_REQUEST, "The Transaction UID (0008,1195) is not a UID.")
    await on_worklist(
        request, lambda worklist: worklist.change_state(uid, State(wanted), transaction)
    )
    return Response(status_code=HTTPStatus.OK)


async def ask_to_cancel(request: Request) -> Response:
    """`POST /dicom-web/workitems/{workitem}/cancelrequest`: 202."""
    uid = request.path_params["workitem"]
    asked = await _body(request, may_be_empty=True)
    # Requests over HTTP have no AE title; who asks is in what they say (PS3.18 11.8).
    node = runtime_of(request).node.listener.ae_title
    await on_worklist(request, lambda worklist: worklist.ask_to_cancel(uid, asked, node))
    return Response(status_code=HTTPStatus.ACCEPTED)


async def search(request: Request) -> Response:
    """`GET /dicom-web/workitems`: by equal values; `limit`, 1000 at most, and `offset` page."""
    wanted: dict[str, str] = {}
    page = {"limit": str(MOST), "offset": "0"}
    for name, value in request.query_params.multi_items():
        if name in page:
            page[name] = value
            continue
        key = key_of(name)
        if key is None:
            raise Problem(HTTPStatus.BAD_REQUEST, "The query has an attribute that is not one.")
        wanted[key] = value
    if not all(value.isdecimal() and len(value) < 8 for value in page.values()):
        raise Problem(HTTPStatus.BAD_REQUEST, "limit or offset is not a whole number from 0.")
    named = {key: {"vr": "LO", "Value": [value]} for key, value in wanted.items()}
    limit, first = min(int(page["limit"]), MOST), int(page["offset"])
    found = await on_worklist(
        request,
        lambda worklist: worklist.search(wanted, limit + 1, first),
        whose=named,
        changes=False,
    )
    shown = found[:limit]
    more = f'299 zhuzhen "{THERE_IS_MORE}"'
    headers = {"Warning": more} if len(found) > limit else {}
    if not shown:
        return Response(status_code=HTTPStatus.NO_CONTENT, headers=headers)
    return Response(write_json(shown), media_type=DICOM_JSON, headers=headers)


async def on_worklist(
    request: Request,
    work: Callable[[Worklist], Result],
    whose: Attributes | None = None,
    *,
    changes: bool = True,
) -> Result:
    """Do `work` in a transaction of the sender's own institution, once it is on record of whom it
    is: of the patient of the work item in the path, and the one that `whose` names.

    What `changes` nothing keeps nobody from writing meanwhile.
    """
    access = access_of(request)
    archive = runtime_of(request).archive
    institution = access.actor.institution or "-"
    uid = request.path_params.get("workitem")

    def carry_out() -> Result:
        patients = {patient_of(institution, whose or {}, archive.keyring)}
        if uid is not None:
            with archive.engine.connect() as connection:
                found = Worklist(connection, archive.keyring, institution).attributes_of(uid)
            patients.add(patient_of(institution, found, archive.keyring))
        named: list[str | None] = [*sorted(filter(None, patients))]
        for patient in named or [None]:
            access.require(access.own("task", patient))
        if not changes:
            with archive.engine.connect() as connection:
                return work(Worklist(connection, archive.keyring, institution))
        return archive.write(
            lambda connection: work(Worklist(connection, archive.keyring, institution))
        )

    return await asyncio.get_running_loop().run_in_executor(None, carry_out)


async def _body(request: Request, *, may_be_empty: bool = False) -> Attributes:
    data = bytearray()
    async for piece in going_on(request, Settings.from_environment()):
        data += piece
        if len(data) > _MOST_BYTES:
            raise Problem(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"The body has more than {_MOST_BYTES} bytes.",
                {"Connection": "close"},
            )
    if may_be_empty and not data:
        return {}
    try:
        found: Any = read_json(data)
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, list) and len(found) == 1:
        found = found[0]
    if not isinstance(found, dict) or not all(map(_is_element, found.items())):
        raise Problem(
            HTTPStatus.BAD_REQUEST,
            f"The body is not one data set as {DICOM_JSON} (PS3.18 annex F).",
        )
    return found


def _is_element(item: tuple[str, Any]) -> bool:
    key, element = item
    return (
        len(key) == 8
        and key_of(key) == key
        and isinstance(element, dict)
        and isinstance(element.get("vr"), str)
        and isinstance(element.get("Value", []), list)
    )
