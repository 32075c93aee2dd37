"""Listens for associations and serves each on a thread of its own, a bounded number at once."""

import contextlib
import errno
import logging
import socket
import ssl
import threading
from types import TracebackType

from models.errors import ZhuzhenError
from serving.dimse.association import Handler, serve_connection
from serving.dimse.config import DimseConfig
from serving.dimse.negotiation import TOO_MANY, Rejection
from serving.dimse.reception import Budget, Peer
from serving.faults import place_of

_LOG = logging.getLogger("zhuzhen.dimse")
_BACKLOG = 128
_REFUSED_AT_ONCE = 16
"""Connections above the bound that are told so politely; more are closed without a word."""
_PAUSE_S = 0.2


class DimseListenError(ZhuzhenError):
    """The DICOM listener cannot listen where it was told to."""


class Listener:
    """The DICOM listener; a context manager that stops it at the end."""

    def __init__(self, config: DimseConfig, handler: Handler) -> None:
        self._config = config
        self._handler = handler
        self._tls = config.tls.context() if config.tls else None
        self._budget = Budget(config.max_bytes_in_flight)
        self._places = threading.Semaphore(config.max_associations)
        self._refusals = threading.Semaphore(_REFUSED_AT_ONCE)
        self._open: set[socket.socket] = set()
        self._open_lock = threading.Lock()
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
        """Take no more associations, and end those that are open."""
        self._stopping.set()
        # Closing alone does not wake a thread that waits in accept().
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        with self._open_lock:
            for peer in self._open:
                with contextlib.suppress(OSError):
                    peer.shutdown(socket.SHUT_RDWR)
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
            place, refusal = self._places, None
        elif self._refusals.acquire(blocking=False):
            place, refusal = self._refusals, TOO_MANY
        else:
            peer.close()
            return
        thread = threading.Thread(
            target=self._serve, args=(peer, place, refusal), name="association", daemon=True
        )
        try:
            thread.start()
        except RuntimeError:
            place.release()
            peer.close()

    def _serve(
        self, peer: socket.socket, place: threading.Semaphore, refusal: Rejection | None
    ) -> None:
        try:
            secured = self._secure(peer)
            if secured is None:
                return
            with self._open_lock:
                self._open.add(secured)
            try:
                serve_connection(secured, self._config, self._handler, self._budget, refusal)
            finally:
                with self._open_lock:
                    self._open.discard(secured)
        except Exception as error:  # noqa: BLE001 - one association must not end the others
            _LOG.error("An association ended by a fault of this program: %s", place_of(error))
        finally:
            place.release()

    def _secure(self, peer: socket.socket) -> socket.socket | None:
        if self._tls is None:
            return peer
        try:
            address = str(peer.getpeername()[0])
            peer.settimeout(self._config.association_timeout_s)
            return self._tls.wrap_socket(peer, server_side=True)
        except ssl.SSLCertVerificationError:
            # Expired, of another authority, not for this use: the peer is told by an alert.
            self._turn_away(peer, address, "certificate_refused")
        except (ssl.SSLError, OSError):
            self._turn_away(peer, address, "no_acceptable_tls")
        return None

    def _turn_away(self, peer: socket.socket, address: str, why: str) -> None:
        peer.close()
        _LOG.info("A connection was closed: %s", why)
        self._handler.reject(Peer("", address), why)


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
