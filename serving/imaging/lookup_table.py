"""The lookup tables of DICOM: modality, VOI and palette (PS3.3 C.11.1, C.11.2, C.7.6.3.1.5)."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from serving.imaging.dicom_values import numbers

_MAX_ENTRIES = 65_536


@dataclass(frozen=True, slots=True)
class LookupTable:
    """One table: input values from `first` on map to `entries`, those outside to its ends."""

    first: int
    """Input value that maps to the first entry."""
    entries: NDArray[np.uint16]
    bits: int
    """Bits of an entry, 8 to 16; the largest is `2**bits - 1`."""

    def apply(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """The table's output for each of `values`, of any shape."""
        index = np.clip(np.rint(values) - self.first, 0, len(self.entries) - 1)
        result: NDArray[np.float64] = self.entries[index.astype(np.intp)].astype(np.float64)
        return result


def read_table(item: Dataset, prefix: str = "LUT", *, signed: bool) -> LookupTable | None:
    """The table of a sequence item (or palette), `None` where it is malformed.

    `prefix` is the beginning of the keywords of descriptor and data. `signed` tells how a
    descriptor whose representation is ambiguous (US or SS) counts its first input value.
    """
    descriptor = numbers(item, f"{prefix}Descriptor")
    if isinstance(descriptor, bytes):
        descriptor = [int(value) for value in np.frombuffer(descriptor[:6], "<u2")]
    data = numbers(item, f"{prefix}Data")
    if descriptor is None or len(descriptor) != 3 or not data:
        return None
    # The number of entries is never negative, whatever the representation says; 0 means 65,536.
    count = descriptor[0] % _MAX_ENTRIES or _MAX_ENTRIES
    bits = descriptor[2]
    first = descriptor[1] % _MAX_ENTRIES
    if (signed or descriptor[1] < 0) and first >= _MAX_ENTRIES // 2:
        first -= _MAX_ENTRIES
    if not 8 <= bits <= 16:
        return None
    # Words keep the byte order they were read in; only files in big endian have the other one.
    order = ">u2" if item.original_encoding[1] is False else "<u2"
    entries = _entries(data, count, order)
    if entries is None:
        return None
    return LookupTable(first, np.minimum(entries, 2**bits - 1).astype(np.uint16), bits)


def _entries(data: list[int] | bytes, count: int, order: str) -> NDArray[np.uint16] | None:
    """`count` entries, or `None` if there are fewer."""
    if isinstance(data, bytes):
        # Entries of 8 bits may be stored one a byte or one a word (PS3.3 C.11.1.1.1).
        width = "u1" if len(data) < 2 * count else order
        usable = len(data) - len(data) % np.dtype(width).itemsize
        words = np.frombuffer(data[:usable], width).astype(np.uint16)
    else:
        words = (np.asarray(data, dtype=np.int64) % _MAX_ENTRIES).astype(np.uint16)
    return words[:count] if len(words) >= count else None
