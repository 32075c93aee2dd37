"""STOW-RS: instances stored over HTTP (PS3.18 section 10.5)."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from serving.access import Access, access_of
from serving.answers import write_json
from serving.archive import Archive, InstanceRefusedError, Origin, Refusal
from serving.archive.announced import Announced
from serving.archive.archive import Receipt
from serving.archive.file_meta import open_file
from serving.archive.header import is_uid
from serving.archive.patients import patient_of
from serving.audit import AuditUnavailableError
from serving.dicomweb.context import base_url, runtime_of
from serving.dicomweb.multipart import RELATED, media_type_of, parts_of
from serving.metrics import count_instance
from serving.policy import Target
from serving.problems import Problem
from serving.settings import Settings
from serving.slow_bodies import going_on

DICOM = "application/dicom"
DICOM_JSON = "application/dicom+json"
_MOST_PARTS = 10_000
_AT_ONCE = 3
"""Parts of a request that are worked on. More would only hold more memory."""
_FAILURE_REASONS = {
    Refusal.OUT_OF_SPACE: 0xA700,
    Refusal.NOT_AS_ANNOUNCED: 0xA900,
    Refusal.OTHER_STUDY: 0xA900,
    Refusal.NOT_UNDERSTOOD: 0xC000,
    Refusal.SYNTAX_NOT_READ: 0xC122,
    Refusal.CONFLICT: 0xC111,
    Refusal.OTHER_PATIENT: 0xC112,
}
"""PS3.18 table I.2-2, and for conflicts codes of the range that is free for errors."""
_CONFLICTS = {
    Refusal.CONFLICT,
    Refusal.OTHER_PATIENT,
    Refusal.OTHER_STUDY,
    Refusal.NOT_AS_ANNOUNCED,
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one part."""

    receipt: Receipt | None
    refused: InstanceRefusedError | None


async def store(request: Request) -> Response:
    """`POST /dicom-web/studies` and `POST /dicom-web/studies/{study}`."""
    access = access_of(request)
    access.require(access.own("study"))
    study = request.path_params.get("study")
    if study is not None and not is_uid(study):
        raise Problem(HTTPStatus.BAD_REQUEST, "The study in the path is not a UID.")
    _require_json(request)
    runtime = runtime_of(request)
    origin = Origin(str(access.actor.institution), access.actor.id)
    keep = partial(_keep, runtime.archive, origin=origin, study=study)
    outcomes: list[Outcome] = []
    try:
        await _side_by_side(keep, _parts(request), outcomes)
    finally:
        # However the body ends: what came before is kept.
        if outcomes:
            runtime.wake()
            await asyncio.to_thread(_record, access, outcomes)
    if not outcomes:
        raise Problem(HTTPStatus.BAD_REQUEST, "The body holds no instance; expected one at least.")
    return _answer(outcomes, base_url(request))


async def _side_by_side(
    keep: Callable[[bytes], Outcome], parts: AsyncIterator[bytes], outcomes: list[Outcome]
) -> None:
    """Keep parts, a few at the same time, in threads; note what became of them, in their order.

    While one is put on disk the next one arrives, and is digested and encrypted.
    """
    kept: deque[asyncio.Future[Outcome]] = deque()
    loop = asyncio.get_running_loop()
    try:
        async for part in parts:
            kept.append(loop.run_in_executor(None, keep, part))
            if len(kept) == _AT_ONCE:
                outcomes.append(await kept.popleft())
    finally:
        # Whatever ends the request, what was begun is finished.
        rest = await asyncio.gather(*kept, return_exceptions=True)
        outcomes += [each for each in rest if isinstance(each, Outcome)]
    for each in rest:
        if isinstance(each, BaseException):
            raise each


def _record(access: Access, outcomes: list[Outcome]) -> None:
    """Record whose images are here now, which nobody knew before they were read."""
    own, keyring = str(access.actor.institution), access.guard.keyring
    # Of a study's instances the first says whose they are, as in the index.
    studies = {
        each.receipt.header.study_uid: each.receipt.header
        for each in reversed(outcomes)
        if each.receipt is not None
    }
    patients = {patient_of(own, header.study, keyring) for header in studies.values()}
    for patient in sorted(patients - {None}, key=str):
        access.require(Target("study", own, patient))


def _require_json(request: Request) -> None:
    accepted = request.headers.get("accept", "*/*")
    if not any(word in accepted for word in ("*/*", "application/*", "json")):
        raise Problem(
            HTTPStatus.NOT_ACCEPTABLE, f"The answer is {DICOM_JSON}; the Accept header excludes it."
        )


async def _parts(request: Request) -> AsyncIterator[bytes]:
    content_type, parameters = media_type_of(request.headers.get("content-type", ""))
    settings = Settings.from_environment()
    most_bytes, pieces = settings.max_body_bytes, going_on(request, settings)
    if content_type == DICOM:
        yield await _single(pieces, most_bytes)
        return
    part_type = parameters.get("type", DICOM).lower()
    if content_type != RELATED or part_type != DICOM:
        raise Problem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f'The Content-Type is not {DICOM} or {RELATED}; type="{DICOM}". Send complete '
            "DICOM files.",
            {"Accept": f'{RELATED}; type="{DICOM}", {DICOM}'},
        )
    boundary = parameters.get("boundary", "")
    if not 1 <= len(boundary) <= 70 or not boundary.isascii():
        raise Problem(
            HTTPStatus.BAD_REQUEST, "The Content-Type has no usable boundary (RFC 2046, 5.1.1)."
        )
    parts = parts_of(pieces, boundary, most_bytes=most_bytes, most_parts=_MOST_PARTS)
    async for part in parts:
        yield part


async def _single(pieces: AsyncIterator[bytes], most_bytes: int) -> bytes:
    data = bytearray()
    async for piece in pieces:
        data += piece
        if len(data) > most_bytes:
            raise Problem(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"The body has more than {most_bytes} bytes, the most that is accepted.",
                {"Connection": "close"},
            )
    return bytes(data)


def _keep(archive: Archive, part: bytes, *, origin: Origin, study: str | None) -> Outcome:
    try:
        try:
            opened = open_file(part)
        except InstanceRefusedError as refused:
            archive.quarantine(refused, part, origin)
            raise
        receipt = archive.receive(
            opened.data_set,
            opened.transfer_syntax_uid,
            origin,
            Announced(study_uid=study),
            behind=True,
        )
    except InstanceRefusedError as refused:
        count_instance("stow", refused.refusal.value)
        return Outcome(None, refused)
    except AuditUnavailableError as error:
        # What is to lie in quarantine must be on record before.
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, str(error)) from None
    count_instance("stow", receipt.kept.value)
    return Outcome(receipt, None)


def _answer(outcomes: list[Outcome], base: str) -> Response:
    stored = [each.receipt for each in outcomes if each.receipt is not None]
    refused = [each.refused for each in outcomes if each.refused is not None]
    document: dict[str, Any] = {}
    if stored:
        studies = {receipt.header.study_uid for receipt in stored}
        if len(studies) == 1:
            document["00081190"] = _value("UR", f"{base}/studies/{studies.pop()}")
        document["00081199"] = {"vr": "SQ", "Value": [_stored(each, base) for each in stored]}
    if refused:
        document["00081198"] = {"vr": "SQ", "Value": [_failed(each) for each in refused]}
    return Response(
        write_json(document), status_code=_status(stored, refused), media_type=DICOM_JSON
    )


def _status(stored: list[Receipt], refused: list[InstanceRefusedError]) -> int:
    """Return the status of PS3.18 table 10.5.3-1 (202 where some were stored and some not)."""
    if not refused:
        return HTTPStatus.OK
    if stored:
        return HTTPStatus.ACCEPTED
    kinds = {each.refusal for each in refused}
    if Refusal.OUT_OF_SPACE in kinds:
        return HTTPStatus.INSUFFICIENT_STORAGE
    if kinds == {Refusal.SYNTAX_NOT_READ}:
        return HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    if kinds & _CONFLICTS:
        return HTTPStatus.CONFLICT
    return HTTPStatus.BAD_REQUEST


def _stored(receipt: Receipt, base: str) -> dict[str, Any]:
    header = receipt.header
    place = f"{base}/studies/{header.study_uid}/series/{header.series_uid}"
    return {
        "00081150": _value("UI", header.sop_class_uid),
        "00081155": _value("UI", header.sop_instance_uid),
        "00081190": _value("UR", f"{place}/instances/{header.sop_instance_uid}"),
    }


def _failed(refused: InstanceRefusedError) -> dict[str, Any]:
    identity = {
        tag: _value("UI", uid)
        for tag, uid in (
            ("00081150", refused.sop_class_uid),
            ("00081155", refused.sop_instance_uid),
        )
        if uid is not None
    }
    return {
        **identity,
        "00081197": {"vr": "US", "Value": [_FAILURE_REASONS[refused.refusal]]},
        # Error Comment, which says what to do next; PS3.18 leaves the sequence open to more.
        "00000902": _value("LO", str(refused)[:64]),
    }


def _value(vr: str, value: str) -> dict[str, Any]:
    return {"vr": vr, "Value": [value]}
