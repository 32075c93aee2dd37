"""A JSON document as the body of a request: bounded, strict, and refused without repeating it."""

import asyncio
import json
from collections.abc import Collection
from http import HTTPStatus
from typing import Any, NoReturn

from starlette.requests import Request

from serving.problems import Problem

MAX_BYTES = 2 * 2**20
"""A Bundle with some years of one person's observations has a few hundred kilobytes."""
_WAIT_S = 15.0


async def receive_object(
    request: Request, media_types: Collection[str] = ("application/json",)
) -> dict[str, Any]:
    """Receive the JSON object in the body of `request`.

    Raises:
        Problem: 400, 408, 413 or 415.
    """
    essence = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if essence not in media_types:
        accepted = ", ".join(media_types)
        raise Problem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"The Content-Type is not {accepted}. Send a JSON document as the body.",
            {"Accept": accepted},
        )
    body = await _bounded(request)
    try:
        text = body.decode("utf-8-sig")
        found = json.loads(text, parse_constant=_no_constant, object_pairs_hook=_no_twins)
    except (ValueError, RecursionError):
        raise Problem(
            HTTPStatus.BAD_REQUEST,
            "The body is not a JSON document in UTF-8 (RFC 8259), with each name once in an object "
            "and not nested without end.",
        ) from None
    if not isinstance(found, dict):
        raise Problem(HTTPStatus.BAD_REQUEST, "The body is not a JSON object; expected { ... }.")
    return found


async def _bounded(request: Request) -> bytes:
    pieces = bytearray()
    try:
        async with asyncio.timeout(_WAIT_S):
            async for piece in request.stream():
                pieces += piece
                if len(pieces) > MAX_BYTES:
                    raise Problem(
                        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                        f"The body has more than {MAX_BYTES} bytes, the most that is accepted for "
                        "one person. Use `zhuzhen risk batch` for populations.",
                        {"Connection": "close"},
                    )
    except TimeoutError:
        raise Problem(
            HTTPStatus.REQUEST_TIMEOUT,
            f"The body did not arrive within {_WAIT_S:g} s. Send it again.",
            {"Connection": "close"},
        ) from None
    return bytes(pieces)


def _no_constant(_: str) -> NoReturn:
    raise ValueError


def _no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError
    return found
