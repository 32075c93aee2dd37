"""Pixels that are no part of the image: Pixel Padding Value (PS3.3 C.7.5.1.1.2)."""

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from serving.imaging.dicom_values import first_value

_WORDS = 1 << 16


def declares_padding(dataset: Dataset) -> bool:
    """Whether the header names a padding value at all."""
    return _word(dataset, "PixelPaddingValue") is not None


def padded_values(dataset: Dataset, values: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of the stored `values` stand for padding, same shape.

    Compared as 16-bit words, because files disagree about the sign of the padding value.
    """
    value = _word(dataset, "PixelPaddingValue")
    if value is None:
        return np.zeros(values.shape, dtype=np.bool_)
    limit = _word(dataset, "PixelPaddingRangeLimit")
    if limit is None:
        padding: NDArray[np.bool_] = values % _WORDS == value
        return padding
    # The range may be given from either end, and in the sign of the pixels.
    low, high = sorted(_in_range_of(values, word) for word in (value, limit))
    return (values >= low) & (values <= high)


def _in_range_of(values: NDArray[np.int64], word: int) -> int:
    """The 16-bit word as a value of the pixels' own sign."""
    return word - _WORDS if values.min() < 0 and word >= _WORDS // 2 else word


def _word(dataset: Dataset, keyword: str) -> int | None:
    value = first_value(dataset, keyword)
    if isinstance(value, bytes) and len(value) >= 2:
        # In implicit VR the representation is ambiguous (US or SS) and may come as bytes.
        return int.from_bytes(value[:2], "little")
    return value % _WORDS if isinstance(value, int) else None
