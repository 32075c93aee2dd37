"""Where the elements of an encoded data set lie (PS3.5 section 7), and that it is whole.

A walk over the outermost elements, values untouched: it finds a data set that is cut off or broken
before it is kept, and the few elements that the index needs, in a third of a millisecond.
"""

import struct
from collections.abc import Container

ITEM = 0xFFFEE000
ITEM_END = 0xFFFEE00D
SEQUENCE_END = 0xFFFEE0DD
UNDEFINED = 0xFFFFFFFF
_LONG_VRS = frozenset(
    (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV")
)
"""Value representations with a 32-bit length (PS3.5 section 7.1.2)."""
_SHORT_VRS = frozenset(
    (b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FL", b"FD", b"IS", b"LO", b"LT", b"PN",
     b"SH", b"SL", b"SS", b"ST", b"TM", b"UI", b"UL", b"US")
)  # fmt: skip
_NOTHING = (0, 0, b"", 0)
_DEEPEST = 32
_LONGEST_WANTED = 64 * 1024
"""Bytes; no element of the index may be nearly as long (PS3.5 table 6.2-1)."""
_LAST_TAG = 0xFFFCFFFF
_ITEM_GROUP = ITEM >> 16


class BrokenStructureError(ValueError):
    """The bytes are not a complete data set in this encoding."""


class Walk:
    """A walk over one encoded data set."""

    def __init__(self, data: bytes | memoryview, *, implicit: bool, little_endian: bool) -> None:
        self._data = data
        self._implicit = implicit
        order = "<" if little_endian else ">"
        self._head = struct.Struct(order + "HH2sH")
        self._long = struct.Struct(order + "L")

    def values(self, wanted: Container[int]) -> dict[int, bytes]:
        """Walk to the end and return the values of the outermost elements that are `wanted`.

        By tag, encoded as they are; without what has an undefined length, or one that no element of
        the index may have: what waits to be indexed is kept in memory.

        Raises:
            BrokenStructureError: the data set is not well formed somewhere.
        """
        found: dict[int, bytes] = {}
        data, implicit, whole = self._data, self._implicit, len(self._data)
        head, short = self._head.unpack_from, frozenset() if implicit else _SHORT_VRS
        position, last_tag, last = 0, -1, whole - self._head.size
        while position < whole:
            # Most elements by far are of this kind; the rest takes a call.
            group, number, vr, length = head(data, position) if position <= last else _NOTHING
            if vr in short and group != _ITEM_GROUP:
                tag, start = group << 16 | number, position + 8
            else:
                tag, vr, start, length = self._header(position, implicit)
            if tag <= last_tag or tag > _LAST_TAG:
                raise BrokenStructureError("elements out of order")
            last_tag = tag
            if length == UNDEFINED:
                position = self._end(vr, start, length, 0, implicit=implicit)
                continue
            position = start + length
            if position > whole:
                raise BrokenStructureError("value longer than what is left")
            if tag in wanted and length <= _LONGEST_WANTED:
                found[tag] = bytes(data[start:position])
        return found

    def _header(self, position: int, implicit: bool) -> tuple[int, bytes | None, int, int]:
        """Return tag, representation, start and length of the value of one element."""
        try:
            group, number, vr, length = self._head.unpack_from(self._data, position)
            tag = group << 16 | number
            if implicit or group == _ITEM_GROUP:
                return tag, None, position + 8, self._long.unpack_from(self._data, position + 4)[0]
            if vr in _SHORT_VRS:
                return tag, vr, position + 8, length
            if vr in _LONG_VRS:
                return tag, vr, position + 12, self._long.unpack_from(self._data, position + 8)[0]
        except struct.error:
            raise BrokenStructureError("cut off within an element's header") from None
        raise BrokenStructureError("value representation that does not exist")

    def _end(self, vr: bytes | None, start: int, length: int, depth: int, *, implicit: bool) -> int:
        if length == UNDEFINED:
            if depth > _DEEPEST:
                raise BrokenStructureError("sequences nested too deeply")
            # Unknown content of undefined length is Implicit VR (PS3.5 section 6.2.2, note 4).
            return self._end_of_items(start, depth, implicit=implicit or vr == b"UN")
        if start + length > len(self._data):
            raise BrokenStructureError("value longer than what is left")
        return start + length

    def _end_of_items(self, position: int, depth: int, *, implicit: bool) -> int:
        while True:
            tag, _, start, length = self._header(position, True)
            if tag == SEQUENCE_END:
                return start
            if tag != ITEM:
                raise BrokenStructureError("something other than an item in a sequence")
            if length == UNDEFINED:
                position = self._end_of_item(start, depth, implicit=implicit)
            else:
                position = self._end(None, start, length, depth, implicit=implicit)

    def _end_of_item(self, position: int, depth: int, *, implicit: bool) -> int:
        while True:
            tag, vr, start, length = self._header(position, implicit)
            if tag == ITEM_END:
                return start
            if tag >> 16 == _ITEM_GROUP:
                raise BrokenStructureError("delimiter out of place")
            position = self._end(vr, start, length, depth + 1, implicit=implicit)
