"""The JPEG family inside DICOM: baseline and extended, lossless, and JPEG-LS (PS3.5 A.4)."""

from dataclasses import replace
from io import BytesIO
from typing import Any

import jpeg_ls
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.errors import UnreadableImageError
from serving.imaging import jpeg_lossless
from serving.imaging.grayscale import StoredValues
from serving.imaging.jpeg_markers import JPEG_LS_FRAME, JpegFrame, read_frame_header
from serving.imaging.limits import ImageLimits
from serving.imaging.pixel_format import PixelFormat
from serving.imaging.reduction import trimmed
from serving.imaging.stored_frame import (
    StoredFrame,
    frame_of_words,
    luminance_frame,
    rgb_to_luminance,
)

_END_OF_IMAGE = b"\xff\xd9"
"""Appended to every JPEG-LS image: at the bare end of truncated data CharLS 2.4 counts through
2**32 absent bits, for seconds, before it reports them; at a marker it stops at once."""
_LARGEST_DCT_SCALE = 8
"""A block of 8 x 8 coefficients gives at least one pixel."""


def decode_jpeg(frame: bytes, layout: PixelFormat, limits: ImageLimits, factor: int) -> StoredFrame:
    """A baseline or extended JPEG image of 8 bits, reduced by at most `factor`.

    The decoder leaves out the fine coefficients of each block: at 1/2, 1/4 and 1/8 a pixel is
    close to the mean of those it stands for.
    """
    header = _checked_header(frame, layout, limits)
    if header.bits != 8:
        raise UnreadableImageError(
            f"The JPEG image has {header.bits} bits a sample; lossy JPEG is read with 8. "
            "Send the image uncompressed, or in JPEG Lossless, JPEG-LS or JPEG 2000.",
            f"JPEG 图像每个样本为 {header.bits} 位，有损 JPEG 仅支持 8 位；"
            "请以未压缩、JPEG 无损、JPEG-LS 或 JPEG 2000 格式发送",
        )
    # Without the marker of Adobe, decoders take three components for YCbCr; the header knows.
    is_plain_rgb = layout.photometric == "RGB" and not header.has_adobe_marker
    try:
        pixels, scale = open_scaled(frame, factor, "YCbCr" if is_plain_rgb else "L")
    except Exception:  # noqa: BLE001 - Pillow raises errors of several types on broken streams
        raise _broken("JPEG") from None
    if is_plain_rgb:
        return luminance_frame(rgb_to_luminance(pixels, 8), scale)
    if layout.is_colour:
        return luminance_frame(pixels, scale)
    return StoredFrame(pixels, StoredValues(8, signed=False), scale)


def open_scaled(data: bytes, factor: int, mode: str) -> tuple[NDArray[np.uint8], int]:
    """The pixels of a JPEG image in Pillow's `mode`, and by how much they are reduced.

    Raises whatever Pillow does on a broken image.
    """
    with Image.open(BytesIO(data), formats=["JPEG"]) as image:
        return load_scaled(image, factor, mode)


def load_scaled(image: Image.Image, factor: int, mode: str) -> tuple[NDArray[np.uint8], int]:
    """The pixels of a JPEG `image` that was opened and not loaded yet; see `open_scaled`.

    `mode` must be one that the decoder can deliver by itself: `L` or `YCbCr`.
    """
    # Half of what is asked for: the rest by block means, which keep more of the truth than a
    # reduced transform does (0.007 instead of 0.05 of a probability near the operating point).
    scale = min(1 << max(0, factor.bit_length() - 2), _LARGEST_DCT_SCALE)
    columns, rows = image.size
    image.draft(mode, (max(1, columns // scale), max(1, rows // scale)))
    scale = scale if image.size == (-(-columns // scale), -(-rows // scale)) else 1
    pixels = np.asarray(image if image.mode == mode else image.convert(mode))
    return trimmed(pixels, rows, columns, scale), scale


def decode_lossless_jpeg(frame: bytes, layout: PixelFormat, limits: ImageLimits) -> StoredFrame:
    """A JPEG Lossless image (processes 14, with any selection value)."""
    _checked_header(frame, layout, limits)
    words = jpeg_lossless.decode(frame)
    return frame_of_words(words.reshape(-1), _interleaved(layout))


def decode_jpeg_ls(frame: bytes, layout: PixelFormat, limits: ImageLimits) -> StoredFrame:
    """A JPEG-LS image, lossless or near-lossless."""
    header = _checked_header(frame, layout, limits)
    if header.process != JPEG_LS_FRAME:
        raise _broken("JPEG-LS")
    try:
        pixels, info = jpeg_ls.decode_pixel_data(frame + _END_OF_IMAGE)
    except Exception:  # noqa: BLE001 - CharLS raises RuntimeError and others on broken streams
        raise _broken("JPEG-LS") from None
    words: NDArray[Any] = np.frombuffer(pixels, np.uint8 if header.bits <= 8 else "<u2")
    if words.size != layout.rows * layout.columns * layout.samples:
        raise _broken("JPEG-LS")
    planar = layout.is_colour and info["interleave_mode"] == 0
    return frame_of_words(words, _interleaved(layout, planar=planar))


def _interleaved(layout: PixelFormat, *, planar: bool = False) -> PixelFormat:
    """The layout of what a decoder delivers: full chrominance, colours together or apart."""
    photometric = "YBR_FULL" if layout.photometric == "YBR_FULL_422" else layout.photometric
    return replace(layout, planar=planar, photometric=photometric)


def _checked_header(frame: bytes, layout: PixelFormat, limits: ImageLimits) -> JpegFrame:
    header = read_frame_header(frame, limits)
    layout.check_compressed(header.rows, header.columns, header.components, "The JPEG image")
    return header


def _broken(kind: str) -> UnreadableImageError:
    return UnreadableImageError(
        f"The {kind} pixels cannot be decoded: the image is truncated or corrupt. Send it again "
        "from the modality or archive.",
        f"{kind} 像素数据无法解码：图像被截断或已损坏；请从设备或归档系统重新发送",
    )
