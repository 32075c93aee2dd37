"""The doors of the imaging node: DICOMweb, DICOM services and jobs."""

import contextlib
from collections.abc import AsyncIterator

from starlette.applications import Starlette

from serving.dicomweb.context import PREFIX
from serving.dicomweb.event_channel import listen, refuse_plain
from serving.dicomweb.pixels import (
    retrieve_bulk_data,
    retrieve_frames,
    retrieve_rendered,
    retrieve_thumbnail,
)
from serving.dicomweb.retrieving import retrieve, retrieve_metadata
from serving.dicomweb.searching import search_instances, search_series, search_studies
from serving.dicomweb.storing import store
from serving.dicomweb.subscribing import CHANNEL, subscribe, suspend, unsubscribe
from serving.dicomweb.workitems import (
    amend,
    ask_to_cancel,
    change_state,
    create,
    search,
)
from serving.dicomweb.workitems import retrieve as retrieve_item
from serving.doors.describing import refusals
from serving.doors.route import DicomService, Handler, Job, Operation, Part, Route
from serving.node.runtime import open_runtime
from serving.policy import Action
from serving.worklist.channels import Channels

_STUDIES = f"{PREFIX}/studies"
_STUDY = f"{_STUDIES}/{{study}}"
_SERIES = f"{_STUDY}/series/{{series}}"
_INSTANCE = f"{_SERIES}/instances/{{instance}}"
_REFUSALS = {
    "400": "The path, query or body is not as PS3.18 says; the detail names what.",
    "401": "The request has no credential that is valid now.",
    "403": "The credential does not allow it.",
    "404": "There is no such study, series, instance or frame.",
    "406": "The Accept header takes nothing that is offered.",
}
_STALLED = {"408": "The body stopped arriving."}
_ITEM_REFUSALS = (
    _REFUSALS
    | _STALLED
    | {
        "409": "The work item is in another state, claimed by another, or known already.",
        "413": "The body is too large.",
    }
)
_STORE_REFUSALS = (
    _REFUSALS
    | _STALLED
    | {
        "409": "Nothing was stored: every instance is in conflict with what is known.",
        "413": "A part of the body is too large.",
        "415": "The body, or every instance in it, has a type that is not read.",
        "507": "No space is left.",
    }
)


@contextlib.asynccontextmanager
async def _open(app: Starlette) -> AsyncIterator[None]:
    with open_runtime(app.state.guard, app.state.watcher) as runtime:
        app.state.node = runtime
        app.state.channels = Channels(runtime.archive.engine, runtime.archive.keyring)
        await app.state.channels.start()
        try:
            yield
        finally:
            await app.state.channels.close()
            del app.state.node, app.state.channels


def _get(path: str, action: Action, handler: Handler, summary: str, media_type: str) -> Route:
    return Route("GET", path, action, handler, _operation(summary, media_type, _REFUSALS))


def _operation(summary: str, media_type: str, refused: dict[str, str]) -> Operation:
    return {
        "summary": summary,
        "responses": {
            "200": {"description": "As PS3.18 says.", "content": {media_type: {}}},
            **refusals(refused),
        },
    }


_RELATED, _JSON, _IMAGE = "multipart/related", "application/dicom+json", "image/jpeg"


def _search_routes() -> tuple[Route, ...]:
    found = (
        (_STUDIES, search_studies, "Search for studies"),
        (f"{PREFIX}/series", search_series, "Search for series"),
        (f"{_STUDY}/series", search_series, "Search for series of a study"),
        (f"{PREFIX}/instances", search_instances, "Search for instances"),
        (f"{_STUDY}/instances", search_instances, "Search for instances of a study"),
        (f"{_SERIES}/instances", search_instances, "Search for instances of a series"),
    )
    return tuple(
        _get(path, Action.SEARCH_IMAGES, handler, f"{summary} (QIDO-RS)", _JSON)
        for path, handler, summary in found
    )


def _retrieve_routes() -> tuple[Route, ...]:
    found: list[Route] = []
    for path, what in ((_STUDY, "a study"), (_SERIES, "a series"), (_INSTANCE, "an instance")):
        for suffix, handler, summary, media_type in (
            ("", retrieve, "Retrieve", _RELATED),
            ("/metadata", retrieve_metadata, "Retrieve the attributes of", _JSON),
            ("/rendered", retrieve_rendered, "Retrieve a picture of", _IMAGE),
            ("/thumbnail", retrieve_thumbnail, "Retrieve a small picture of", _IMAGE),
        ):
            told = f"{summary} {what} (WADO-RS)"
            found.append(_get(path + suffix, Action.READ_IMAGES, handler, told, media_type))
    for suffix, handler, summary, media_type in (
        ("/frames/{frames}", retrieve_frames, "Retrieve frames", _RELATED),
        ("/frames/{frames}/rendered", retrieve_rendered, "Retrieve a picture of a frame", _IMAGE),
        ("/bulkdata/{tag}", retrieve_bulk_data, "Retrieve the value of an element", _RELATED),
    ):
        told = f"{summary} (WADO-RS)"
        found.append(_get(_INSTANCE + suffix, Action.READ_IMAGES, handler, told, media_type))
    return tuple(found)


def _store_routes() -> tuple[Route, ...]:
    return tuple(
        Route(
            "POST",
            path,
            Action.STORE_IMAGES,
            store,
            _operation(f"Store instances{where} (STOW-RS)", _JSON, _STORE_REFUSALS),
        )
        for path, where in ((_STUDIES, ""), (_STUDY, " of one study"))
    )


def _worklist_routes() -> tuple[Route, ...]:
    items = f"{PREFIX}/workitems"
    item = f"{items}/{{workitem}}"
    watcher = f"{item}/subscribers/{{subscriber}}"
    work, read = Action.WORK_ON_TASKS, Action.READ_WORKLIST
    found = (
        ("GET", items, read, search, "Search for work items"),
        ("POST", items, work, create, "Create a work item"),
        ("GET", item, read, retrieve_item, "Retrieve a work item"),
        ("POST", item, work, amend, "Update a work item"),
        ("PUT", f"{item}/state", work, change_state, "Claim, complete or cancel a work item"),
        ("POST", f"{item}/cancelrequest", work, ask_to_cancel, "Ask to cancel a work item"),
        ("POST", watcher, read, subscribe, "Subscribe to a work item"),
        ("DELETE", watcher, read, unsubscribe, "Unsubscribe from a work item"),
        ("POST", f"{watcher}/suspend", read, suspend, "Suspend a global subscription"),
    )
    return tuple(
        Route(method, path, action, handler, _operation(f"{told} (UPS-RS)", _JSON, _ITEM_REFUSALS))
        for method, path, action, handler, told in found
    )


_CHANNEL = Route(
    "GET",
    f"{CHANNEL}/{{subscriber}}",
    Action.READ_WORKLIST,
    refuse_plain,
    {
        "summary": "Listen for event reports on a WebSocket (UPS-RS)",
        "responses": {
            "101": {"description": "The connection is open; each message is one event report."},
            **refusals(
                {
                    "400": _REFUSALS["400"],
                    "401": _REFUSALS["401"],
                    "403": _REFUSALS["403"],
                    "426": "The request does not ask for a WebSocket.",
                    "503": "There are too many listeners.",
                }
            ),
        },
    },
    socket=listen,
)

PART = Part(
    "imaging",
    routes=(
        *_store_routes(),
        *_search_routes(),
        *_retrieve_routes(),
        *_worklist_routes(),
        _CHANNEL,
    ),
    dicom_services=(
        DicomService("c-echo", Action.VERIFY_CONNECTION),
        DicomService("c-store", Action.STORE_IMAGES),
    ),
    jobs=(
        Job("fetch", Action.FETCH_STUDY),
        Job("pre_read", Action.PROCESS_STUDY),
        Job("deliver", Action.DELIVER_RESULTS),
    ),
    open=_open,
)
