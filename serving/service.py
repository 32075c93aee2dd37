"""The service, as BentoML serves it: `bentoml serve serving.service:ZhuzhenService`.

The routes are an ASGI application inside the BentoML service and not `@bentoml.api` methods: a body
is then an image's own bytes or multipart, received within bounds and never parsed as anything else,
JSON and pickle included; readers on a fixed number of threads answer at their own pace; and every
error has one shape.
"""

import contextlib
import gc
from collections.abc import AsyncIterator

import bentoml
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from serving.api_description import DOCS_PAGE, describe_api
from serving.entrance import Entrance
from serving.metrics import MEDIA_TYPE, exposition
from serving.problems import Problem
from serving.recognize import ReadingRoom
from serving.settings import Settings

_TIMEOUT_S = 420
"""Longer than a body may take to arrive and 64 images to be read; BentoML cuts off what is longer,
and keeps a timer for each request until then."""


async def _recognize(request: Request) -> Response:
    room: ReadingRoom = request.app.state.reading_room
    return await room.answer(request)


async def _docs(_: Request) -> Response:
    return HTMLResponse(DOCS_PAGE)


async def _openapi(_: Request) -> Response:
    return JSONResponse(describe_api())


async def _metrics(_: Request) -> Response:
    return Response(exposition(), media_type=MEDIA_TYPE)


async def _tell(_: Request, problem: Exception) -> Response:
    if not isinstance(problem, Problem):
        raise problem
    return problem.response()


@contextlib.asynccontextmanager
async def _open_reading_room(app: Starlette) -> AsyncIterator[None]:
    room = app.state.reading_room = ReadingRoom(Settings.from_environment())
    # What is in memory now stays until the end: the collector need not walk through it again and
    # again between requests.
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        del app.state.reading_room
        room.close()


_ROUTES = Starlette(
    routes=[
        Route("/v1/recognize", _recognize, methods=["POST"]),
        Route("/docs", _docs),
        Route("/openapi.json", _openapi),
        Route("/metrics", _metrics),
    ],
    exception_handlers={Problem: _tell},
    lifespan=_open_reading_room,
)


class _Readings:
    """Calibrated, explained and refusable pre-reads of medical images."""

    def __is_ready__(self) -> bool:
        """Whether the model is loaded: `/readyz`."""
        return hasattr(_ROUTES.state, "reading_room")


ZhuzhenService = bentoml.service(
    name="zhuzhen",
    # One process: its threads use all cores, and the model is in memory once.
    workers=1,
    traffic={"timeout": _TIMEOUT_S},
    # BentoML's own metrics and access log take labels and lines from the paths that senders choose.
    metrics={"enabled": False},
    logging={"access": {"enabled": False}},
    # A span for each piece of a body costs more than the piece; nothing is exported anyway.
    tracing={"excluded_urls": [".*"]},
)(bentoml.asgi_app(_ROUTES)(_Readings))
"""The BentoML service."""

ZhuzhenService.add_asgi_middleware(Entrance)
