"""Protocol data units on a connection (PS3.8 section 9.3)."""

import socket
import struct
import time
from dataclasses import dataclass
from enum import IntEnum

_HEADER = struct.Struct(">BxL")
_PDV = struct.Struct(">LBB")
_ABORT = struct.Struct(">BxLxxBB")
RELEASE_RESPONSE = _HEADER.pack(6, 4) + bytes(4)
_LAST = 2
_COMMAND = 1


class PduType(IntEnum):
    """PS3.8 section 9.3.1."""

    ASSOCIATE_RQ = 1
    ASSOCIATE_AC = 2
    ASSOCIATE_RJ = 3
    DATA = 4
    RELEASE_RQ = 5
    RELEASE_RP = 6
    ABORT = 7


class AbortReason(IntEnum):
    """Why the provider aborts: PS3.8 section 9.3.8."""

    NOT_SPECIFIED = 0
    UNRECOGNIZED_PDU = 1
    UNEXPECTED_PDU = 2
    UNRECOGNIZED_PARAMETER = 4
    UNEXPECTED_PARAMETER = 5
    INVALID_PARAMETER = 6


class PeerLeft(Exception):  # noqa: N818  (nothing went wrong on this side)
    """The other side closed the connection, or fell silent for longer than it may."""


class ProtocolBroken(Exception):  # noqa: N818  (the other side's fault, answered by an abort)
    """The other side sent what the protocol does not allow here."""

    def __init__(self, what: str, reason: AbortReason = AbortReason.INVALID_PARAMETER) -> None:
        super().__init__(what)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Fragment:
    """One presentation data value (PS3.8 section 9.3.5.1)."""

    context_id: int
    is_command: bool
    is_last: bool
    data: memoryview
    """Valid until the next unit is read."""


class Connection:
    """Reads and writes whole protocol data units.

    `max_pdu` is the most bytes that a unit may have after its header, as told to the other side.
    Silence for `idle_s` seconds, or a deadline passed, raises `PeerLeft`.
    """

    def __init__(self, peer: socket.socket, *, max_pdu: int, idle_s: float) -> None:
        self._peer = peer
        self._idle_s = idle_s
        self._buffer = bytearray(max_pdu)
        self._view = memoryview(self._buffer)
        self._header = memoryview(bytearray(_HEADER.size))
        self._waits_s = 0.0
        self.deadline: float | None = None
        """Of `time.monotonic`: by then what is being received must be complete."""

    def read(self) -> tuple[int, memoryview]:
        """Return type and body of the next unit; the body is valid until the next call."""
        self._fill(self._header)
        kind, length = _HEADER.unpack(self._header)
        if not PduType.ASSOCIATE_RQ <= kind <= PduType.ABORT:
            raise ProtocolBroken("unit of unknown type", AbortReason.UNRECOGNIZED_PDU)
        if length > len(self._view):
            raise ProtocolBroken("unit longer than was agreed")
        body = self._view[:length]
        self._fill(body)
        return kind, body

    def write(self, unit: bytes) -> None:
        """Send `unit`, complete with its header."""
        try:
            self._wait_at_most(self._idle_s)
            self._peer.sendall(unit)
        except OSError as error:
            raise PeerLeft(str(error)) from None

    def _fill(self, target: memoryview) -> None:
        received = 0
        try:
            while received < len(target):
                self._wait_at_most(self._patience())
                count = self._peer.recv_into(target[received:])
                if count == 0:
                    raise PeerLeft("closed")
                received += count
        except OSError as error:
            raise PeerLeft(str(error)) from None

    def _wait_at_most(self, seconds: float) -> None:
        # Each setting is a call of the system; while there is time enough they are all the same.
        if seconds != self._waits_s:
            self._peer.settimeout(seconds)
            self._waits_s = seconds

    def _patience(self) -> float:
        if self.deadline is None:
            return self._idle_s
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise PeerLeft("too slow")
        return min(left, self._idle_s)


def fragments(body: memoryview) -> list[Fragment]:
    """Return what a data unit (P-DATA-TF) carries."""
    found: list[Fragment] = []
    position = 0
    while position < len(body):
        if position + _PDV.size > len(body):
            raise ProtocolBroken("presentation data value cut off")
        length, context_id, control = _PDV.unpack_from(body, position)
        end = position + 4 + length
        if length < 2 or end > len(body):
            raise ProtocolBroken("presentation data value of impossible length")
        data = body[position + _PDV.size : end]
        found.append(Fragment(context_id, bool(control & _COMMAND), bool(control & _LAST), data))
        position = end
    return found


def command_unit(context_id: int, command: bytes) -> bytes:
    """Return the data unit for a command, which is short and has no data set."""
    value = _PDV.pack(len(command) + 2, context_id, _COMMAND | _LAST) + command
    return _HEADER.pack(PduType.DATA, len(value)) + value


def abort_unit(reason: AbortReason) -> bytes:
    """Return an A-ABORT by the service provider."""
    return _ABORT.pack(PduType.ABORT, 4, 2, reason)
