"""Protocol data units on a connection (PS3.8 section 9.3)."""

import socket
import ssl
import struct
import time
from dataclasses import dataclass
from enum import IntEnum

_HEADER = struct.Struct(">BxL")
_PDV = struct.Struct(">LBB")
_ABORT = struct.Struct(">BxLxxBB")
RELEASE_RESPONSE = _HEADER.pack(6, 4) + bytes(4)
_SHORTEST = 10
"""Bytes of the shortest unit, with its header."""
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


@dataclass(slots=True)
class Value:
    """The head of a presentation data value (PS3.8 section 9.3.5.1)."""

    context_id: int
    is_command: bool
    is_last: bool
    length: int
    """Bytes of the fragment that follows."""


class Connection:
    """Reads and writes protocol data units.

    What comes is read to where it is to lie, by as few calls of the system as it takes: each lets
    other threads run, and waits for them.

    `max_pdu` is the most bytes that a unit may have after its header, as told to the other side.
    Silence for `idle_s` seconds, or a deadline passed, raises `PeerLeft`.
    """

    def __init__(self, peer: socket.socket, *, max_pdu: int, idle_s: float) -> None:
        self._peer = peer
        self._max_pdu = max_pdu
        self._idle_s = idle_s
        self._head = memoryview(bytearray(_HEADER.size + _PDV.size))
        self._first_value = self._head[_HEADER.size :]
        self._has_first_value = False
        self._left = 0
        """Bytes of the unit that have not been read."""
        self._waits_s = 0.0
        # TLS reads a record at a time, and waits as Python does.
        self._is_plain = not isinstance(peer, ssl.SSLSocket)
        self._flags = socket.MSG_WAITALL if self._is_plain else 0
        if self._is_plain:
            peer.settimeout(None)
        self.deadline: float | None = None
        """Of `time.monotonic`: by then what is being received must be complete."""

    def begin(self) -> tuple[int, int]:
        """Read the head of the next unit; return its type and the bytes of its body.

        The body is to be read by `body` or, of data, by `next_value` and `fill`.
        """
        # No unit is shorter than ten bytes; those of data have the head of a value next.
        got = self._receive(self._head, at_least=_SHORTEST)
        kind, length = _HEADER.unpack_from(self._head)
        if not PduType.ASSOCIATE_RQ <= kind <= PduType.ABORT:
            raise ProtocolBroken("unit of unknown type", AbortReason.UNRECOGNIZED_PDU)
        if length > self._max_pdu:
            raise ProtocolBroken("unit longer than was agreed")
        if length < _SHORTEST - _HEADER.size:
            raise ProtocolBroken("unit shorter than any")
        self._left = length
        self._has_first_value = kind == PduType.DATA
        missing = self._head[got : _HEADER.size + length]
        if missing:
            self._receive(missing)
        return kind, length

    def body(self) -> bytes:
        """Return the body of the unit that has begun, which is not one of data."""
        read = min(self._left, _PDV.size)
        rest = bytearray(self._left - read)
        self._receive(memoryview(rest))
        self._left = 0
        return bytes(self._first_value[:read]) + rest

    def next_value(self) -> Value | None:
        """Read the head of the next value of a unit of data, None at its end; see `fill`."""
        if not self._left:
            return None
        if self._left < _PDV.size:
            raise ProtocolBroken("presentation data value cut off")
        if not self._has_first_value:
            self._receive(self._first_value)
        self._has_first_value = False
        length, context_id, control = _PDV.unpack_from(self._first_value)
        if length < 2 or length + 4 > self._left:
            raise ProtocolBroken("presentation data value of impossible length")
        self._left -= length + 4
        return Value(context_id, bool(control & _COMMAND), bool(control & _LAST), length - 2)

    def fill(self, target: memoryview) -> None:
        """Read the fragment of a value, into `target` of its length."""
        self._receive(target)

    def skip(self, length: int) -> None:
        """Read the fragment of a value and forget it."""
        self._receive(memoryview(bytearray(length)))

    def write(self, unit: bytes) -> None:
        """Send `unit`, complete with its header."""
        try:
            self._wait_at_most(self._idle_s)
            self._peer.sendall(unit)
        except OSError as error:
            raise PeerLeft(str(error)) from None

    def _receive(self, target: memoryview, at_least: int | None = None) -> int:
        """Read into `target`, all of it by default; return how many bytes."""
        wanted = len(target) if at_least is None else at_least
        flags = self._flags if at_least is None else 0
        received = 0
        try:
            while received < wanted:
                self._wait_at_most(self._patience())
                rest = target[received:] if received else target
                count = self._peer.recv_into(rest, len(rest), flags)
                if count == 0:
                    raise PeerLeft("closed")
                received += count
        except BlockingIOError:
            raise PeerLeft("silent") from None
        except OSError as error:
            raise PeerLeft(str(error)) from None
        return received

    def _wait_at_most(self, seconds: float) -> None:
        # Each setting is a call of the system; while there is time enough they are all the same.
        if seconds == self._waits_s:
            return
        if self._is_plain:
            # The system itself waits: Python would ask it first whether something is there.
            limit = struct.pack("@ll", int(seconds), int(seconds % 1 * 1e6) or 1)
            self._peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
            self._peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
        else:
            self._peer.settimeout(seconds)
        self._waits_s = seconds

    def _patience(self) -> float:
        if self.deadline is None:
            return self._idle_s
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise PeerLeft("too slow")
        return min(left, self._idle_s)


def command_unit(context_id: int, command: bytes) -> bytes:
    """Return the data unit for a command, which is short and has no data set."""
    value = _PDV.pack(len(command) + 2, context_id, _COMMAND | _LAST) + command
    return _HEADER.pack(PduType.DATA, len(value)) + value


def abort_unit(reason: AbortReason) -> bytes:
    """Return an A-ABORT by the service provider."""
    return _ABORT.pack(PduType.ABORT, 4, 2, reason)
