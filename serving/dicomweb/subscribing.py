"""Subscriptions to work items over HTTP: UPS-RS (PS3.18 sections 11.10 to 11.12)."""

from http import HTTPStatus

from starlette.datastructures import QueryParams
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from serving.dicomweb.matching import key_of
from serving.dicomweb.workitems import on_worklist
from serving.problems import Problem
from serving.worklist.reports import FILTERED, GLOBAL

CHANNEL = "/ws/subscribers"
"""Where subscribers listen (PS3.18 8.10.4)."""
_LONGEST_TITLE = 16


async def subscribe(request: Request) -> Response:
    """`POST /dicom-web/workitems/{workitem}/subscribers/{subscriber}`: 201, and where to listen."""
    uid, subscriber = request.path_params["workitem"], subscriber_of(request)
    locked = _is_locked(request.query_params)
    wanted = _filter(request.query_params) if uid == FILTERED else None
    await on_worklist(
        request, lambda worklist: worklist.subscribe(uid, subscriber, wanted, locked=locked)
    )
    scheme = "wss" if request.url.scheme == "https" else "ws"
    place = f"{scheme}://{request.url.netloc}{CHANNEL}/{subscriber}"
    return Response(status_code=HTTPStatus.CREATED, headers={"Content-Location": place})


async def unsubscribe(request: Request) -> Response:
    """`DELETE /dicom-web/workitems/{workitem}/subscribers/{subscriber}`."""
    uid, subscriber = request.path_params["workitem"], subscriber_of(request)
    await on_worklist(request, lambda worklist: worklist.unsubscribe(uid, subscriber))
    return Response(status_code=HTTPStatus.OK)


async def suspend(request: Request) -> Response:
    """`POST /dicom-web/workitems/{workitem}/subscribers/{subscriber}/suspend`."""
    uid, subscriber = request.path_params["workitem"], subscriber_of(request)
    if uid not in (GLOBAL, FILTERED):
        raise Problem(
            HTTPStatus.NOT_FOUND,
            f"What is suspended is a global subscription; expected {GLOBAL} or {FILTERED}.",
        )
    await on_worklist(request, lambda worklist: worklist.suspend(subscriber))
    return Response(status_code=HTTPStatus.OK)


def subscriber_of(request: HTTPConnection) -> str:
    """Return the AE title in the path (PS3.5 section 6.2: 16 characters, no backslash).

    Raises:
        Problem: 400, it is none.
    """
    found = str(request.path_params["subscriber"]).strip(" ")
    is_title = found.isascii() and found.isprintable() and "\\" not in found
    if not is_title or not 0 < len(found) <= _LONGEST_TITLE:
        raise Problem(
            HTTPStatus.BAD_REQUEST,
            "The subscriber in the path is not an AE title: expected 1 to 16 printable ASCII "
            "characters without a backslash.",
        )
    return found


def _is_locked(query: QueryParams) -> bool:
    found = query.get("deletionlock", "false")
    if found not in ("true", "false"):
        raise Problem(HTTPStatus.BAD_REQUEST, "deletionlock is neither true nor false.")
    return found == "true"


def _filter(query: QueryParams) -> dict[str, str]:
    """Return the matching keys: `filter=KEY=VALUE,...`, and as older user agents send them, each as
    a parameter of its own.

    Raises:
        Problem: 400, there is none, or one is not understood.
    """
    pairs = [
        each.partition("=")[::2]
        for name, value in query.multi_items()
        for each in (value.split(",") if name == "filter" else [f"{name}={value}"])
        if name not in ("deletionlock", "accept", "charset")
    ]
    wanted = {key_of(name): value for name, value in pairs}
    if not wanted or None in wanted or not all(wanted.values()):
        raise Problem(
            HTTPStatus.BAD_REQUEST,
            "A filtered subscription needs attributes with values, such as "
            "filter=ScheduledProcedureStepPriority=HIGH; the query has none, or one that is not.",
        )
    return {key: value for key, value in wanted.items() if key is not None}
