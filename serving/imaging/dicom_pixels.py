"""The pixels of the first frame of a DICOM object, from every transfer syntax that is read."""

from dataclasses import replace
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import uid
from pydicom.encaps import generate_frames

from models.errors import UnreadableImageError
from serving.imaging import jpeg2000, run_length
from serving.imaging.dicom_header import DicomHeader
from serving.imaging.dicom_jpeg import decode_jpeg, decode_jpeg_ls, decode_lossless_jpeg
from serving.imaging.grayscale import StoredValues
from serving.imaging.limits import ImageLimits
from serving.imaging.pixel_format import PixelFormat
from serving.imaging.stored_frame import (
    StoredFrame,
    frame_of_words,
    luminance_frame,
    rgb_to_luminance,
)

_NATIVE = frozenset(
    {
        uid.ImplicitVRLittleEndian,
        uid.ExplicitVRLittleEndian,
        uid.ExplicitVRBigEndian,
        uid.DeflatedExplicitVRLittleEndian,
    }
)
_JPEG = frozenset({uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit})
_JPEG_LOSSLESS = frozenset({uid.JPEGLossless, uid.JPEGLosslessSV1})
_JPEG_LS = frozenset({uid.JPEGLSLossless, uid.JPEGLSNearLossless})
_JPEG_2000 = frozenset(
    {uid.JPEG2000Lossless, uid.JPEG2000, uid.HTJ2KLossless, uid.HTJ2KLosslessRPCL, uid.HTJ2K}
)
READ_TRANSFER_SYNTAXES = (
    _NATIVE | _JPEG | _JPEG_LOSSLESS | _JPEG_LS | _JPEG_2000 | {uid.RLELossless}
)
"""PS3.5 annexes A and 10: the transfer syntaxes that are decoded."""


def read_first_frame(
    header: DicomHeader, layout: PixelFormat, limits: ImageLimits, factor: int
) -> StoredFrame:
    """The first frame, at a resolution reduced by `factor` at most where the format allows it.

    Raises `UnreadableImageError` where the transfer syntax is not read or the pixels are
    missing, truncated or corrupt; `InputTooLargeError` where the compressed image is larger
    than the header says and than the limits allow.
    """
    syntax = header.transfer_syntax
    if syntax not in READ_TRANSFER_SYNTAXES:
        raise _unsupported(syntax)
    if syntax in _NATIVE:
        return _read_native(header, layout)
    frame = _first_fragment_group(header, layout)
    if syntax in _JPEG:
        return decode_jpeg(frame, layout, limits, factor)
    if syntax in _JPEG_2000:
        return _decode_jpeg2000(frame, layout, limits, factor)
    if syntax in _JPEG_LOSSLESS:
        return decode_lossless_jpeg(frame, layout, limits)
    if syntax in _JPEG_LS:
        return decode_jpeg_ls(frame, layout, limits)
    return _decode_run_length(frame, layout)


def _unsupported(syntax: uid.UID) -> UnreadableImageError:
    registered = syntax.name != str(syntax)
    found = f"{syntax.name} ({syntax})" if registered else "not registered in DICOM"
    names = ", ".join(sorted(known.name for known in READ_TRANSFER_SYNTAXES))
    return UnreadableImageError(
        f"The transfer syntax is {found}; those that are read: {names}. Export or send the "
        "image in one of these.",
        f"传输语法 {found} 不在支持之列；请以未压缩 (Explicit VR Little Endian)、JPEG 2000、"
        "JPEG 无损、JPEG-LS、JPEG 或 RLE 格式导出或发送图像",
    )


def _read_native(header: DicomHeader, layout: PixelFormat) -> StoredFrame:
    if header.pixel_length is None:
        raise UnreadableImageError(
            "Pixel Data (7FE0,0010) is encapsulated, but the transfer syntax "
            f"{header.transfer_syntax.name} is not compressed. Export the image again.",
            "像素数据 (7FE0,0010) 以压缩方式封装，但传输语法为未压缩；请重新导出图像",
        )
    start, size = header.pixel_offset, layout.frame_bytes
    available = min(header.pixel_length, len(header.content) - start)
    if available < size:
        raise UnreadableImageError(
            f"Pixel Data (7FE0,0010) holds {max(available, 0)} bytes, one frame needs {size}: "
            "the file is truncated or its Rows and Columns are wrong. Send it again.",
            f"像素数据 (7FE0,0010) 仅有 {max(available, 0)} 字节，一帧需要 {size} 字节："
            "文件被截断，或行数、列数有误；请重新发送",
        )
    if layout.bits_allocated == 16:
        order = "<u2" if header.is_little_endian else ">u2"
        words = np.frombuffer(header.content, order, size // 2, start)
        words = words.astype(np.uint16, copy=False)
    else:
        swapped = header.pixels_are_words and not header.is_little_endian
        if swapped:
            # Bytes stored as words come swapped in big endian (PS3.5 annex D), padding included.
            pairs = np.frombuffer(header.content, ">u2", min(size + 1, available) // 2, start)
            words = pairs.astype("<u2").view(np.uint8)[:size]
        else:
            words = np.frombuffer(header.content, np.uint8, size, start)
    return frame_of_words(words, layout)


def _first_fragment_group(header: DicomHeader, layout: PixelFormat) -> bytes:
    """The compressed bytes of the first frame (PS3.5 A.4)."""
    if header.pixel_length is not None:
        raise UnreadableImageError(
            "Pixel Data (7FE0,0010) is not encapsulated, but the transfer syntax "
            f"{header.transfer_syntax.name} is compressed. Export the image again.",
            "像素数据 (7FE0,0010) 未经封装，但传输语法为压缩格式；请重新导出图像",
        )
    stream = BytesIO(header.content)
    stream.seek(header.pixel_offset)
    try:
        frame = next(generate_frames(stream, number_of_frames=layout.frames))
    except Exception:  # noqa: BLE001 - pydicom raises errors of several types on broken items
        raise UnreadableImageError(
            "The fragments of Pixel Data (7FE0,0010) are broken or cut off. Send the image "
            "again from the modality or archive.",
            "像素数据 (7FE0,0010) 的片段损坏或被截断；请从设备或归档系统重新发送",
        ) from None
    return frame


def _decode_jpeg2000(
    frame: bytes, layout: PixelFormat, limits: ImageLimits, factor: int
) -> StoredFrame:
    codestream = jpeg2000.read_codestream(frame, limits)
    layout.check_compressed(
        codestream.rows, codestream.columns, codestream.components, "The JPEG 2000 image"
    )
    # Where header and codestream disagree about the sign, the words are what counts. Their order
    # is then not that of the values, and no resolution but the full one has any meaning.
    contradiction = not layout.is_colour and codestream.signed is not layout.signed
    discard = 0 if contradiction else jpeg2000.discardable_levels(factor)
    discard = min(discard, codestream.levels)
    pixels = jpeg2000.decode(codestream, discard)
    if layout.is_colour:
        return luminance_frame(rgb_to_luminance(pixels, codestream.bits), 1 << discard)
    if contradiction:
        pixels = pixels ^ pixels.dtype.type(1 << (codestream.bits - 1))
    return StoredFrame(pixels, StoredValues(codestream.bits, layout.signed), 1 << discard)


def _decode_run_length(frame: bytes, layout: PixelFormat) -> StoredFrame:
    word_bytes = layout.bits_allocated // 8
    planes = run_length.decode(frame, layout.rows, layout.columns, layout.samples, word_bytes)
    words: NDArray[Any] = planes[:, 0]
    if word_bytes == 2:
        words = words.astype(np.uint16) << 8 | planes[:, 1]
    # One plane a sample, whatever Planar Configuration says (PS3.5 G.2).
    return frame_of_words(words.reshape(-1), replace(layout, planar=True))
