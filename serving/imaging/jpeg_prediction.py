"""Undoing the prediction of JPEG Lossless (ISO/IEC 10918-1 H.1.2, table H.1)."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

_MODULUS_MASK = 0xFFFF
"""Differences are taken modulo 2**16 (H.1.2.1)."""


def undo_prediction(
    differences: NDArray[np.int32], selection: int, first_prediction: int
) -> NDArray[np.uint16]:
    """Samples from their differences to the prediction, shape (rows, columns).

    `selection` is the predictor, 1 to 7; the first row is predicted from the left and the first
    column from above, whichever it is. `first_prediction` is that of the first sample.
    """
    work = differences.astype(np.int64)
    work[0, 0] += first_prediction
    if selection == 1:
        work[:, 0] = np.cumsum(work[:, 0])
        samples = np.cumsum(work, axis=1)
    elif selection == 2:
        work[0] = np.cumsum(work[0])
        samples = np.cumsum(work, axis=0)
    else:
        samples = _by_rows(work, _ROW_RULES[selection])
    result: NDArray[np.uint16] = (samples & _MODULUS_MASK).astype(np.uint16)
    return result


_RowRule = Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[np.int64]]


def _by_rows(work: NDArray[np.int64], rule: _RowRule) -> NDArray[np.int64]:
    work[0] = np.cumsum(work[0]) & _MODULUS_MASK
    for row in range(1, len(work)):
        work[row] = rule(work[row], work[row - 1]) & _MODULUS_MASK
    return work


def _above_left(row: NDArray[np.int64], above: NDArray[np.int64]) -> NDArray[np.int64]:
    """Selection 3: Rc."""
    result: NDArray[np.int64] = row + np.concatenate([above[:1], above[:-1]])
    return result


def _plane(row: NDArray[np.int64], above: NDArray[np.int64]) -> NDArray[np.int64]:
    """Selection 4: Ra + Rb - Rc, so that what exceeds the row above only adds up."""
    result: NDArray[np.int64] = above + np.cumsum(row)
    return result


def _left_with_slope(row: NDArray[np.int64], above: NDArray[np.int64]) -> NDArray[np.int64]:
    """Selection 5: Ra + ((Rb - Rc) >> 1)."""
    row[0] += above[0]
    row[1:] += np.diff(above) >> 1
    slope: NDArray[np.int64] = np.cumsum(row)
    return slope


def _above_with_slope(row: NDArray[np.int64], above: NDArray[np.int64]) -> NDArray[np.int64]:
    """Selection 6: Rb + ((Ra - Rc) >> 1); each sample needs the one before."""
    upper = above.tolist()
    left = (int(row[0]) + upper[0]) & _MODULUS_MASK
    result = [left]
    for index, difference in enumerate(row[1:].tolist(), start=1):
        left = (difference + upper[index] + ((left - upper[index - 1]) >> 1)) & _MODULUS_MASK
        result.append(left)
    return np.asarray(result, dtype=np.int64)


def _mean(row: NDArray[np.int64], above: NDArray[np.int64]) -> NDArray[np.int64]:
    """Selection 7: (Ra + Rb) >> 1; each sample needs the one before."""
    upper = above.tolist()
    left = (int(row[0]) + upper[0]) & _MODULUS_MASK
    result = [left]
    for index, difference in enumerate(row[1:].tolist(), start=1):
        left = (difference + ((left + upper[index]) >> 1)) & _MODULUS_MASK
        result.append(left)
    return np.asarray(result, dtype=np.int64)


_ROW_RULES: dict[int, _RowRule] = {
    3: _above_left,
    4: _plane,
    5: _left_with_slope,
    6: _above_with_slope,
    7: _mean,
}
