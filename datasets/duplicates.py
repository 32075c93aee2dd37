"""Find copies of one picture under different names.

A difference hash (Krawetz, hackerfactor.com 2013) of 16 x 16 bits: whether each cell of the reduced
picture is darker than its right-hand neighbour. It survives re-encoding, resizing and changes of
brightness, which a file digest does not.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

HASH_SIDE = 16
HASH_BITS = HASH_SIDE * HASH_SIDE
NEAR_BITS = 8
"""Hashes up to this many bits apart count as one picture. In `chest_xray_kermany` copies of one
file are 0 bits apart and the most alike radiographs of different patients 13."""
_ROWS_AT_ONCE = 1024


def difference_hashes(pixels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return the hash of each image of `pixels`, shape (n, rows, columns) -> (n, HASH_BITS)."""
    return np.stack([_hash(image) for image in pixels])


def near_pairs(hashes: NDArray[np.bool_], bits: int = NEAR_BITS) -> list[tuple[int, int]]:
    """Return the pairs (i, j), i < j, of images whose hashes are at most `bits` apart."""
    signs = hashes.astype(np.float32) * 2 - 1
    pairs: list[tuple[int, int]] = []
    for start in range(0, len(signs), _ROWS_AT_ONCE):
        apart = (HASH_BITS - signs[start : start + _ROWS_AT_ONCE] @ signs.T) / 2
        rows, columns = np.nonzero(apart <= bits)
        pairs += [
            (int(row) + start, int(column))
            for row, column in zip(rows, columns, strict=True)
            if row + start < column
        ]
    return pairs


def _hash(image: NDArray[np.uint8]) -> NDArray[np.bool_]:
    # Mean over cells: a smoother filter would blur neighbours together and make hashes more alike.
    cells = Image.fromarray(image).resize((HASH_SIDE + 1, HASH_SIDE), Image.Resampling.BOX)
    bits: NDArray[np.bool_] = (np.diff(np.asarray(cells, dtype=np.int16), axis=1) > 0).ravel()
    return bits
