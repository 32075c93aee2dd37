"""From an entry in the node's file, or an address on the command line, to a destination."""

import base64
import re
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from serving.destinations.destination import Destination, DestinationSettingError
from serving.destinations.dicomweb import WebDestination, WebServer
from serving.destinations.dimse import DimseDestination, Peer
from serving.destinations.folder import FolderDestination

_ADDRESS = re.compile(r"(?P<title>[^@\\]{1,16})@(?P<host>\[[^\]]+\]|[^:@\[\]]+):(?P<port>\d{1,5})")
_KEYS = frozenset(
    {
        *("name", "to", "calling_ae_title", "timeout_s", "give_up_after_s", "bearer_token_file"),
        *("username", "password_file", "ca_file", "certificate_file", "key_file", "tls"),
        # Read where what is sent is made.
        "deidentify",
    }
)


def destination_of(entry: Mapping[str, Any], folder: Path | None = None) -> Destination:
    """Return the destination that `entry` describes.

    `to` says where: `AE_TITLE@host:port`, the address of a DICOMweb service, or `folder:PATH`.
    Relative paths are those of `folder`, by default the working folder's.

    Raises:
        DestinationSettingError: naming the entry, the key, and what was expected.
    """
    name = str(entry.get("name", entry.get("to", "destination")))
    unknown = sorted(set(entry) - _KEYS)
    if unknown:
        raise DestinationSettingError(
            f"Destination {name} has {unknown[0]!r}, which is not known; expected some of "
            f"{', '.join(sorted(_KEYS))}."
        )
    try:
        return _Reader(entry, folder or Path()).destination()
    except DestinationSettingError as error:
        raise DestinationSettingError(f"Destination {name}: {error}") from None


class _Reader:
    def __init__(self, entry: Mapping[str, Any], folder: Path) -> None:
        self._entry = entry
        self._folder = folder

    def destination(self) -> Destination:
        to = str(self._entry.get("to", ""))
        if to.startswith("folder:") and len(to) > len("folder:"):
            return FolderDestination(self._folder / to.removeprefix("folder:"))
        if to.startswith(("http://", "https://")):
            tls = self._tls() if self._has_tls_files() else None
            return WebDestination(WebServer(to, self._headers(), tls, self._timeout_s()))
        found = _ADDRESS.fullmatch(to)
        if found is None or not 0 < int(found["port"]) < 65536:
            raise DestinationSettingError(
                f"'to' is {to!r}; expected AE_TITLE@host:port, http(s)://host/path or folder:PATH."
            )
        peer = Peer(
            found["title"].strip(),
            found["host"].strip("[]"),
            int(found["port"]),
            str(self._entry.get("calling_ae_title", Peer.calling_ae_title)),
            self._tls() if self._entry.get("tls") or self._has_tls_files() else None,
            self._timeout_s(),
        )
        return DimseDestination(peer)

    def _timeout_s(self) -> float:
        value = self._entry.get("timeout_s", Peer.timeout_s)
        if not isinstance(value, int | float) or not 0 < value <= 3600:
            raise DestinationSettingError(f"timeout_s is {value!r}; expected seconds up to 3600.")
        return float(value)

    def _headers(self) -> dict[str, str]:
        if "bearer_token_file" in self._entry:
            return {"Authorization": f"Bearer {self._secret('bearer_token_file')}"}
        if "username" in self._entry:
            pair = f"{self._entry['username']}:{self._secret('password_file')}"
            return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
        return {}

    def _secret(self, key: str) -> str:
        """Secrets lie in files of their own: the node's file is shown around."""
        return self._path(key).read_text(encoding="utf-8").strip()

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
                raise DestinationSettingError(
                    "certificate_file and key_file do not belong together; expected PEM files."
                ) from None
        return context

    def _path(self, key: str) -> Path:
        path = self._folder / str(self._entry.get(key, ""))
        if key not in self._entry or not path.is_file():
            raise DestinationSettingError(f"{key} names no file that can be read.")
        return path
