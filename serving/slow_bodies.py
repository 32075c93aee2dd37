"""Bodies that may take as long as a clinic's line needs, as long as they go on: whole studies."""

import asyncio
from collections.abc import AsyncGenerator
from http import HTTPStatus

from starlette.requests import Request

from serving.problems import Problem
from serving.settings import Settings

GOES_ON = "zhuzhen.body.goes_on"
"""Type of a message that is sent like a part of an answer, and goes no further than the entrance.

BentoML cuts off what has not begun to be answered after a fixed time, which is for work that hangs;
to it this is a beginning."""
_LEAST_BYTES_PER_S = 100
"""A tenth of what a modem of 1990 brought: a line that brings less is one that somebody holds."""


async def going_on(request: Request, settings: Settings) -> AsyncGenerator[bytes, None]:
    """Yield the pieces of a body, however long it takes, as long as enough of it comes.

    What counts is the time that is waited for the sender, not that in which pieces are worked on.

    Raises:
        Problem: 408, less than `_LEAST_BYTES_PER_S` came in a span of `slow_body_patience_s`.
    """
    span_s, pieces = settings.slow_body_patience_s, request.stream()
    now = asyncio.get_running_loop().time
    began, is_told = now(), False
    waited_s, came = 0.0, 0
    while True:
        since = now()
        try:
            async with asyncio.timeout(max(0.0, span_s - waited_s)):
                piece = await anext(pieces, None)
        except TimeoutError:
            raise _stalled(span_s) from None
        if piece is None:
            return
        if not is_told and now() - began > span_s:
            # Starlette gives handlers no other way to the answer before there is one.
            await request._send({"type": GOES_ON})
            is_told = True
        waited_s, came = waited_s + now() - since, came + len(piece)
        if came >= _LEAST_BYTES_PER_S * span_s:
            waited_s, came = 0.0, 0
        yield piece


def _stalled(span_s: float) -> Problem:
    return Problem(
        HTTPStatus.REQUEST_TIMEOUT,
        f"Less than {_LEAST_BYTES_PER_S * span_s:g} bytes of the body came in {span_s:g} s; what "
        "was complete by then is kept. Send the rest again.",
        {"Connection": "close"},
    )
