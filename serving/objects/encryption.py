"""How an object is encrypted: in segments, so that any part of it can be read alone.

    header (120 bytes)   mark, data key, salt, nonce prefix, size, seal
    segment 0..n         64 KiB of plain bytes and a tag of 16 bytes each; the last may be shorter
    note                 what its writer noted of it, if anything, and a tag of 16 bytes

The segments are the STREAM construction (Hoang, Reyhanitabar, Rogaway, Vizár: Online
Authenticated-Encryption and its Nonce-Reuse Misuse-Resistance, CRYPTO 2015, section 7) over
AES-256-GCM, as Google Tink's AES-GCM-HKDF streaming does it: a key of the object's own by
HKDF-SHA-256 from the data key and a salt; the nonce is a prefix, the segment's number and whether
it is the last. A segment cannot be changed, moved, left out or cut off unseen. The seal, an HMAC
under a second key of the object's own, ties the header to the digest of the content.
"""

import hashlib
import hmac
import secrets
import struct
from dataclasses import dataclass
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from serving.privacy import SealError
from serving.privacy.keyring import DataKey

SEGMENT_BYTES = 64 * 1024
TAG_BYTES = 16
_MARK = b"ZZOBJ\x00\x01\n"
_FIELDS = struct.Struct(">8s16s32s7sxQ")
_SEAL_BYTES = 32
_PADDING = 16
_NOTE = 0xFFFFFFFF
"""Number of the note among the segments: that of no other, for it would begin at 256 TiB."""
HEADER_BYTES = _FIELDS.size + _SEAL_BYTES + _PADDING


@dataclass(frozen=True, slots=True)
class Header:
    """What stands before the segments."""

    key_id: str
    salt: bytes
    prefix: bytes
    size: int
    """Plain bytes of the object."""

    @classmethod
    def fresh(cls, key: DataKey) -> "Header":
        """Return the header of a new object whose size is not known yet."""
        chance = secrets.token_bytes(39)
        return cls(key.key_id, chance[:32], chance[32:], 0)

    def packed(self) -> bytes:
        """Return the fields as bytes."""
        return _FIELDS.pack(_MARK, self.key_id.encode(), self.salt, self.prefix, self.size)

    def sealed(self, keys: "ObjectKeys", digest: str) -> bytes:
        """Return the whole header for content of `digest`."""
        return self.packed() + keys.seal(self.packed(), digest) + bytes(_PADDING)


class ObjectKeys:
    """The keys of one object."""

    def __init__(self, data_key: DataKey, header: Header) -> None:
        derived = HKDF(
            algorithm=hashes.SHA256(), length=64, salt=header.salt, info=b"zhuzhen-object-1"
        ).derive(data_key.secret)
        self._cipher = AESGCM(derived[:32])
        self._seal_key = derived[32:]
        self._prefix = header.prefix

    def encrypt_into(
        self,
        sealed: memoryview,
        number: int,
        plain: "bytes | bytearray | memoryview",
        *,
        last: bool,
    ) -> None:
        """Encrypt one segment into `sealed`, which is longer than `plain` by the tag."""
        self._cipher.encrypt_into(self._nonce(number, last=last), plain, None, sealed)

    def decrypt(self, number: int, sealed: bytes, *, last: bool) -> bytes:
        """Decrypt one segment.

        Raises:
            SealError: it was changed, moved or cut.
        """
        try:
            return self._cipher.decrypt(self._nonce(number, last=last), sealed, None)
        except InvalidTag:
            raise SealError(
                "A stored object was changed on disk; nothing of the changed part is given out. "
                "Restore it from the backup."
            ) from None

    def encrypt_note(self, note: bytes) -> bytes:
        """Encrypt what is noted of the object."""
        return self._cipher.encrypt(self._nonce(_NOTE, last=True), note, None)

    def decrypt_note(self, sealed: bytes) -> bytes:
        """Decrypt what was noted of the object.

        Raises:
            SealError: it was changed or cut.
        """
        return self.decrypt(_NOTE, sealed, last=True)

    def seal(self, fields: bytes, digest: str) -> bytes:
        """Return what ties the header's `fields` to the content's `digest`."""
        return hmac.digest(self._seal_key, fields + digest.encode(), hashlib.sha256)

    def _nonce(self, number: int, *, last: bool) -> bytes:
        return self._prefix + struct.pack(">IB", number, last)


def read_header(file: BinaryIO) -> tuple[Header, bytes]:
    """Return the header at the beginning of `file` and its seal.

    Raises:
        SealError: it is not the header of an object.
    """
    raw = file.read(HEADER_BYTES)
    if len(raw) != HEADER_BYTES or not raw.startswith(_MARK):
        raise SealError("A stored object does not begin as one; restore it from the backup.")
    _, key_id, salt, prefix, size = _FIELDS.unpack_from(raw)
    seal = raw[_FIELDS.size : _FIELDS.size + _SEAL_BYTES]
    return Header(key_id.decode("ascii", "replace"), salt, prefix, size), seal


def sealed_size(size: int) -> int:
    """Return the bytes of header and segments of an object of `size` bytes."""
    return HEADER_BYTES + size + segments_of(size) * TAG_BYTES


def segments_of(size: int) -> int:
    """Return how many segments an object of `size` bytes has; an empty one has one."""
    return max(1, -(-size // SEGMENT_BYTES))
