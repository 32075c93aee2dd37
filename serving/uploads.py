"""The inputs in the body of a request: one image as it is, or several as multipart/form-data."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from http import HTTPStatus
from io import BytesIO

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from serving.problems import Problem
from serving.settings import Settings
from serving.transfer import Fill, offer_to_fill

IMAGE_TYPES = ("application/dicom", "image/png", "image/jpeg", "application/octet-stream")
"""Content types of a body that is one image; its bytes say which of them it really is."""
MULTIPART = "multipart/form-data"
BODY_NAME = "body"
"""What an input is called that has no name of its own."""

# Its warnings repeat bytes of the body, which may name a patient.
logging.getLogger("python_multipart").setLevel(logging.ERROR)


@dataclass(frozen=True, slots=True)
class Upload:
    """One input of a request."""

    name: str
    """The sender's own name for it; goes back to the sender and nowhere else."""
    data: bytes


def is_multipart(request: Request) -> bool:
    """Whether the body of `request` holds several files.

    Raises:
        Problem: 415, the body has a type or encoding that is not accepted.
    """
    encoding = request.headers.get("content-encoding", "identity")
    if encoding != "identity":
        raise Problem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "The body has a Content-Encoding; expected the image's own bytes. Send it as it is.",
            {"Accept-Encoding": "identity"},
        )
    content_type = request.headers.get("content-type", IMAGE_TYPES[-1])
    essence = content_type.partition(";")[0].strip().lower()
    if essence not in (*IMAGE_TYPES, MULTIPART):
        accepted = ", ".join((*IMAGE_TYPES, MULTIPART))
        raise Problem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"The Content-Type is not one of {accepted}. Send a DICOM, PNG or JPEG image as the "
            "body, or several as the files of multipart/form-data.",
            {"Accept": accepted},
        )
    return essence == MULTIPART


async def receive(request: Request, settings: Settings) -> list[Upload]:
    """Receive the inputs of `request`; nothing of them is written to disk.

    Raises:
        Problem: 400, 408, 413 or 415.
    """
    multipart = is_multipart(request)
    _require_acceptable_length(request, settings.max_body_bytes)
    fill = None if multipart else offer_to_fill(request)
    try:
        if fill is not None:
            return [Upload(BODY_NAME, await _filled(fill, request, settings))]
        # An idle sender must not keep a place that another one waits for.
        wait_s = min(settings.body_idle_timeout_s, settings.body_timeout_s)
        async with asyncio.timeout(wait_s) as patience:
            stream = _bounded(request, settings, patience)
            if multipart:
                return await _files(request, stream, settings)
            data = b"".join([piece async for piece in stream])
    except TimeoutError:
        raise _too_late(settings) from None
    return [Upload(BODY_NAME, _not_empty(data))]


async def _filled(fill: Fill, request: Request, settings: Settings) -> bytes:
    """Receive a body of declared length into the bytes that are returned, without a copy."""
    # These bytes take no memory before they are written to: a length is quickly declared.
    body = BytesIO(bytes(int(request.headers["content-length"])))
    async with asyncio.timeout(settings.body_timeout_s):
        with body.getbuffer() as buffer:
            await fill(buffer, settings.body_idle_timeout_s)
    return _not_empty(body.getvalue())


def _not_empty(data: bytes) -> bytes:
    if not data:
        raise Problem(
            HTTPStatus.BAD_REQUEST,
            "The body is empty; expected the bytes of a DICOM, PNG or JPEG image.",
        )
    return data


def _require_acceptable_length(request: Request, limit: int) -> None:
    declared = request.headers.get("content-length", "0")
    if declared.isdecimal() and int(declared) > limit:
        raise _too_large(limit)


async def _bounded(
    request: Request, settings: Settings, patience: asyncio.Timeout
) -> AsyncGenerator[bytes, None]:
    """Pass on the pieces of a body, as long as they are not too many, and wait on after each."""
    now = asyncio.get_running_loop().time
    last = now() + settings.body_timeout_s
    received = 0
    async for piece in request.stream():
        received += len(piece)
        if received > settings.max_body_bytes:
            raise _too_large(settings.max_body_bytes)
        # One deadline that moves: a radiograph comes in dozens of pieces.
        patience.reschedule(min(now() + settings.body_idle_timeout_s, last))
        yield piece


def _too_late(settings: Settings) -> Problem:
    return Problem(
        HTTPStatus.REQUEST_TIMEOUT,
        f"The body paused for {settings.body_idle_timeout_s:g} s or took more than "
        f"{settings.body_timeout_s:g} s; expected it without a pause. Send it again.",
        {"Connection": "close"},
    )


def _too_large(limit: int) -> Problem:
    return Problem(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"The body has more than {limit} bytes, the most that is accepted. Send fewer files in one "
        "request, or compress the images without loss.",
        # What was not received would be taken for the next request.
        {"Connection": "close"},
    )


class _InMemoryParser(MultiPartParser):
    """Keeps files in memory, whose size is bounded: images of patients do not go to disk."""

    spool_max_size = 0


async def _files(
    request: Request, stream: AsyncGenerator[bytes, None], settings: Settings
) -> list[Upload]:
    parser = _InMemoryParser(
        request.headers, stream, max_files=settings.max_files, max_fields=settings.max_files
    )
    try:
        form = await parser.parse()
    # LookupError and ValueError: charsets and escapes in headers of parts, chosen by the sender.
    except (MultiPartException, LookupError, ValueError) as error:
        told = error.message if isinstance(error, MultiPartException) else "Invalid headers."
        raise Problem(
            HTTPStatus.BAD_REQUEST, f"The body is not valid multipart/form-data: {told}"
        ) from None
    uploads = [
        Upload(part.filename or BODY_NAME, await part.read())
        for _, part in form.multi_items()
        if isinstance(part, UploadFile)
    ]
    await form.close()
    if not uploads:
        raise Problem(
            HTTPStatus.BAD_REQUEST,
            "The multipart body holds no file; expected at least one part with a filename.",
        )
    return uploads
