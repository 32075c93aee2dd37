"""Listens for connections and has each served, a bounded number at once."""

import contextlib
import errno
import logging
import socket
import threading
from collections.abc import Callable
from types import TracebackType

from models.errors import ZhuzhenError
from serving.dimse.association import Handler
from serving.dimse.config import DimseConfig
from serving.dimse.connections import Connections
from serving.dimse.negotiation import TOO_MANY

_LOG = logging.getLogger("zhuzhen.dimse")
_BACKLOG = 128
_REFUSED_AT_ONCE = 16
"""Connections above the bound that are told so politely; more are closed without a word."""
_PAUSE_S = 0.2

HandOver = Callable[[socket.socket, Callable[[], None]], bool]
"""Has another process serve a connection and calls the function when it has ended; False if none
can."""


class DimseListenError(ZhuzhenError):
    """The DICOM listener cannot listen where it was told to."""


def _keep(_peer: socket.socket, _ended: Callable[[], None]) -> bool:
    return False


class Listener:
    """The DICOM listener; a context manager that stops it at the end."""

    def __init__(self, config: DimseConfig, handler: Handler, hand_over: HandOver = _keep) -> None:
        """What is not handed over is served here, with `handler`.

        Raises:
            DimseListenError: the port cannot be had.
            DimseSettingError: the certificate cannot be used.
        """
        self._hand_over = hand_over
        self._connections = Connections(config, handler)
        self._places = threading.Semaphore(config.max_associations)
        self._refusals = threading.Semaphore(_REFUSED_AT_ONCE)
        self._stopping = threading.Event()
        self._socket = _listen(config)
        self._thread = threading.Thread(target=self._accept, name="dimse", daemon=True)

    @property
    def port(self) -> int:
        """The TCP port that is listened on."""
        return int(self._socket.getsockname()[1])

    def __enter__(self) -> "Listener":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Take no more associations, and end those that are open here."""
        self._stopping.set()
        # Closing alone does not wake a thread that waits in accept().
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._connections.end()
        self._thread.join()

    def _accept(self) -> None:
        while not self._stopping.is_set():
            try:
                peer, _ = self._socket.accept()
            except OSError as error:
                if self._stopping.is_set():
                    return
                # Out of file descriptors, say: what is open goes on, and ends.
                _LOG.warning("A connection could not be accepted: %s", error.strerror)
                self._stopping.wait(_PAUSE_S)
                continue
            self._start(peer)

    def _start(self, peer: socket.socket) -> None:
        if self._places.acquire(blocking=False):
            if not self._hand_over(peer, self._places.release):
                self._connections.serve(peer, self._places.release)
        elif self._refusals.acquire(blocking=False):
            self._connections.serve(peer, self._refusals.release, TOO_MANY)
        else:
            peer.close()


def _listen(config: DimseConfig) -> socket.socket:
    try:
        return socket.create_server((config.host, config.port), backlog=_BACKLOG)
    except (OSError, OverflowError) as error:
        taken = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
        reason = "is taken by another program" if taken else f"cannot be had ({error})"
        raise DimseListenError(
            f"Port {config.port} for DICOM {reason}; expected a free port on {config.host}. "
            "Choose another one in the settings of the node."
        ) from error
