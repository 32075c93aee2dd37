"""Huffman codes of JPEG, and the walk along a bit stream (ISO/IEC 10918-1 annexes C and F).

A code and the bits that follow it have a length that depends on the code alone. So that length
is looked up for every bit position at once; the walk from symbol to symbol is then one addition
each, and the symbols' values are again worked out all at once.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.errors import UnreadableImageError

_WINDOW_BITS = 16
"""The longest code."""
_LARGEST_CATEGORY = 16
"""Table H.2; the differences of category 16 are 32,768 and have no further bits."""
_INVALID_STEP = 255
"""Step where no code begins. The walk goes on, and the symbol is refused afterwards."""
_CHUNK_BYTES = 1 << 18
"""Bytes walked at a time; each takes about 100 bytes of memory meanwhile."""
_MARGIN_BYTES = 4 * _INVALID_STEP // 8 + 8
"""A group of up to four symbols may reach beyond the chunk it begins in."""


@dataclass(frozen=True, slots=True)
class HuffmanTable:
    """Codes by the 16 bits that begin at a position, each array of shape (65536,)."""

    lengths: NDArray[np.uint8]
    """Bits of the code; 0 where no code begins with these bits."""
    categories: NDArray[np.uint8]
    """Bits of the difference that follows."""
    steps: NDArray[np.uint8]
    """Bits to the next symbol."""


def build_table(counts: bytes, symbols: bytes) -> HuffmanTable:
    """The table of a DHT segment: number of codes of 1 to 16 bits, and their symbols.

    Raises `UnreadableImageError` where the codes do not fit.
    """
    size = 1 << _WINDOW_BITS
    lengths, categories = np.zeros(size, np.uint8), np.zeros(size, np.uint8)
    position, index = 0, 0
    for length, count in enumerate(counts, start=1):
        span = 1 << (_WINDOW_BITS - length)
        for symbol in symbols[index : index + count]:
            if position + span > size or symbol > _LARGEST_CATEGORY:
                raise broken("a Huffman table is malformed")
            lengths[position : position + span] = length
            categories[position : position + span] = symbol
            position += span
        index += count
    extra = np.where(categories == _LARGEST_CATEGORY, 0, categories)
    steps = np.where(lengths == 0, _INVALID_STEP, lengths + extra).astype(np.uint8)
    return HuffmanTable(lengths, categories, steps)


def read_differences(data: bytes, tables: list[HuffmanTable], count: int) -> NDArray[np.int32]:
    """The first `count` differences in `data`, coded by each of `tables` in turn; shape (count,).

    `data` has no stuffed bytes and no markers; `count` is a multiple of the number of tables.
    Raises `UnreadableImageError` where there are fewer, or a code is not in its table.
    """
    differences = np.empty(count, dtype=np.int32)
    done, start_bit = 0, 0
    while done < count:
        first_byte = start_bit >> 3
        if first_byte >= len(data):
            raise broken("its data end before its pixels")
        chunk = _Chunk(data, first_byte)
        positions, end_bit = chunk.walk(start_bit & 7, tables)
        positions = positions[: count - done]
        for index, table in enumerate(tables):
            found = chunk.values(positions[index :: len(tables)], table)
            differences[done + index : done + len(positions) : len(tables)] = found
        done += len(positions)
        start_bit = 8 * first_byte + end_bit
        last_bit = 8 * first_byte + int(positions[-1])
    if last_bit >= 8 * len(data):
        raise broken("its data end before its pixels")
    return differences


class _Chunk:
    """Some bytes of a bit stream, with the bits that begin at each position."""

    def __init__(self, data: bytes, first_byte: int) -> None:
        piece = data[first_byte : first_byte + _CHUNK_BYTES]
        margin = data[first_byte + len(piece) : first_byte + len(piece) + _MARGIN_BYTES]
        self._bits = 8 * len(piece)
        padded = piece + margin.ljust(_MARGIN_BYTES, b"\0")
        self._bytes = np.frombuffer(padded, np.uint8)

    def walk(self, start: int, tables: list[HuffmanTable]) -> tuple[NDArray[np.intp], int]:
        """Positions of the symbols from bit `start`, and of the first one beyond the chunk."""
        windows = self._windows()
        distinct = {id(table): table.steps[windows].tobytes() for table in tables}
        cycle = [distinct[id(table)] for table in tables]
        marks = bytearray(len(windows))
        position, end = start, self._bits
        if len(cycle) == 1:
            steps = cycle[0]
            while position < end:
                marks[position] = 1
                position += steps[position]
        else:
            while position < end:
                for steps in cycle:
                    marks[position] = 1
                    position += steps[position]
        return np.flatnonzero(np.frombuffer(marks, np.uint8)), position

    def _windows(self) -> NDArray[np.uint16]:
        """The 16 bits that begin at each bit, for all of the chunk and most of its margin."""
        octets = self._bytes.astype(np.uint32)
        triples = octets[:-2] << 16 | octets[1:-1] << 8 | octets[2:]
        shifts = np.arange(8, 0, -1, dtype=np.uint32)
        return (triples[:, np.newaxis] >> shifts).astype(np.uint16).ravel()

    def values(self, positions: NDArray[np.intp], table: HuffmanTable) -> NDArray[np.int64]:
        """The differences of the symbols at `positions` (F.2.2.1, H.1.2.2)."""
        octet = positions >> 3
        word = np.zeros(len(positions), dtype=np.int64)
        for offset in range(5):
            word = word << 8 | self._bytes[octet + offset]
        free = 40 - (positions & 7)
        window = (word >> (free - _WINDOW_BITS)) & 0xFFFF
        lengths = table.lengths[window].astype(np.int64)
        if not lengths.all():
            raise broken("a Huffman code is not in its table")
        category = table.categories[window].astype(np.int64)
        extra = np.where(category == _LARGEST_CATEGORY, 0, category)
        value = (word >> (free - lengths - extra)) & ((1 << extra) - 1)
        negative = value < (1 << extra) >> 1
        value = np.where(negative, value - (1 << extra) + 1, value)
        return np.where(category == _LARGEST_CATEGORY, 32_768, value)


def broken(reason: str) -> UnreadableImageError:
    """The error of a JPEG Lossless image that cannot be decoded."""
    return UnreadableImageError(
        f"The JPEG Lossless pixels cannot be decoded: {reason}. Send the image again from the "
        "modality or archive.",
        "JPEG 无损压缩的像素数据无法解码：数据被截断或已损坏；请从设备或归档系统重新发送",
    )
