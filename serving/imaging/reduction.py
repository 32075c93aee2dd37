"""Making an image smaller by whole factors, by the mean of each block of pixels."""

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Grey = TypeVar("Grey", np.uint8, np.uint16)
"""Type of a grey value: one byte or two."""

OVERSAMPLING = 2
"""Both sides stay at least this many times the network's input side. The last step down to the
network's grid is then an average over two pixels or more, as it is from the full image."""

_MAX_FACTOR = 256
"""Largest factor whose block sum of 16-bit values fits in 32 bits."""


def reduction_factor(rows: int, columns: int, target_side_px: int) -> int:
    """Largest whole factor that keeps both sides >= `OVERSAMPLING * target_side_px`.

    1 where the image is not large enough to be reduced at all.
    """
    factor = min(rows, columns) // (OVERSAMPLING * target_side_px)
    return max(1, min(factor, _MAX_FACTOR))


def area_mean(pixels: NDArray[Grey], factor: int) -> NDArray[Grey]:
    """Mean of each block of `factor` x `factor` pixels, rounded to the nearest integer.

    `pixels` has shape (rows, columns); the result has shape (ceil(rows / factor),
    ceil(columns / factor)). Blocks at the lower and right edge that stick out of the image are
    the mean of the pixels they have.
    """
    if factor == 1:
        return pixels
    rows, columns = pixels.shape
    row_sums = _strided_sum(pixels, factor)
    sums = _strided_sum(row_sums.T, factor).T
    count = np.outer(_block_sizes(rows, factor), _block_sizes(columns, factor))
    sums += count // 2
    sums //= count
    return sums.astype(pixels.dtype)


def _strided_sum(values: NDArray[Any], factor: int) -> NDArray[np.uint32]:
    """Sum over each run of `factor` rows; adding whole strided rows is what numpy does fastest."""
    total = values[::factor].astype(np.uint32)
    for offset in range(1, factor):
        part = values[offset::factor]
        total[: len(part)] += part
    return total


def _block_sizes(length: int, factor: int) -> NDArray[np.uint32]:
    sizes = np.full(-(-length // factor), factor, dtype=np.uint32)
    sizes[-1] = length - factor * (len(sizes) - 1)
    return sizes
