"""What an operator may set about the DICOM listener."""

import ipaddress
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from models.errors import ZhuzhenError
from serving.settings import usable_cores

_LONGEST_AE_TITLE = 16
_MOST_PROCESSES = 4
"""By default: what more would bring, no disk takes."""
CIPHERS = "@SECLEVEL=2:ECDHE+AESGCM:ECDHE+CHACHA20"
"""Of TLS 1.2, in OpenSSL's words: what RFC 9325, section 4.2, recommends, and ChaCha20 (RFC 7905).
Those of TLS 1.3 are all of this kind. Level 2 asks for RSA keys of 2048 bits."""


class DimseSettingError(ZhuzhenError, ValueError):
    """A setting of the DICOM listener has a value that cannot be used."""


@dataclass(frozen=True)
class Caller:
    """Who may open an association: a calling AE title, and from where."""

    ae_title: str
    addresses: tuple[str, ...] = ()
    """Addresses or networks such as `10.1.0.0/16`; empty: from anywhere that can connect."""
    certificate_names: tuple[str, ...] = ()
    """Names of which its certificate must have one; empty: any certificate that is let in."""

    def __post_init__(self) -> None:
        _check_ae_title(self.ae_title)
        try:
            _ = self._networks
        except ValueError as error:
            raise DimseSettingError(
                f"The addresses of source {self.ae_title} hold one that cannot be read ({error}); "
                "expected addresses or networks, such as 10.1.2.3 or 10.1.0.0/16."
            ) from None

    @cached_property
    def _networks(self) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
        return tuple(ipaddress.ip_network(address) for address in self.addresses)

    def calls_from(self, address: str) -> bool:
        """Whether `address` is one of this caller's."""
        if not self._networks:
            return True
        found = ipaddress.ip_address(address)
        if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped:
            found = found.ipv4_mapped
        return any(found in network for network in self._networks)


@dataclass(frozen=True, slots=True)
class Tls:
    """Certificate of the listener (PS3.15 B.12: BCP 195 RFC 8996, 9325 TLS)."""

    certificate: Path
    key: Path
    client_authorities: Path | None = None
    """Certificates of the authorities whose clients are let in; others are not, where it is set."""

    def context(self) -> ssl.SSLContext:
        """Return what connections are wrapped with.

        Raises:
            DimseSettingError: a file cannot be read or does not fit.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(CIPHERS)
        try:
            context.load_cert_chain(self.certificate, self.key)
            if self.client_authorities is not None:
                context.load_verify_locations(self.client_authorities)
                context.verify_mode = ssl.CERT_REQUIRED
        except (OSError, ssl.SSLError) as error:
            raise DimseSettingError(
                f"The TLS certificate or key of the DICOM listener cannot be used ({error}); "
                "expected PEM files that belong together."
            ) from None
        return context


@dataclass(frozen=True, slots=True)
class DimseConfig:
    """Settings of the DICOM listener."""

    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = 11112
    """TCP port; 0 takes a free one."""
    ae_title: str = "ZHUZHEN"
    """Our own; an association that calls another one is rejected."""
    callers: tuple[Caller, ...] = ()
    """Who is let in; nobody, where it is empty."""
    tls: Tls | None = None
    max_associations: int = 32
    """At the same time; more are told to come back later."""
    processes: int = field(default_factory=lambda: min(usable_cores(), _MOST_PROCESSES))
    """That receive beside the service; with 1 the service does so itself."""
    max_pdu_bytes: int = 256 * 1024
    """Longest data unit that senders are allowed. Each association holds as much memory."""
    max_instance_bytes: int = 512 * 2**20
    """Longest data set; a longer one is refused with status A700."""
    max_bytes_in_flight: int = 2**30
    """Of all data sets that a process receives, together; above it, status A700."""
    association_timeout_s: float = 10.0
    """Within which an association must have been asked for (ARTIM, PS3.8 section 9.1.5)."""
    idle_timeout_s: float = 60.0
    """Silence after which the listener gives an association up."""
    message_timeout_s: float = 600.0
    """Within which a data set that has begun must have arrived."""

    def __post_init__(self) -> None:
        _check_ae_title(self.ae_title)
        asks = any(caller.certificate_names for caller in self.callers)
        if asks and (self.tls is None or self.tls.client_authorities is None):
            raise DimseSettingError(
                "A source has certificate_names, but nobody is asked for a certificate; set tls "
                "with client_authorities."
            )
        if self.max_associations < 1:
            raise DimseSettingError(
                f"At most {self.max_associations} associations are allowed; expected 1 or more."
            )
        if self.processes < 1:
            raise DimseSettingError(
                f"{self.processes} processes are to receive; expected 1 or more."
            )
        if not 4096 <= self.max_pdu_bytes <= 16 * 2**20:
            raise DimseSettingError(
                f"The longest data unit has {self.max_pdu_bytes} bytes; expected 4096 to 16777216."
            )


def _check_ae_title(title: str) -> None:
    printable = title.isascii() and title.isprintable() and "\\" not in title
    if not title.strip() or not printable or len(title) > _LONGEST_AE_TITLE:
        raise DimseSettingError(
            f"{title!r} is not an AE title; expected 1 to {_LONGEST_AE_TITLE} printable ASCII "
            "characters without backslash (PS3.5, VR AE)."
        )


def names_of(certificate: Mapping[str, Any] | None) -> frozenset[str]:
    """Return the names that a verified certificate is for, in lower case: DNS names, common name.

    `certificate` is as `ssl.SSLSocket.getpeercert` gives it.
    """
    found = certificate or {}
    alternative = [name for kind, name in found.get("subjectAltName", ()) if kind == "DNS"]
    subject = [pair for part in found.get("subject", ()) for pair in part]
    common = [name for kind, name in subject if kind == "commonName"]
    return frozenset(name.lower() for name in (*alternative, *common))
