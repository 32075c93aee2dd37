"""DIMSE command sets (PS3.7 section 6.3, annex E): always Implicit VR Little Endian, and short."""

import struct
from collections.abc import Mapping
from enum import IntEnum

from serving.dimse.wire import ProtocolBroken

_ELEMENT = struct.Struct("<HHL")

AFFECTED_SOP_CLASS = 0x0002
COMMAND_FIELD = 0x0100
MESSAGE_ID = 0x0110
ANSWERED_MESSAGE_ID = 0x0120
DATA_SET_TYPE = 0x0800
STATUS = 0x0900
ERROR_COMMENT = 0x0902
AFFECTED_SOP_INSTANCE = 0x1000
MOVE_ORIGINATOR = 0x1030
_NO_DATA_SET = 0x0101
_LONGEST_COMMENT = 64


class Command(IntEnum):
    """Command Field (0000,0100): PS3.7 table E.1-1."""

    C_STORE_RQ = 0x0001
    C_STORE_RSP = 0x8001
    C_ECHO_RQ = 0x0030
    C_ECHO_RSP = 0x8030
    C_CANCEL_RQ = 0x0FFF


class Status(IntEnum):
    """Status (0000,0900): PS3.7 annex C, PS3.4 table B.2-1."""

    SUCCESS = 0x0000
    OUT_OF_RESOURCES = 0xA700
    SOP_CLASS_MISMATCH = 0xA900
    CANNOT_UNDERSTAND = 0xC000
    DUPLICATE_INSTANCE = 0x0111
    NOT_AUTHORIZED = 0x0124
    UNRECOGNIZED_OPERATION = 0x0211
    SOP_CLASS_NOT_SUPPORTED = 0x0122
    PROCESSING_FAILURE = 0x0110


class CommandSet:
    """The elements of a received command by element number of group 0000."""

    def __init__(self, data: bytes) -> None:
        self._values = dict(_elements(data))

    def number(self, element: int) -> int | None:
        """Return an unsigned short, or None where it is absent or has another length."""
        value = self._values.get(element, b"")
        return int.from_bytes(value, "little") if len(value) == 2 else None

    def uid(self, element: int) -> str:
        """Return a UID or other short text without its padding, empty where it is absent."""
        return self._values.get(element, b"").decode("ascii", "replace").rstrip("\0 ")

    @property
    def has_data_set(self) -> bool:
        """Whether a data set follows (PS3.7 section 6.3.1)."""
        return self.number(DATA_SET_TYPE) != _NO_DATA_SET


def answer_to(command: CommandSet, field: int, status: int, comment: str = "") -> bytes:
    """Return the encoded response to `command`; a `comment` of the first 64 characters."""
    values: dict[int, bytes] = {
        AFFECTED_SOP_CLASS: _uid(command.uid(AFFECTED_SOP_CLASS)),
        COMMAND_FIELD: _short(field),
        ANSWERED_MESSAGE_ID: _short(command.number(MESSAGE_ID) or 0),
        DATA_SET_TYPE: _short(_NO_DATA_SET),
        STATUS: _short(status),
    }
    if comment:
        values[ERROR_COMMENT] = _even(comment[:_LONGEST_COMMENT].encode("ascii", "replace"), b" ")
    instance = command.uid(AFFECTED_SOP_INSTANCE)
    if instance:
        values[AFFECTED_SOP_INSTANCE] = _uid(instance)
    return encode_command(values)


def encode_command(values: Mapping[int, bytes]) -> bytes:
    """Encode elements of group 0000 in order, with their group length before them."""
    body = b"".join(
        _ELEMENT.pack(0, element, len(value)) + value for element, value in sorted(values.items())
    )
    return _ELEMENT.pack(0, 0, 4) + struct.pack("<L", len(body)) + body


def _elements(data: bytes) -> list[tuple[int, bytes]]:
    found = []
    position = 0
    while position < len(data):
        if position + _ELEMENT.size > len(data):
            raise ProtocolBroken("command set cut off")
        group, element, length = _ELEMENT.unpack_from(data, position)
        position += _ELEMENT.size
        if group != 0 or position + length > len(data):
            raise ProtocolBroken("command set with an element that does not belong to it")
        found.append((element, data[position : position + length]))
        position += length
    return found


def _short(value: int) -> bytes:
    return struct.pack("<H", value)


def _uid(value: str) -> bytes:
    return _even(value.encode("ascii", "replace"), b"\0")


def _even(value: bytes, padding: bytes) -> bytes:
    return value + padding if len(value) % 2 else value
