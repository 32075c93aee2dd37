"""Where the service listens, and what protects a request on its way there."""

import errno
import ipaddress
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.errors import ZhuzhenError
from serving.names import ENVIRONMENT, LOCAL_HOSTS, Names

CERTIFICATE, KEY = "ZHUZHEN_TLS_CERTIFICATE", "ZHUZHEN_TLS_KEY"


class ListenError(ZhuzhenError):
    """The service cannot listen where it was told to."""


@dataclass(frozen=True, slots=True)
class Protection:
    """What ends TLS: this process with a certificate, or a reverse proxy in front of it.

    Raises:
        ListenError: half a certificate, or a proxy without an address.
    """

    certificate: Path | None = None
    """Chain of certificates, PEM."""
    key: Path | None = None
    """Its private key, PEM."""
    proxy: str | None = None
    """Address or network of the reverse proxy; what it says of the sender is believed."""

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            raise ListenError(
                f"TLS needs both --tls-certificate and --tls-key ({CERTIFICATE}, {KEY})."
            )
        if self.proxy is not None:
            try:
                ipaddress.ip_network(self.proxy)
            except ValueError:
                raise ListenError(
                    f"The reverse proxy is {self.proxy!r}; expected its IP address or network."
                ) from None
        if self.certificate is not None:
            self._require_usable()

    @property
    def scheme(self) -> str:
        """Of the addresses that the service is reached at without the proxy."""
        return "https" if self.certificate else "http"

    def for_uvicorn(self) -> dict[str, Any]:
        """Return the settings of the server."""
        return {
            "ssl_context_factory": self._context if self.certificate else None,
            # Without a stated proxy nobody is believed about who sent a request.
            "proxy_headers": self.proxy is not None,
            "forwarded_allow_ips": self.proxy or "",
        }

    def _context(self, *_: object) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        # Older versions are broken (RFC 8996), whatever the machine's OpenSSL would take.
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        context.load_cert_chain(str(self.certificate), str(self.key))
        return context

    def _require_usable(self) -> None:
        try:
            self._context()
        except (OSError, ssl.SSLError) as error:
            raise ListenError(
                f"The certificate or its key cannot be used ({type(error).__name__}); expected two "
                "PEM files that belong together and can be read."
            ) from None


def open_listener(host: str, port: int, protection: Protection, names: Names) -> socket.socket:
    """Return a socket bound to `port` that does not listen yet.

    Raises:
        ListenError: others could read what is sent there, or the port cannot be had.
    """
    if host not in LOCAL_HOSTS:
        _require_safe(host, protection, names)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named, because asyncio sends an answer's parts without delay only on sockets that say TCP;
    # otherwise each waits 40 ms for the client's acknowledgement of the one before.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1" if host in LOCAL_HOSTS else host, port))
    except (OSError, OverflowError) as error:
        listener.close()
        taken = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
        reason = "is taken by another program" if taken else f"cannot be had ({error})"
        raise ListenError(
            f"Port {port} {reason}; expected a free port from 1 to 65535. Choose another one with "
            "--port, or 0 for any."
        ) from error
    return listener


def _require_safe(host: str, protection: Protection, names: Names) -> None:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        raise ListenError(
            f"The service was told to listen on {host!r}; expected an IP address of this machine, "
            "0.0.0.0 or :: for all of them, or 127.0.0.1 for this machine alone."
        ) from None
    if protection.certificate is None and protection.proxy is None:
        raise ListenError(
            f"On {host} others could read credentials and patients on the way. Give a certificate "
            "(--tls-certificate, --tls-key), or name the reverse proxy that ends TLS "
            "(--behind-proxy ADDRESS)."
        )
    if not names.others:
        raise ListenError(
            f"On {host} the service answers under a name: give it with --name, or in {ENVIRONMENT}."
        )
