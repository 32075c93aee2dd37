"""`POST /v1/recognize` and `POST /v1/classify-pathology`: the routes and their description."""

import contextlib
import json
from collections.abc import AsyncIterator, Iterable
from importlib import resources
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from models.preprocessing import ImageKind
from serving.doors.describing import COMPONENTS, option, reference, refusals
from serving.doors.route import Operation, Part, Route
from serving.policy import Action
from serving.recognize import ReadingRoom
from serving.settings import Settings
from serving.uploads import IMAGE_TYPES, MULTIPART

ANSWER_SCHEMA: dict[str, Any] = json.loads(
    resources.files("serving").joinpath("answer.schema.json").read_text("utf-8")
)
"""JSON Schema 2020-12 of one answer."""

_REFUSALS = {
    "400": "The body is empty or not valid multipart, or an option of the query is not known.",
    "401": "The request has no credential that is valid now.",
    "403": "The credential does not allow it, or the request comes from a web page elsewhere.",
    "404": "There is no such model.",
    "408": "The body did not arrive in time, or stopped arriving.",
    "413": "The body is over the limit on bytes.",
    "415": "The body has a type or encoding that is not accepted.",
    "421": "The Host is not a name of this service.",
    "503": "The model cannot be loaded, or what happens cannot be recorded.",
}


async def _recognize(request: Request) -> Response:
    room: ReadingRoom = request.app.state.reading_room
    return await room.answer(request, ImageKind.RADIOGRAPH)


async def _classify_pathology(request: Request) -> Response:
    room: ReadingRoom = request.app.state.reading_room
    return await room.answer(request, ImageKind.TILE)


@contextlib.asynccontextmanager
async def _open(app: Starlette) -> AsyncIterator[None]:
    room = app.state.reading_room = ReadingRoom(
        Settings.from_environment(), app.state.guard.keyring, app.state.watcher
    )
    try:
        yield
    finally:
        del app.state.reading_room
        room.close()


def _operation(name: str, summary: str, takes: str, types: Iterable[str]) -> Operation:
    image = {"schema": {"type": "string", "format": "binary"}}
    files = {
        "schema": {
            "type": "object",
            "additionalProperties": {"type": "string", "format": "binary"},
            "minProperties": 1,
        }
    }
    several = {
        "type": "object",
        "required": ["results"],
        "properties": {"results": {"type": "array", "items": reference("Answer")}},
    }
    answers = {"application/json": {"schema": {"oneOf": [reference("Answer"), several]}}}
    return {
        "operationId": name,
        "summary": summary,
        "description": f"Takes {takes} as the body, or several as the files of "
        "multipart/form-data. An image that cannot be read or must not be judged is an answer, "
        "too: its verdict says so.",
        "parameters": [
            option("model", {"type": "string"}, "`name` or `name@version`."),
            option("overlay", {"type": "boolean", "default": False}, "Send a picture as well."),
        ],
        "requestBody": {
            "required": True,
            "content": {**dict.fromkeys(types, image), MULTIPART: files},
        },
        "responses": {
            "200": {
                "description": "An answer; for multipart, all answers in the order of the files.",
                "content": answers,
            },
            **refusals(_REFUSALS),
        },
    }


def _schemas() -> dict[str, Any]:
    schema = {key: value for key, value in ANSWER_SCHEMA.items() if key not in ("$schema", "$defs")}
    schemas = {"Answer": schema, **ANSWER_SCHEMA["$defs"]}
    moved: dict[str, Any] = json.loads(json.dumps(schemas).replace("#/$defs/", COMPONENTS))
    return moved


PART = Part(
    "recognizing",
    routes=(
        Route(
            "POST",
            "/v1/recognize",
            Action.RECOGNIZE,
            _recognize,
            _operation(
                "recognize",
                "Read one radiograph, or several",
                "a DICOM, PNG or JPEG image",
                IMAGE_TYPES,
            ),
        ),
        Route(
            "POST",
            "/v1/classify-pathology",
            Action.CLASSIFY_PATHOLOGY,
            _classify_pathology,
            _operation(
                "classifyPathology",
                "Classify one tile of a stained slide, or several",
                "a PNG or JPEG image of a tile",
                IMAGE_TYPES,
            ),
        ),
    ),
    schemas=_schemas(),
    open=_open,
)
