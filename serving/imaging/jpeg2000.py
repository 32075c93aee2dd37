"""JPEG 2000, decoded at the resolution that is needed and no finer.

A codestream holds the image as a pyramid of wavelet resolutions; decoding all but the `n` finest
ones gives the image at `1 / 2**n` of its size for about `1 / 4**n` of the work (ISO/IEC 15444-1
annex B.5). Pillow's decoder (OpenJPEG) does that, but Pillow's own `reduce` rounds the reduced
size to the nearest integer where the standard (B-15) rounds up: an image of 1841 columns has 461
at a quarter, Pillow expects 460 and reports a broken stream. So the size is worked out here and
handed to the decoder through Pillow's interface for image plug-ins.
"""

import struct
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ImageFile

from models.errors import UnreadableImageError
from serving.imaging.limits import ImageLimits
from serving.imaging.reduction import trimmed

_CODESTREAM_START = b"\xff\x4f\xff\x51"
"""SOC and SIZ (ISO/IEC 15444-1 A.4.1, A.5.1)."""
_START_OF_TILE = 0x90
_LEVELS_OFFSET = {0x52: 5, 0x53: 2}
"""Where COD and COC (of images with few components) hold the number of decompositions; four bytes
on they hold the transformation."""
_REVERSIBLE = 1
_WRAPPER_SEARCH_BYTES = 65_536
_MODES: dict[int, tuple[str, str]] = {1: ("L", "I;16"), 3: ("RGB", "RGB"), 4: ("RGBA", "RGBA")}
"""Pillow's modes by number of components, for up to 8 bits and for more."""
_MAX_LEVELS = 32


@dataclass(frozen=True, slots=True)
class Codestream:
    """The main header of a codestream."""

    data: bytes
    """From SOC on, without a JP2 wrapper."""
    rows: int
    columns: int
    components: int
    bits: int
    """Precision of the first component, 1 to 16."""
    signed: bool
    levels: int
    """Wavelet decompositions: the image can be decoded at 1/2, 1/4 ... 1/2**levels."""
    is_reversible: bool
    """Whether the wavelet is the 5-3 of integers, which lossless compression needs."""


def read_codestream(data: bytes, limits: ImageLimits) -> Codestream:
    """The main header of the JPEG 2000 image in `data`, with or without a JP2 wrapper.

    Raises `UnreadableImageError` where it is broken or of a kind that is not read, and
    `InputTooLargeError` where the image is over a limit.
    """
    start = data.find(_CODESTREAM_START, 0, _WRAPPER_SEARCH_BYTES)
    if start < 0 or len(data) - start < 45:
        raise UnreadableImageError(
            "The JPEG 2000 image has no main header: it is truncated or corrupt. Send it again.",
            "JPEG 2000 图像缺少主文件头：文件被截断或已损坏；请重新发送",
        )
    data = data[start:]
    width, height, left, top = struct.unpack(">LLLL", data[8:24])
    tile_width, tile_height = struct.unpack(">LL", data[24:32])
    components = int.from_bytes(data[40:42], "big")
    rows, columns = height - top, width - left
    if rows <= 0 or columns <= 0 or tile_width == 0 or tile_height == 0:
        raise UnreadableImageError(
            "The JPEG 2000 main header declares an image or tile without pixels. Send it again.",
            "JPEG 2000 主文件头声明的图像或图块不含像素；请重新发送",
        )
    limits.check_dimensions(height, width, "The JPEG 2000 main header")
    _check_tiles(-(-width // tile_width) * -(-height // tile_height), limits)
    precision = data[42]
    bits = (precision & 0x7F) + 1
    if components not in _MODES or bits > 16 or (components > 1 and bits > 8):
        raise UnreadableImageError(
            f"The JPEG 2000 image has {components} components of {bits} bits; 1 of up to 16 "
            "bits, or 3 or 4 of up to 8, are read. Export the image as MONOCHROME2.",
            f"JPEG 2000 图像为 {components} 个分量、{bits} 位，仅支持 1 个分量（至多 16 位）"
            "或 3、4 个分量（至多 8 位）；请以 MONOCHROME2 格式导出图像",
        )
    levels, is_reversible = _read_coding_style(data)
    signed = bool(precision & 0x80)
    return Codestream(data, rows, columns, components, bits, signed, levels, is_reversible)


def _check_tiles(tiles: int, limits: ImageLimits) -> None:
    if tiles > limits.max_tiles:
        raise UnreadableImageError(
            f"The JPEG 2000 image has {tiles} tiles, at most {limits.max_tiles} are decoded. "
            "Export the image again with larger tiles.",
            f"JPEG 2000 图像含 {tiles} 个图块，解码上限为 {limits.max_tiles} 个；"
            "请以较大图块重新导出图像",
        )


def _read_coding_style(data: bytes) -> tuple[int, bool]:
    """The fewest decompositions of any component, and whether the wavelet is reversible.

    From the segments COD and COC of the main header (ISO/IEC 15444-1 A.6.1, A.6.2).
    """
    levels, is_reversible = _MAX_LEVELS + 1, False
    position = 2
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        length = int.from_bytes(data[position + 2 : position + 4], "big")
        segment = data[position + 4 : position + 2 + length]
        if marker == _START_OF_TILE or length < 2:
            break
        offset = _LEVELS_OFFSET.get(marker)
        if offset is not None and len(segment) > offset + 4:
            levels = min(levels, segment[offset])
            is_reversible = segment[offset + 4] == _REVERSIBLE
        position += 2 + length
    return (levels, is_reversible) if levels <= _MAX_LEVELS else (0, is_reversible)


def decode(codestream: Codestream, discard: int) -> NDArray[Any]:
    """The image without its `discard` finest resolutions.

    Returns unsigned ordinals of `codestream.bits` bits (0 for the smallest value even if the
    samples are signed); both sides as `reduction.reduced_length` has them, and a last axis of
    3 for colour. Each pixel stands for the block of 2**discard pixels it covers, as a mean would.

    Raises `UnreadableImageError` where the codestream is broken.
    """
    discard = min(discard, codestream.levels)
    try:
        pixels = _run_decoder(codestream, discard)
    except Exception:  # noqa: BLE001 - Pillow raises errors of several types on broken streams
        raise UnreadableImageError(
            "The JPEG 2000 pixels cannot be decoded: the image is truncated or corrupt. Send it "
            "again from the modality or archive.",
            "JPEG 2000 像素数据无法解码：图像被截断或已损坏；请从设备或归档系统重新发送",
        ) from None
    if codestream.components == 1:
        pixels = centred(pixels, discard, is_reversible=codestream.is_reversible)
    return trimmed(pixels, codestream.rows, codestream.columns, 1 << discard)


def _run_decoder(codestream: Codestream, discard: int) -> NDArray[Any]:
    mode = _MODES[codestream.components][codestream.bits > 8]
    size = (_ceil_shift(codestream.columns, discard), _ceil_shift(codestream.rows, discard))
    plugin = _ReducedImage(codestream.data, mode, size, discard)
    plugin.load()
    pixels = np.asarray(plugin if codestream.components == 1 else plugin.convert("RGB"))
    container_bits = 16 if mode == "I;16" else 8
    # Pillow scales every precision up to the whole byte or word.
    return pixels >> (container_bits - codestream.bits)


def _ceil_shift(length: int, shift: int) -> int:
    return -(-length // (1 << shift))


class _ReducedImage(ImageFile.ImageFile):
    """A codestream as a Pillow image whose size is that of the reduced resolution.

    Written as Pillow's handbook describes for image plug-ins (`_size`, `_mode`, `tile`).
    """

    format = "JPEG2000"

    def __init__(self, data: bytes, mode: str, size: tuple[int, int], discard: int) -> None:
        self._wanted = (mode, size, discard, len(data))
        super().__init__(BytesIO(data))

    def _open(self) -> None:
        mode, size, discard, length = self._wanted
        self._mode = mode
        self._size = size
        layers, descriptor = 0, -1
        arguments = ("j2k", discard, layers, descriptor, length)
        self.tile = [ImageFile._Tile("jpeg2k", (0, 0, *size), 0, arguments)]


def centred(pixels: NDArray[Any], discard: int, *, is_reversible: bool) -> NDArray[Any]:
    """The low-pass pyramid `pixels`, moved to where the means of blocks lie.

    Sample n of the wavelet's low-pass band is centred on pixel n * 2**discard of the full image,
    the block it covers lies (2**discard - 1) / 2 pixels further. Uncorrected, the whole image
    would be shifted by that; linear interpolation takes it back, and brings the slightly
    sharper low-pass of the wavelet close to the mean.

    The reversible wavelet also rounds its integers up by half a unit a level in the mean (a
    quarter in each direction, from the roundings of its two lifting steps, ISO/IEC 15444-1 annex
    F), which is taken back as well: in images of 8 bits it would show. Areas without
    any noise, where nothing was rounded, become that much darker instead.
    """
    if discard == 0:
        return pixels
    unit = 1 << (discard + 1)
    far = (1 << discard) - 1
    weighted = pixels.astype(np.int64)
    for axis in (0, 1):
        following = np.concatenate(
            [weighted.take(range(1, weighted.shape[axis]), axis), weighted.take([-1], axis)], axis
        )
        weighted = (unit - far) * weighted + far * following
    half = unit * unit // 2
    weighted += half - half * discard if is_reversible else half
    return np.maximum(weighted // (unit * unit), 0).astype(pixels.dtype)


def discardable_levels(factor: int) -> int:
    """How many of the finest resolutions a reduction by `factor` makes superfluous."""
    return max(0, factor.bit_length() - 1)
