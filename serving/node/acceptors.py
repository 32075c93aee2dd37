"""Processes beside the service that receive: each has an interpreter, and so a core, of its own.

The service accepts a connection and hands it to the process that serves the fewest. Policy, audit
record and metrics stay with the service, which is asked and told over a line
(`serving.node.line`). While a process is not there, the service serves by itself.
"""

import logging
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from serving.archive import Origin
from serving.audit import AuditUnavailableError
from serving.metrics import count_instance
from serving.node.line import Line, Message, Word
from serving.node.storing import Admission
from serving.routing import Node

_LOG = logging.getLogger("zhuzhen.node")
_PAUSE_S, _LONGEST_PAUSE_S = 5.0, 300.0
"""Seconds before another process takes the place of one that ended; longer and longer, while none
comes so far that it can serve."""
_STOP_S = 15.0


class Acceptors:
    """Those of a service; a context manager that ends them."""

    def __init__(
        self,
        node: Node,
        admission: Admission,
        wake: Callable[[], None],
        left_behind: Callable[[], None],
    ) -> None:
        """`left_behind` takes up what a process that ended by itself had kept and not indexed."""
        self._node = node
        self._admission = admission
        self._wake = wake
        self._left_behind = left_behind
        self._stopping = threading.Event()
        self._changed = threading.Lock()
        self._there: list[_Acceptor] = []
        count = node.listener.processes
        # One alone would do nothing that the service cannot do itself.
        self._threads = [
            threading.Thread(target=self._keep_one, name="acceptor", daemon=True)
            for _ in range(count if count > 1 else 0)
        ]

    def __enter__(self) -> "Acceptors":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopping.set()
        with self._changed:
            for acceptor in self._there:
                acceptor.stop()
        for thread in self._threads:
            thread.join()

    def hand_over(self, peer: socket.socket, ended: Callable[[], None]) -> bool:
        """Have a process serve the connection `peer`; see `serving.dimse.listener.HandOver`."""
        with self._changed:
            ready = [acceptor for acceptor in self._there if acceptor.is_ready]
            if not ready:
                return False
            return min(ready, key=lambda acceptor: acceptor.serves).take(peer, ended)

    def _keep_one(self) -> None:
        """Have one process there until the service stops."""
        pause_s = _PAUSE_S
        while not self._stopping.is_set():
            try:
                was_ready = self._run(_Acceptor(self._hear))
            except OSError as error:
                _LOG.error("A process that receives cannot be started: %s", error.strerror)
                was_ready = False
            pause_s = _PAUSE_S if was_ready else min(2 * pause_s, _LONGEST_PAUSE_S)
            self._stopping.wait(pause_s)

    def _run(self, acceptor: "_Acceptor") -> bool:
        """Hear a process until it ends; return whether it could serve."""
        with self._changed:
            self._there.append(acceptor)
            if self._stopping.is_set():
                acceptor.stop()
        try:
            acceptor.listen()
        finally:
            was_ready = acceptor.is_ready
            with self._changed:
                self._there.remove(acceptor)
            status = acceptor.end()
        if not self._stopping.is_set():
            _LOG.error(
                "A process that receives ended (status %d); what it was receiving has to be sent "
                "again. Another one takes its place.",
                status,
            )
            self._left_behind()
        return was_ready

    def _hear(self, line: Line, message: Message) -> None:
        """Do what a process asks for."""
        word = message["word"]
        if word in (Word.ADMIT, Word.SET_APART):
            try:
                allowed = self._answer(message)
            except AuditUnavailableError:
                allowed = None
            line.send(Word.ANSWER, question=message["question"], allowed=allowed)
        elif word == Word.TURNED_AWAY:
            try:
                self._admission.turn_away(message["address"], message["why"])
            except AuditUnavailableError:
                # Nothing was opened or done; the caller is told so already.
                _LOG.error("A rejected association could not be recorded (%s)", message["why"])
        elif word == Word.COUNTED:
            count_instance(message["way"], message["outcome"], message["count"])
        elif word == Word.WAKE:
            self._wake()

    def _answer(self, message: Message) -> bool | None:
        """Return whether something may be done, and is on record.

        Raises:
            AuditUnavailableError: it cannot be recorded.
        """
        if message["word"] == Word.SET_APART:
            origin = Origin(message["institution"], message["source"])
            self._admission.set_apart(origin, message["why"], message["said"])
            return True
        source = self._node.source_of(message["source"])
        return source is not None and self._admission.admit(source, message["address"])


def _environment() -> dict[str, str]:
    """Return an environment in which these packages are found first.

    BentoML finds those of a Bento, which is served from any folder, by means of its own.
    """
    others = os.environ.get("PYTHONPATH")
    root = str(Path(__file__).parents[2])
    return {**os.environ, "PYTHONPATH": os.pathsep.join((root, *([others] if others else [])))}


class _Acceptor:
    """One process, as the service sees it."""

    def __init__(self, hear: Callable[[Line, Message], None]) -> None:
        """Start it.

        Raises:
            OSError: there is no room for another process.
        """
        self._hear = hear
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "serving.node.acceptor", str(theirs.fileno())],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    pass_fds=[theirs.fileno()],
                    env=_environment(),
                )
            except OSError:
                ours.close()
                raise
        self._line = Line(ours)
        self._served: dict[int, Callable[[], None]] = {}
        self._last = 0
        self.is_ready = False

    @property
    def serves(self) -> int:
        """How many connections it has."""
        return len(self._served)

    def take(self, peer: socket.socket, ended: Callable[[], None]) -> bool:
        """Hand it a connection; False if it is not there any more."""
        self._last += 1
        number = self._last
        self._served[number] = ended
        try:
            self._line.send(Word.SERVE, peer, number=number)
        except OSError:
            # Unless it was heard meanwhile that the process ended, and with it the connection.
            return self._served.pop(number, None) is None
        peer.close()
        return True

    def listen(self) -> None:
        """Hear it until it ends."""
        for message, _ in self._line.messages():
            if message["word"] == Word.READY:
                self.is_ready = True
                _LOG.info("A process beside the service receives (%d)", self._process.pid)
            elif message["word"] == Word.ENDED:
                self._served.pop(message["number"])()
            else:
                try:
                    self._hear(self._line, message)
                except OSError:
                    return

    def stop(self) -> None:
        """Have it end what it serves, and itself."""
        self.is_ready = False
        self._line.close()

    def end(self) -> int:
        """Wait until it has ended, and let go what it served; return its exit status."""
        self.stop()
        try:
            status = self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        while self._served:
            self._served.popitem()[1]()
        return status
