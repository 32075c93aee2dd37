"""Making an image smaller by whole factors, by the mean of each block of pixels."""

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Grey = TypeVar("Grey", np.uint8, np.uint16)
"""Type of a grey value: one byte or two."""

OVERSAMPLING = 2
"""Both sides stay at least this many times the network's input side. The last step down to the
network's grid is then an average over two pixels or more, as it is from the full image."""

_WHOLE_BELOW = 6
"""An image with a side below this many times the network's is read whole: little is saved there,
and probabilities near the operating point moved by up to 0.02 when it was reduced."""

_MAX_FACTOR = 255
"""Largest factor whose block sum of 16-bit values, rounded, fits in 32 bits."""

_BAND_BLOCKS = 32
"""Rows of blocks that are summed at a time: few enough for their sums to stay in the cache."""


def reduction_factor(rows: int, columns: int, target_side_px: int) -> int:
    """Largest whole factor that keeps both sides >= `OVERSAMPLING * target_side_px`.

    1 where the image is not large enough to be worth it.
    """
    shorter = min(rows, columns)
    if shorter < _WHOLE_BELOW * target_side_px:
        return 1
    factor = shorter // (OVERSAMPLING * target_side_px)
    return max(1, min(factor, _MAX_FACTOR))


def reduced_length(length: int, factor: int) -> int:
    """Pixels of a side of `length` pixels reduced by `factor`: the nearest whole number.

    Rounding up instead would stretch the last, mostly empty block over a whole pixel and with
    it shift everything by up to a pixel against the network's grid.
    """
    return max(1, (length + factor // 2) // factor)


def trimmed(pixels: NDArray[Any], rows: int, columns: int, factor: int) -> NDArray[Any]:
    """What a decoder made of `rows` x `columns` at 1 / `factor`, without mostly empty edges.

    Decoders round sizes up (ISO/IEC 15444-1 B-15; libjpeg does the same).
    """
    return pixels[: reduced_length(rows, factor), : reduced_length(columns, factor)]


def area_mean(pixels: NDArray[Grey], factor: int) -> NDArray[Grey]:
    """Mean of each block of `factor` x `factor` pixels, rounded to the nearest integer.

    `pixels` has shape (rows, columns), the result (`reduced_length(rows, factor)`,
    `reduced_length(columns, factor)`). A block at the lower or right edge that sticks out of the
    image is the mean of the pixels it has, and left out if those are less than half a block.
    """
    if factor == 1:
        return pixels
    rows, columns = (min(side, reduced_length(side, factor) * factor) for side in pixels.shape)
    pixels = pixels[:rows, :columns]
    sums = np.empty((-(-rows // factor), -(-columns // factor)), dtype=np.uint32)
    for first in range(0, len(sums), _BAND_BLOCKS):
        last = first + _BAND_BLOCKS
        band = pixels[first * factor : last * factor]
        sums[first:last] = _strided_sum(_strided_sum(band, factor).T, factor).T
    means = _rounded_quotient(sums, np.uint32(factor * factor))
    row_sizes, column_sizes = _block_sizes(rows, factor), _block_sizes(columns, factor)
    means[-1] = _rounded_quotient(sums[-1], row_sizes[-1] * column_sizes)
    means[:, -1] = _rounded_quotient(sums[:, -1], row_sizes * column_sizes[-1])
    return means.astype(pixels.dtype)


def _strided_sum(values: NDArray[Any], factor: int) -> NDArray[np.uint32]:
    """Sum over each run of `factor` rows; adding whole strided rows is what numpy does fastest."""
    total = values[::factor].astype(np.uint32)
    for offset in range(1, factor):
        part = values[offset::factor]
        total[: len(part)] += part
    return total


def _rounded_quotient(sums: NDArray[np.uint32], count: Any) -> NDArray[np.uint32]:
    quotient: NDArray[np.uint32] = (sums + count // 2) // count
    return quotient


def _block_sizes(length: int, factor: int) -> NDArray[np.uint32]:
    sizes = np.full(-(-length // factor), factor, dtype=np.uint32)
    sizes[-1] = length - factor * (len(sizes) - 1)
    return sizes
