"""What a backup holds: its parts, their digests, where it came from, and who vouches for it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from serving.privacy import Keyring, SecretName

NAME = "manifest.json"
SEAL = "manifest.seal"
FORMAT = 2
RECORDS = "records.database"
AUDIT = "audit.database"
KEYRING = "keyring.json"
ANCHOR = "audit-anchor.json"
OBJECTS = "objects/"
_PURPOSE = b"zhuzhen-backup-manifest-2\n"
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


def seal(content: bytes, keyring: Keyring) -> bytes:
    """Return the signature of a manifest's `content`, with the key that signs the audit record.

    Digests show what was damaged. Only a holder of the master key can make this, so that whoever
    can write to where backups are kept can plant nothing in one.
    """
    return _key(keyring).sign(_PURPOSE + content)


def is_sealed(content: bytes, signature: bytes, keyring: Keyring) -> bool:
    """Whether `signature` is the one of the installation that `keyring` belongs to."""
    try:
        _key(keyring).public_key().verify(signature, _PURPOSE + content)
    except InvalidSignature:
        return False
    return True


def _key(keyring: Keyring) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(keyring.secret(SecretName.AUDIT_SIGNING))


def digest_of_file(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            digest.update(piece)
    return digest.hexdigest()
