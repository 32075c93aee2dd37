"""What a backup holds: its parts, their digests, and where it came from."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

NAME = "manifest.json"
FORMAT = 1
RECORDS = "records.database"
AUDIT = "audit.database"
KEYRING = "keyring.json"
ANCHOR = "audit-anchor.json"
OBJECTS = "objects/"
_PIECE_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Manifest:
    """The list of what a backup holds."""

    format: int
    created_at: str
    software_version: str
    database: str
    """`sqlite` or `postgresql`: a copy goes back into its own kind."""
    sha256: Mapping[str, str]
    """Digest of each file in the backup."""

    def as_json(self) -> bytes:
        """Return it as the last file of a backup."""
        return json.dumps(asdict(self), indent=1, sort_keys=True).encode()


def manifest_from(content: bytes) -> Manifest:
    """Return the manifest in `content`.

    Raises:
        ValueError: it is none.
    """
    try:
        found: dict[str, Any] = json.loads(content)
        return Manifest(**found)
    except TypeError as error:
        raise ValueError("not the manifest of a backup") from error


def digest_of_file(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            digest.update(piece)
    return digest.hexdigest()
