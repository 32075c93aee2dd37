"""WADO-RS: whole instances and their metadata (PS3.18 sections 10.4.1.1 and 10.4.1.2)."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from io import BytesIO
from typing import Any

import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian
from sqlalchemy import Row, select
from starlette.concurrency import iterate_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from models.quiet import quiet_decoders
from serving.access import access_of
from serving.answers import write_json
from serving.archive import Archive
from serving.archive.entries import unsealed
from serving.archive.tables import INSTANCES, SERIES, STUDIES
from serving.dicomweb.context import base_url, runtime_of
from serving.dicomweb.multipart import RELATED, Related, media_type_of
from serving.dicomweb.storing import DICOM, DICOM_JSON
from serving.faults import place_of
from serving.node.access import target_of
from serving.policy import Target
from serving.problems import Problem

_BULK_BYTES = 1024
"""Values longer than this are told as a place in metadata, not as a value."""
_ANY_SYNTAX = "*"


@dataclass(frozen=True, slots=True)
class Asked:
    """One way in which the answer is accepted."""

    media_type: str
    part_type: str
    """Of the parts, where it is multipart; else as the media type."""
    transfer_syntax: str | None


def accepted(request: Request) -> list[Asked]:
    """Return what the Accept header, or `accept` in the query, takes, in order."""
    header = request.query_params.get("accept") or request.headers.get("accept", "*/*")
    found = []
    for entry in _split(header):
        media_type, parameters = media_type_of(entry)
        part_type = parameters.get("type", media_type).lower()
        found.append(Asked(media_type, part_type, parameters.get("transfer-syntax")))
    return found


def _split(header: str) -> list[str]:
    """Split at commas outside of quotes."""
    entries, quoted, start = [], False, 0
    for position, char in enumerate(header):
        if char == '"':
            quoted = not quoted
        elif char == "," and not quoted:
            entries.append(header[start:position])
            start = position + 1
    entries.append(header[start:])
    return [entry.strip() for entry in entries if entry.strip()]


async def find_rows(request: Request) -> list[Any]:
    """Return the instances at the path of `request`, if the sender may read them.

    Raises:
        Problem: 403, it may not; 404, there are none.
    """
    access = access_of(request)
    archive = runtime_of(request).archive
    loop = asyncio.get_running_loop()
    own = str(access.actor.institution)
    rows, target = await loop.run_in_executor(None, _look_up, archive, request.path_params, own)
    access.require(target)
    if not rows:
        raise Problem(
            HTTPStatus.NOT_FOUND,
            "There is no such study, series or instance; search for it first.",
        )
    return rows


def _look_up(archive: Archive, path: dict[str, str], own: str) -> tuple[list[Any], Target]:
    query = (
        select(
            INSTANCES.c.sop_instance_uid,
            INSTANCES.c.sop_class_uid,
            INSTANCES.c.transfer_syntax_uid,
            INSTANCES.c.digest,
            SERIES.c.series_uid,
            STUDIES.c.study_uid,
            STUDIES.c.id.label("study_id"),
            STUDIES.c.institution,
            STUDIES.c.attributes,
        )
        .select_from(INSTANCES)
        .join(SERIES, SERIES.c.id == INSTANCES.c.series_id)
        .join(STUDIES, STUDIES.c.id == SERIES.c.study_id)
        .where(STUDIES.c.study_uid == path["study"])
        .order_by(INSTANCES.c.id)
    )
    if "series" in path:
        query = query.where(SERIES.c.series_uid == path["series"])
    if "instance" in path:
        query = query.where(INSTANCES.c.sop_instance_uid == path["instance"])
    with archive.reading() as connection:
        rows = connection.execute(query).all()
    # The same study may lie at several institutions; the sender means its own first.
    chosen = [row for row in rows if row.institution == own] or rows
    if not chosen:
        return [], Target("study", own)
    first = chosen[0]
    chosen = [row for row in chosen if row.institution == first.institution]
    attributes = unsealed(archive.keyring, first.attributes, STUDIES)
    return chosen, target_of(first.institution, first.study_id, attributes, archive.keyring)


async def retrieve(request: Request) -> Response:
    """`GET` of a study, series or instance: the files themselves."""
    rows = await find_rows(request)
    archive = runtime_of(request).archive
    asked = next((each for each in accepted(request) if _is_for_files(each)), None)
    if asked is None:
        raise not_acceptable(f'{RELATED}; type="{DICOM}"')
    syntax = asked.transfer_syntax or ExplicitVRLittleEndian
    if asked.media_type == DICOM:
        if len(rows) > 1:
            raise not_acceptable(f'{RELATED}; type="{DICOM}" (there are several instances)')
        loop = asyncio.get_running_loop()
        data = await loop.run_in_executor(None, file_in, archive, rows[0], syntax)
        return Response(data, media_type=DICOM)
    base = base_url(request)
    related = Related(DICOM)
    # The first is made before the answer starts, so that one that cannot be made is an error.
    loop = asyncio.get_running_loop()
    first = await loop.run_in_executor(None, file_in, archive, rows[0], syntax)

    def parts() -> Iterator[tuple[bytes, str | None]]:
        yield first, _place(base, rows[0])
        for row in rows[1:]:
            yield file_in(archive, row, syntax), _place(base, row)

    body = iterate_in_threadpool(related.encode(parts()))
    return StreamingResponse(body, media_type=related.media_type)


def _is_for_files(asked: Asked) -> bool:
    if asked.media_type == RELATED:
        return asked.part_type in (DICOM, RELATED)
    return asked.media_type in ("*/*", "application/*", DICOM, "multipart/*")


def not_acceptable(offered: str) -> Problem:
    """Return the refusal of a request whose Accept header takes nothing that is offered."""
    return Problem(
        HTTPStatus.NOT_ACCEPTABLE, f"The Accept header takes nothing that is offered: {offered}."
    )


def file_in(archive: Archive, row: Row[Any], syntax: str) -> bytes:
    """Return the file of an instance in a transfer syntax: as it is kept, or uncompressed.

    Raises:
        Problem: 406, the syntax is another compression, or the pixels cannot be decoded.
    """
    data = archive.open(row.digest)
    if syntax in (_ANY_SYNTAX, row.transfer_syntax_uid):
        return data
    if syntax != ExplicitVRLittleEndian:
        raise not_acceptable("the transfer syntax as kept (transfer-syntax=*) or uncompressed")
    try:
        with quiet_decoders():
            dataset = pydicom.dcmread(BytesIO(data))
            if dataset.file_meta.TransferSyntaxUID.is_compressed and "PixelData" in dataset:
                dataset.decompress(generate_instance_uid=False)
            dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
            stream = BytesIO()
            dataset.save_as(stream, implicit_vr=False, little_endian=True)
    except Exception as error:  # noqa: BLE001 - broken pixels make decoders raise errors of any type
        raise Problem(
            HTTPStatus.NOT_ACCEPTABLE,
            f"The pixels cannot be decompressed ({place_of(error).partition(' ')[0]}); ask for "
            "the instance as it is kept, with transfer-syntax=*.",
        ) from None
    return stream.getvalue()


def _place(base: str, row: Row[Any]) -> str:
    series = f"{base}/studies/{row.study_uid}/series/{row.series_uid}"
    return f"{series}/instances/{row.sop_instance_uid}"


async def retrieve_metadata(request: Request) -> Response:
    """`GET .../metadata`: all attributes as DICOM JSON, large values as places."""
    rows = await find_rows(request)
    takes = {asked.media_type for asked in accepted(request)}
    if not takes & {"*/*", "application/*", "application/json", DICOM_JSON}:
        raise not_acceptable(DICOM_JSON)
    archive = runtime_of(request).archive
    base = base_url(request)

    def lines() -> Iterator[bytes]:
        for index, row in enumerate(rows):
            yield b"[" if index == 0 else b","
            yield write_json(metadata_of(archive, row, base)).encode()
        yield b"]"

    return StreamingResponse(iterate_in_threadpool(lines()), media_type=DICOM_JSON)


def metadata_of(archive: Archive, row: Row[Any], base: str) -> dict[str, Any]:
    """Return one instance as DICOM JSON (PS3.18 annex F)."""
    place = f"{_place(base, row)}/bulkdata"
    with quiet_decoders():
        dataset = pydicom.dcmread(BytesIO(archive.open(row.digest)))
        told: dict[str, Any] = json.loads(
            json.dumps(
                dataset.to_json_dict(
                    bulk_data_threshold=_BULK_BYTES,
                    bulk_data_element_handler=lambda element: f"{place}/{element.tag:08X}",
                    suppress_invalid_tags=True,
                ),
                default=str,
            )
        )
    _point_at_pixels(dataset, told, place)
    return told


def _point_at_pixels(dataset: Dataset, told: dict[str, Any], place: str) -> None:
    """Never tell pixels as a value, however few they are."""
    for keyword in ("PixelData", "FloatPixelData", "DoubleFloatPixelData"):
        if keyword in dataset:
            element = dataset[keyword]
            key = f"{element.tag:08X}"
            told[key] = {"vr": element.VR, "BulkDataURI": f"{place}/{key}"}
