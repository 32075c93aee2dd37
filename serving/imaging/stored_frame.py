"""One frame as decoded, before it is given grey levels."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import UnreadableImageError
from serving.imaging.grayscale import StoredValues
from serving.imaging.pixel_format import PixelFormat

_LUMINANCE_WEIGHTS = (19_595, 38_470, 7_471)
"""Of red, green and blue, in 1/65536: ITU-R BT.601, which PS3.3 C.7.6.3.1.2 refers to."""


@dataclass(frozen=True, slots=True)
class StoredFrame:
    """Samples of one frame."""

    ordinals: NDArray[Any]
    """Shape (rows, columns), uint8 or uint16: 0 for the smallest value that can be stored."""
    stored: StoredValues
    """What the ordinals stand for."""
    reduced_by: int = 1
    """Factor by which both sides are smaller than the stored image, from the decoder."""
    is_luminance: bool = False
    """The ordinals are grey levels, 0 black to 255 white, computed from colour."""


def frame_of_words(words: NDArray[Any], layout: PixelFormat) -> StoredFrame:
    """The frame of raw samples in the order of the header, flat, uint8 or uint16."""
    rows, columns, bits = layout.rows, layout.columns, layout.bits_stored
    if bits > 8 and words.dtype == np.uint8:
        words = words.astype(np.uint16)
    if not layout.is_colour:
        return _ordered(words.reshape(rows, columns), layout)
    if layout.photometric == "YBR_FULL_422":
        return luminance_frame(_luminance_of_422(words, layout))
    if layout.planar:
        samples = words.reshape(3, rows, columns).transpose(1, 2, 0)
    else:
        samples = words.reshape(rows, columns, 3)
    if layout.photometric == "YBR_FULL":
        return luminance_frame((samples[..., 0] >> max(0, bits - 8)).astype(np.uint8))
    return luminance_frame(rgb_to_luminance(samples, bits))


def _luminance_of_422(words: NDArray[Any], layout: PixelFormat) -> NDArray[np.uint8]:
    """Luminance of uncompressed YBR_FULL_422: Y Y Cb Cr for each two pixels of a row."""
    if layout.columns % 2 or layout.bits_allocated != 8:
        raise UnreadableImageError(
            "YBR_FULL_422 was found with an odd number of Columns (0028,0011) or more than 8 "
            "bits; expected pairs of 8-bit pixels (PS3.3 C.7.6.3.1.2). Export it as RGB.",
            "YBR_FULL_422 图像的列数 (0028,0011) 为奇数或位数超过 8，"
            "应为成对的 8 位像素；请以 RGB 格式导出",
        )
    return words.reshape(-1, 4)[:, :2].reshape(layout.rows, layout.columns)


def _ordered(words: NDArray[Any], layout: PixelFormat) -> StoredFrame:
    """The frame of single raw samples, shape (rows, columns).

    Bits outside the stored ones (overlays of old, sign extension) are dropped (PS3.5 8.1.1).
    """
    bits = layout.bits_stored
    shift = layout.high_bit + 1 - bits
    if shift:
        words = words >> shift
    mask = (1 << bits) - 1
    if bits < 8 * words.dtype.itemsize and (layout.signed or int(words.max()) > mask):
        words = words & words.dtype.type(mask)
    if layout.signed:
        # Two's complement to offset binary: the sign bit flipped makes the order right.
        words = words ^ words.dtype.type(1 << (bits - 1))
    return StoredFrame(words, StoredValues(bits, layout.signed))


def luminance_frame(grey: NDArray[np.uint8], reduced_by: int = 1) -> StoredFrame:
    """A frame of grey levels computed from colour, shape (rows, columns)."""
    return StoredFrame(grey, StoredValues(8, signed=False), reduced_by, is_luminance=True)


def rgb_to_luminance(samples: NDArray[Any], bits: int) -> NDArray[np.uint8]:
    """Luminance 0 to 255 of red, green and blue of `bits` bits, shape (rows, columns, 3)."""
    total = np.zeros(samples.shape[:2], dtype=np.uint64)
    for index, weight in enumerate(_LUMINANCE_WEIGHTS):
        total += samples[..., index].astype(np.uint64) * np.uint64(weight)
    scaled = total * np.uint64(255) // np.uint64((1 << bits) - 1)
    return ((scaled + np.uint64(1 << 15)) >> np.uint64(16)).clip(0, 255).astype(np.uint8)
