"""Connections that were accepted: what a process serves, each on a thread of its own."""

import contextlib
import logging
import socket
import ssl
import threading
from collections.abc import Callable

from serving.dimse.association import Handler, serve_connection
from serving.dimse.config import DimseConfig
from serving.dimse.negotiation import Rejection
from serving.dimse.reception import Budget, Peer
from serving.faults import place_of

_LOG = logging.getLogger("zhuzhen.dimse")


class Connections:
    """Those of this process."""

    def __init__(self, config: DimseConfig, handler: Handler) -> None:
        """`handler` decides about associations and takes what they bring.

        Raises:
            DimseSettingError: the certificate cannot be used.
        """
        self._config = config
        self._handler = handler
        self._tls = config.tls.context() if config.tls else None
        self._budget = Budget(config.max_bytes_in_flight)
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()

    def serve(
        self, peer: socket.socket, ended: Callable[[], None], refusal: Rejection | None = None
    ) -> None:
        """Serve the connection `peer` until it ends, then call `ended`.

        With `refusal`, whoever asks for an association is answered with that.
        """
        thread = threading.Thread(
            target=self._run, args=(peer, ended, refusal), name="association", daemon=True
        )
        try:
            thread.start()
        except RuntimeError:
            peer.close()
            ended()

    def end(self) -> None:
        """End those that are open."""
        with self._lock:
            for peer in self._open:
                with contextlib.suppress(OSError):
                    peer.shutdown(socket.SHUT_RDWR)

    def _run(
        self, peer: socket.socket, ended: Callable[[], None], refusal: Rejection | None
    ) -> None:
        try:
            secured = self._secure(peer)
            if secured is None:
                return
            with self._lock:
                self._open.add(secured)
            try:
                serve_connection(secured, self._config, self._handler, self._budget, refusal)
            finally:
                with self._lock:
                    self._open.discard(secured)
        except Exception as error:  # noqa: BLE001 - one association must not end the others
            _LOG.error("An association ended by a fault of this program: %s", place_of(error))
        finally:
            ended()

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
