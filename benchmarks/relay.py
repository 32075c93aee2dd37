"""A relay between a sender and a receiver, which notes when what is sent and answered passes."""

import contextlib
import socket
import threading
import time
from dataclasses import dataclass
from types import TracebackType

_PIECE_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Turn:
    """One piece of an answer; seconds of the epoch."""

    last_byte_at: float
    """When the last byte of what it answers had come."""
    answered_at: float


class Relay:
    """Hands on what comes at `port` to `target`, one connection at a time; a context manager."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        self.turns: list[Turn] = []
        """Of the last connection."""
        self._last_byte_at = 0.0
        self._thread = threading.Thread(target=self._run, name="relay", daemon=True)

    def exchanges(self) -> list[Turn]:
        """Return the answers of the last connection whole, where one came in several pieces."""
        return list({turn.last_byte_at: turn for turn in self.turns}.values())

    def __enter__(self) -> "Relay":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()

    def _run(self) -> None:
        while True:
            try:
                sender, _ = self._socket.accept()
            except OSError:
                return
            with sender, socket.create_connection(("127.0.0.1", self._target)) as node:
                for each in (sender, node):
                    each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.turns = []
                back = threading.Thread(target=self._answers, args=(node, sender), daemon=True)
                back.start()
                while piece := sender.recv(_PIECE_BYTES):
                    # Before it is handed on, or its answer might come first.
                    self._last_byte_at = time.time()
                    node.sendall(piece)
                node.shutdown(socket.SHUT_WR)
                back.join()

    def _answers(self, node: socket.socket, sender: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := node.recv(_PIECE_BYTES):
                self.turns.append(Turn(self._last_byte_at, time.time()))
                sender.sendall(piece)
