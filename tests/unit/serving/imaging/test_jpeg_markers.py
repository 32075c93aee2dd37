import struct

import pytest

from models.errors import InputTooLargeError, UnreadableImageError
from serving.imaging.jpeg_markers import JpegFrame, read_frame_header
from serving.imaging.limits import DEFAULT_LIMITS


def _segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def _image(*segments: bytes) -> bytes:
    return b"\xff\xd8" + b"".join(segments) + _segment(0xDA, b"\x01\x01\x00\x00\x3f\x00")


def _frame(rows: int, columns: int, components: int = 1, marker: int = 0xC0) -> bytes:
    body = struct.pack(">BHHB", 8, rows, columns, components) + b"\1\x11\0" * components
    return _segment(marker, body)


def test_frame_header_is_found_behind_other_segments() -> None:
    thumbnail = _segment(0xE1, b"Exif\0\0" + _image(_frame(120, 160)))
    adobe = _segment(0xEE, b"Adobe\0d\0\0\0\0\1")
    image = _image(thumbnail, adobe, b"\xff" + _frame(1955, 1841, 3, 0xC2))

    assert read_frame_header(image, DEFAULT_LIMITS) == JpegFrame(0xC2, 8, 1955, 1841, 3, True)


@pytest.mark.parametrize(
    "image",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\xff\xd8\xff", id="cut off"),
        pytest.param(_image(), id="scan without frame"),
        pytest.param(b"\xff\xd8\xff\xe0\x00\x00" + _frame(8, 8), id="length below two"),
        pytest.param(b"\xff\xd8" + _frame(8, 8)[:7], id="frame cut off"),
        pytest.param(_image(_frame(0, 8)), id="no rows"),
        pytest.param(_image(_frame(8, 8, 2)), id="two components"),
    ],
)
def test_image_without_usable_frame_header_is_refused(image: bytes) -> None:
    with pytest.raises(UnreadableImageError):
        read_frame_header(image, DEFAULT_LIMITS)


def test_absurd_dimensions_are_refused() -> None:
    with pytest.raises(InputTooLargeError, match="65535 x 65535"):
        read_frame_header(_image(_frame(65_535, 65_535)), DEFAULT_LIMITS)


def test_absurd_number_of_scans_is_refused() -> None:
    scans = _segment(0xDA, b"\x01\x01\x00\x00\x3f\x00") * 200

    with pytest.raises(UnreadableImageError, match="201 scans"):
        read_frame_header(_image(_frame(8, 8), scans), DEFAULT_LIMITS)
