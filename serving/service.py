"""The service, as BentoML serves it: `bentoml serve serving.service:ZhuzhenService`.

The routes are an ASGI application inside the BentoML service and not `@bentoml.api` methods: a body
is then an image's own bytes or multipart, received within bounds and never parsed as anything else,
JSON and pickle included; readers on a fixed number of threads answer at their own pace; and every
error has one shape.
"""

import contextlib
import gc
import logging
import os
from collections.abc import AsyncIterator
from http import HTTPStatus

import bentoml
from sqlalchemy.exc import OperationalError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute

from serving import tracing
from serving.access import POST
from serving.cross_origin import CrossOrigin
from serving.doors.parts import PARTS, ROUTES, TABLE
from serving.entrance import Entrance
from serving.faults import place_of
from serving.identity.errors import RequestRefusedError
from serving.identity.institutions import names_of_institutions
from serving.names import Names
from serving.problems import Problem, database_away
from serving.settings import Settings
from serving.sockets import endpoint_of
from serving.watching import watching

_LOG = logging.getLogger("zhuzhen.entrance")
_TIMEOUT_S = 420
"""Longer than a body may take to arrive and 64 images to be read; BentoML cuts off what is longer,
and keeps a timer for each request until then."""


async def _tell(request: Request, problem: Exception) -> Response:
    if not isinstance(problem, Problem):
        raise problem
    return problem.response(request.url.path)


async def _tell_database_away(request: Request, error: Exception) -> Response:
    _LOG.error("The database cannot be used: %s", place_of(error))
    return database_away().response(request.url.path)


async def _refuse(_: Request, error: Exception) -> Response:
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, str(error)).response()


@contextlib.asynccontextmanager
async def _open(app: Starlette) -> AsyncIterator[None]:
    """Open the guard, the watcher and every part, in their order; close them in reverse."""
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(tracing.exporting())
        guard = app.state.guard = stack.enter_context(POST.manned())
        stack.enter_context(guard.on_duty())
        observe = Settings.from_environment().observe
        app.state.watcher = stack.enter_context(
            watching(observe, lambda: names_of_institutions(guard.engine))
        )
        for part in PARTS:
            if part.open is not None:
                await stack.enter_async_context(part.open(app))
        # What is in memory now stays until the end: the collector need not walk through it again
        # and again between requests.
        gc.collect()
        gc.freeze()
        app.state.is_ready = True
        try:
            yield
        finally:
            app.state.is_ready = False


_APP = Starlette(
    routes=[
        Route(route.path, route.handler, methods=[route.method])
        for route in ROUTES
        if route.handler is not None
    ]
    + [
        WebSocketRoute(route.path, endpoint_of(route.socket))
        for route in ROUTES
        if route.socket is not None
    ],
    exception_handlers={
        Problem: _tell,
        RequestRefusedError: _refuse,
        OperationalError: _tell_database_away,
    },
    lifespan=_open,
)


class _Readings:
    """Calibrated, explained and refusable pre-reads of medical images."""

    def __is_ready__(self) -> bool:
        """Whether every part is open: `/readyz`."""
        return getattr(_APP.state, "is_ready", False)


ZhuzhenService = bentoml.service(
    name="zhuzhen",
    # One process: its threads use all cores, and the model is in memory once.
    workers=1,
    traffic={"timeout": _TIMEOUT_S},
    # BentoML's own metrics and access log take labels and lines from the paths that senders choose.
    metrics={"enabled": False},
    logging={"access": {"enabled": False}},
    # A span for each piece of a body costs more than the piece; `serving.tracing` has our own.
    tracing={"excluded_urls": [".*"]},
)(bentoml.asgi_app(_APP)(_Readings))
"""The BentoML service."""

ZhuzhenService.add_asgi_middleware(
    Entrance,
    table=TABLE,
    names=Names.from_environment(os.environ),
    others=CrossOrigin.from_environment(os.environ),
)
