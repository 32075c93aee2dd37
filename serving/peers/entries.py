"""From an entry in the node's file, or an address on the command line, to a peer."""

import base64
import os
import re
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from serving.peers.dimse import Peer
from serving.peers.errors import PeerSettingError
from serving.peers.web import WebServer

_ADDRESS = re.compile(r"(?P<title>[^@\\]{1,16})@(?P<host>\[[^\]]+\]|[^:@\[\]]+):(?P<port>\d{1,5})")
PEER_KEYS = frozenset(
    {
        *("calling_ae_title", "timeout_s", "tls", "ca_file", "certificate_file", "key_file"),
        *("bearer_token_file", "bearer_token_env", "username", "password_file", "password_env"),
    }
)
"""What an entry may say of a peer beside its address."""


def peer_of(address: str, entry: Mapping[str, Any], folder: Path) -> Peer | WebServer:
    """Return the peer at `address`: `AE_TITLE@host:port`, or the base of a DICOMweb service.

    Relative paths in `entry` are those of `folder`.

    Raises:
        PeerSettingError: naming the key, and what was expected.
    """
    return _Reader(entry, folder).peer(address)


class _Reader:
    def __init__(self, entry: Mapping[str, Any], folder: Path) -> None:
        self._entry = entry
        self._folder = folder

    def peer(self, address: str) -> Peer | WebServer:
        if address.startswith(("http://", "https://")):
            tls = self._tls() if self._has_tls_files() else None
            return WebServer(address, self._headers(), tls, self._timeout_s())
        found = _ADDRESS.fullmatch(address)
        if found is None or not 0 < int(found["port"]) < 65536:
            raise PeerSettingError(
                f"the address is {address!r}; expected AE_TITLE@host:port or http(s)://host/path."
            )
        return Peer(
            found["title"].strip(),
            found["host"].strip("[]"),
            int(found["port"]),
            str(self._entry.get("calling_ae_title", Peer.calling_ae_title)),
            self._tls() if self._entry.get("tls") or self._has_tls_files() else None,
            self._timeout_s(),
        )

    def _timeout_s(self) -> float:
        value = self._entry.get("timeout_s", Peer.timeout_s)
        if not isinstance(value, int | float) or not 0 < value <= 3600:
            raise PeerSettingError(f"timeout_s is {value!r}; expected seconds up to 3600.")
        return float(value)

    def _headers(self) -> dict[str, str]:
        token = self._secret("bearer_token")
        if token is not None:
            return {"Authorization": f"Bearer {token}"}
        if "username" in self._entry:
            password = self._secret("password")
            if password is None:
                raise PeerSettingError("username needs password_file or password_env.")
            pair = f"{self._entry['username']}:{password}"
            return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
        return {}

    def _secret(self, key: str) -> str | None:
        """Secrets lie in files or the environment: the node's file is shown around."""
        variable = self._entry.get(f"{key}_env")
        if variable is not None:
            value = os.environ.get(str(variable))
            if not value:
                raise PeerSettingError(f"{key}_env names {variable}, which is not set.")
            return value
        if f"{key}_file" in self._entry:
            return self._path(f"{key}_file").read_text(encoding="utf-8").strip()
        return None

    def _has_tls_files(self) -> bool:
        return bool({"ca_file", "certificate_file", "key_file"} & set(self._entry))

    def _tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context(
            cafile=str(self._path("ca_file")) if "ca_file" in self._entry else None
        )
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if "certificate_file" in self._entry:
            try:
                context.load_cert_chain(self._path("certificate_file"), self._path("key_file"))
            except ssl.SSLError:
                raise PeerSettingError(
                    "certificate_file and key_file do not belong together; expected PEM files."
                ) from None
        return context

    def _path(self, key: str) -> Path:
        path = self._folder / str(self._entry.get(key, ""))
        if key not in self._entry or not path.is_file():
            raise PeerSettingError(f"{key} names no file that can be read.")
        return path
