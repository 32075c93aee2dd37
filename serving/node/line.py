"""What the service and a process that receives for it say to each other, over a pair of sockets."""

import contextlib
import json
import socket
import threading
from collections import deque
from collections.abc import Iterator
from enum import StrEnum
from typing import Any

_READ_BYTES = 2**16
_MOST_PASSED = 32


class Word(StrEnum):
    """What a message is about, and what else it says."""

    READY = "ready"
    """The process can serve."""
    SERVE = "serve"
    """A connection, which comes with it, is to be served: `number`."""
    ENDED = "ended"
    """It has ended: `number`."""
    ADMIT = "admit"
    """May it be an association? `question`, `source`, `address`."""
    SET_APART = "set_apart"
    """Something is to go into quarantine: `question`, `institution`, `source`, `why`, `said`."""
    ANSWER = "answer"
    """Whether it may: `question`, `allowed`, which is None if that cannot be recorded."""
    TURNED_AWAY = "turned_away"
    """Somebody was: `address`, `why`."""
    COUNTED = "counted"
    """Instances came: `way`, `outcome`, `count`."""
    WAKE = "wake"
    """A study may be complete."""


Message = dict[str, Any]


class Line:
    """One end of it; many threads may send, one reads."""

    def __init__(self, end: socket.socket) -> None:
        """Take over `end` of a pair of stream sockets of one machine (`socket.socketpair`)."""
        self._end = end
        self._sending = threading.Lock()

    def send(self, word: Word, passed: socket.socket | None = None, **said: object) -> None:
        """Send a message, and a copy of the open socket `passed`.

        Raises:
            OSError: the other end is closed.
        """
        line = json.dumps({"word": word, **said}).encode() + b"\n"
        with self._sending:
            if passed is not None:
                # The first byte takes the socket along.
                socket.send_fds(self._end, [line[:1]], [passed.fileno()])
                line = line[1:]
            self._end.sendall(line)

    def messages(self) -> Iterator[tuple[Message, "Passed"]]:
        """Yield messages, with the sockets that came along so far, until the other end closes."""
        passed = Passed()
        rest = b""
        try:
            while True:
                try:
                    read, descriptors, _, _ = socket.recv_fds(self._end, _READ_BYTES, _MOST_PASSED)
                except OSError:
                    return
                passed.add(descriptors)
                if not read:
                    return
                *lines, rest = (rest + read).split(b"\n")
                for line in lines:
                    yield json.loads(line), passed
        finally:
            passed.close()

    def close(self) -> None:
        """Let the other end know that nothing more comes, and read nothing more."""
        with contextlib.suppress(OSError):
            self._end.shutdown(socket.SHUT_RDWR)
        self._end.close()


class Passed:
    """Sockets that came, in their order."""

    def __init__(self) -> None:
        self._descriptors: deque[int] = deque()

    def add(self, descriptors: list[int]) -> None:
        """Add what came."""
        self._descriptors.extend(descriptors)

    def take(self) -> socket.socket:
        """Return the next one."""
        return socket.socket(fileno=self._descriptors.popleft())

    def close(self) -> None:
        """Close what was not taken."""
        while self._descriptors:
            self.take().close()
