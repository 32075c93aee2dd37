"""WADO-RS: frames, bulk data, pictures and thumbnails (PS3.18 sections 10.4.1.3 to 10.4.1.7)."""

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from io import BytesIO
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.pixels.utils import pixel_array
from sqlalchemy import Row
from starlette.requests import Request
from starlette.responses import Response

from models.errors import InputError
from models.quiet import quiet_decoders
from serving.archive import Archive
from serving.dicomweb.context import runtime_of
from serving.dicomweb.multipart import RELATED, Related
from serving.dicomweb.retrieving import accepted, find_rows, not_acceptable
from serving.imaging import read_radiograph
from serving.problems import Problem

_OCTETS = "application/octet-stream"
_COMPRESSED_TYPES = {
    "1.2.840.10008.1.2.4.50": "image/jpeg",
    "1.2.840.10008.1.2.4.51": "image/jpeg",
    "1.2.840.10008.1.2.4.57": "image/jpeg",
    "1.2.840.10008.1.2.4.70": "image/jpeg",
    "1.2.840.10008.1.2.4.80": "image/jls",
    "1.2.840.10008.1.2.4.81": "image/jls",
    "1.2.840.10008.1.2.4.90": "image/jp2",
    "1.2.840.10008.1.2.4.91": "image/jp2",
    "1.2.840.10008.1.2.4.201": "image/jphc",
    "1.2.840.10008.1.2.4.202": "image/jphc",
    "1.2.840.10008.1.2.4.203": "image/jphc",
    "1.2.840.10008.1.2.5": "image/dicom-rle",
}
"""PS3.18 table 8.7.3-5."""
_THUMBNAIL_PX = 128
_LARGEST_VIEWPORT_PX = 8192
_PICTURES = {"image/jpeg": "JPEG", "image/png": "PNG"}


async def retrieve_frames(request: Request) -> Response:
    """`GET .../frames/{list}`: single frames, uncompressed or as they are kept."""
    numbers = _frame_numbers(request.path_params["frames"])
    row = (await find_rows(request))[0]
    archive = runtime_of(request).archive
    kept_type = _COMPRESSED_TYPES.get(row.transfer_syntax_uid)
    for asked in accepted(request):
        syntax = asked.transfer_syntax
        wants_kept = kept_type is not None and (
            asked.part_type == kept_type or syntax in ("*", row.transfer_syntax_uid)
        )
        if wants_kept and kept_type is not None:
            part_type = f"{kept_type}; transfer-syntax={row.transfer_syntax_uid}"
            return await _related(part_type, lambda: _kept_frames(archive, row, numbers))
        if asked.part_type in ("*/*", "multipart/*", RELATED, _OCTETS, "application/*"):
            return await _related(_OCTETS, lambda: _plain_frames(archive, row, numbers))
    raise not_acceptable(f'{RELATED}; type="{_OCTETS}"' + (f" or {kept_type}" if kept_type else ""))


async def retrieve_bulk_data(request: Request) -> Response:
    """`GET .../bulkdata/{tag}`: the value of one element."""
    row = (await find_rows(request))[0]
    archive = runtime_of(request).archive
    tag = request.path_params["tag"]
    return await _related(_OCTETS, lambda: [_value_of(archive, row, tag)])


async def retrieve_rendered(request: Request) -> Response:
    """`GET .../rendered`: a picture of the first frame, or of the frame in the path."""
    return await _picture(request, None)


async def retrieve_thumbnail(request: Request) -> Response:
    """`GET .../thumbnail`: a small picture, of the first instance where there are several."""
    return await _picture(request, _THUMBNAIL_PX)


async def _related(part_type: str, make: Callable[[], list[bytes]]) -> Response:
    contents = await asyncio.get_running_loop().run_in_executor(None, make)
    related = Related(part_type)
    body = b"".join(related.encode((content, None) for content in contents))
    return Response(body, media_type=related.media_type)


def _frame_numbers(text: str) -> list[int]:
    parts = text.split(",")
    if not all(part.isdecimal() and len(part) < 8 and int(part) > 0 for part in parts):
        raise Problem(
            HTTPStatus.BAD_REQUEST, "The frames in the path are not a list of numbers from 1."
        )
    return [int(part) for part in parts]


def _kept_frames(archive: Archive, row: Row[Any], numbers: list[int]) -> list[bytes]:
    dataset = pydicom.dcmread(BytesIO(archive.open(row.digest)))
    with quiet_decoders():
        count = int(dataset.get("NumberOfFrames") or 1)
        frames = list(generate_frames(dataset.PixelData, number_of_frames=count))
    return [_frame(frames, number) for number in numbers]


def _plain_frames(archive: Archive, row: Row[Any], numbers: list[int]) -> list[bytes]:
    dataset = pydicom.dcmread(BytesIO(archive.open(row.digest)))
    pixels = _decoded(dataset)
    frames = [frame.tobytes() for frame in pixels]
    return [_frame(frames, number) for number in numbers]


def _frame(frames: list[bytes], number: int) -> bytes:
    if number > len(frames):
        raise Problem(
            HTTPStatus.NOT_FOUND, f"There is no frame {number}; the instance has {len(frames)}."
        )
    return frames[number - 1]


def _decoded(dataset: Dataset, *, as_rgb: bool = False) -> NDArray[Any]:
    """Return all frames, shape (frames, rows, columns) or (frames, rows, columns, samples).

    As they are stored, or with other colour spaces made RGB.
    """
    try:
        with quiet_decoders():
            pixels = pixel_array(dataset, raw=not as_rgb)
    except Exception:  # noqa: BLE001 - broken pixels make decoders raise errors of any type
        raise _no_pixels() from None
    many = int(dataset.get("NumberOfFrames") or 1) > 1
    return pixels if many else pixels[np.newaxis]


def _no_pixels() -> Problem:
    return Problem(
        HTTPStatus.NOT_ACCEPTABLE,
        "The instance has no pixels that can be decoded; retrieve it as it is kept.",
    )


def _value_of(archive: Archive, row: Row[Any], tag: str) -> bytes:
    if len(tag) != 8 or not all(char in "0123456789abcdefABCDEF" for char in tag):
        raise Problem(HTTPStatus.BAD_REQUEST, "Bulk data is asked for by tag, such as 7FE00010.")
    with quiet_decoders():
        dataset = pydicom.dcmread(BytesIO(archive.open(row.digest)))
        found = dataset.get_item(int(tag, 16)) if int(tag, 16) in dataset else None
    value = getattr(found, "value", None)
    if not isinstance(value, bytes):
        raise Problem(HTTPStatus.NOT_FOUND, "The instance has no bulk data at this tag.")
    return value


async def _picture(request: Request, side_px: int | None) -> Response:
    options = _PictureOptions(request, side_px)
    row = (await find_rows(request))[0]
    archive = runtime_of(request).archive
    loop = asyncio.get_running_loop()
    data = await loop.run_in_executor(None, lambda: options.draw(archive.open(row.digest)))
    return Response(data, media_type=options.media_type)


class _PictureOptions:
    """How a picture is asked for: type, size, quality and window (PS3.18 section 8.3.5)."""

    def __init__(self, request: Request, side_px: int | None) -> None:
        takes = [asked.media_type for asked in accepted(request)]
        found = next((each for each in takes if each in _PICTURES), None)
        if found is None and not set(takes) & {"*/*", "image/*"}:
            raise not_acceptable(" or ".join(_PICTURES))
        self.media_type = found or "image/jpeg"
        query = request.query_params
        self._size = (side_px, side_px) if side_px else None
        if "viewport" in query:
            width, height = _whole_numbers(query["viewport"], "viewport", 2)[:2]
            self._size = (width, height)
        self._quality = _whole_numbers(query.get("quality", "90"), "quality", 1)[0]
        if not 1 <= self._quality <= 100:
            raise Problem(HTTPStatus.BAD_REQUEST, "quality is not within 1 to 100.")
        self._window = _window(query.get("window"))
        frames = request.path_params.get("frames")
        self._frame = _frame_numbers(frames)[0] if frames else 1

    def draw(self, data: bytes) -> bytes:
        """Return the encoded picture of an instance."""
        picture = Image.fromarray(self._grey_or_color(data))
        if self._size:
            picture.thumbnail(self._size)
        stream = BytesIO()
        picture.save(stream, _PICTURES[self.media_type], quality=self._quality)
        return stream.getvalue()

    def _grey_or_color(self, data: bytes) -> NDArray[np.uint8]:
        with quiet_decoders():
            dataset = pydicom.dcmread(BytesIO(data))
        is_grey = int(dataset.get("SamplesPerPixel") or 1) == 1
        if is_grey and self._frame == 1 and self._window is None:
            try:
                return read_radiograph(data, full_resolution=True).pixels
            except InputError:
                raise _no_pixels() from None
        frames = _decoded(dataset, as_rgb=not is_grey)
        if self._frame > len(frames):
            raise Problem(HTTPStatus.NOT_FOUND, f"There is no frame {self._frame}.")
        frame = frames[self._frame - 1]
        return self._windowed(frame, dataset) if is_grey else frame.astype(np.uint8)

    def _windowed(self, frame: NDArray[Any], dataset: Dataset) -> NDArray[np.uint8]:
        slope = float(dataset.get("RescaleSlope") or 1)
        values = frame.astype(np.float64) * slope + float(dataset.get("RescaleIntercept") or 0)
        low, high = float(values.min()), float(values.max())
        if self._window is not None:
            center, width = self._window
            low, high = center - width / 2, center + width / 2
        grey = np.clip((values - low) / max(high - low, 1e-9), 0, 1) * 255
        if dataset.get("PhotometricInterpretation") == "MONOCHROME1":
            grey = 255 - grey
        return grey.astype(np.uint8)


def _whole_numbers(text: str, name: str, least: int) -> list[int]:
    parts = text.split(",")
    usable = [part for part in parts if part.isdecimal() and len(part) < 6]
    numbers = [int(part) for part in usable]
    if len(numbers) != len(parts) or len(numbers) < least or max(numbers) > _LARGEST_VIEWPORT_PX:
        raise Problem(HTTPStatus.BAD_REQUEST, f"{name} is not made of whole numbers as expected.")
    if name == "viewport" and min(numbers[:2]) < 1:
        raise Problem(HTTPStatus.BAD_REQUEST, "viewport has a side of no pixels.")
    return numbers


def _window(text: str | None) -> tuple[float, float] | None:
    if text is None:
        return None
    parts = text.split(",")
    try:
        center, width = float(parts[0]), float(parts[1])
    except (IndexError, ValueError):
        center, width = 0.0, 0.0
    if not width > 0 or not abs(center) < 1e9 or parts[2:] not in ([], ["linear"]):
        raise Problem(HTTPStatus.BAD_REQUEST, "window is not center,width or center,width,linear.")
    return center, width
