"""Signed statements of how far every lane had come.

A chain of hashes alone shows nothing to somebody who can rewrite all of it, nor that its end was
cut off. A checkpoint signs the heads of all lanes and the checkpoint before it with Ed25519
(RFC 8032); the last one is also written to an anchor file outside the database, and told to the
log, so that it can be kept where the database's administrator cannot reach.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from models.errors import ZhuzhenError
from serving.audit.chain import Head
from serving.audit.events import canonical_json

_KEY_ID_LENGTH = 16
_FIRST = hashlib.sha256(b"zhuzhen-audit-checkpoints-1\n").hexdigest()


class CheckpointError(ZhuzhenError, ValueError):
    """A checkpoint is not one, or is not signed by a known key."""


@dataclass(frozen=True, slots=True)
class Tombstone:
    """The beginning of a lane that was deleted when its retention was over."""

    through: Head
    """The last event that was deleted."""
    kept_digest: str
    """`digest_of_kept` of the events before it that a legal hold keeps."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How far every lane had come."""

    number: int
    """1-based."""
    made_at: str
    heads: Mapping[int, Head]
    previous: str
    """Hexadecimal digest of the checkpoint before it."""
    tombstones: Mapping[int, Tombstone] = field(default_factory=dict)

    def canonical(self) -> bytes:
        """Return what is signed."""
        found = {
            "number": self.number,
            "made_at": self.made_at,
            "previous": self.previous,
            "heads": {str(lane): _head_json(head) for lane, head in self.heads.items()},
            "tombstones": {
                str(lane): {"through": _head_json(stone.through), "kept": stone.kept_digest}
                for lane, stone in self.tombstones.items()
            },
        }
        return canonical_json(found)


@dataclass(frozen=True, slots=True)
class SignedCheckpoint:
    """A checkpoint as it is stored."""

    payload: bytes
    key_id: str
    signature: bytes

    @property
    def digest(self) -> str:
        """What the next checkpoint names as the one before it."""
        return hashlib.sha256(self.payload).hexdigest()

    def opened(self) -> Checkpoint:
        """Return what was signed, without looking at the signature.

        Raises:
            CheckpointError: the payload is no checkpoint.
        """
        try:
            found = json.loads(self.payload)
            return Checkpoint(
                int(found["number"]),
                str(found["made_at"]),
                {int(lane): _head_from(head) for lane, head in found["heads"].items()},
                str(found["previous"]),
                {int(lane): _stone_from(stone) for lane, stone in found["tombstones"].items()},
            )
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise CheckpointError("A stored checkpoint does not have the form of one.") from error

    def require_signature(self, keys: Mapping[str, Ed25519PublicKey]) -> None:
        """Check the signature against the trusted `keys`.

        Raises:
            CheckpointError: no trusted key made the signature.
        """
        key = keys.get(self.key_id)
        if key is None:
            raise CheckpointError("A checkpoint is signed with a key that is not trusted.")
        try:
            key.verify(self.signature, self.payload)
        except InvalidSignature:
            raise CheckpointError("The signature of a checkpoint does not fit it.") from None

    def line(self) -> str:
        """Return the checkpoint as one line of an anchor file."""
        return json.dumps(
            {
                "checkpoint": self.payload.decode(),
                "key_id": self.key_id,
                "signature": base64.b64encode(self.signature).decode(),
            }
        )


def checkpoint_from_line(line: str) -> SignedCheckpoint:
    """Return the checkpoint of one line of an anchor file.

    Raises:
        CheckpointError: the line is none.
    """
    try:
        found = json.loads(line)
        signature = base64.b64decode(found["signature"], validate=True)
        return SignedCheckpoint(found["checkpoint"].encode(), found["key_id"], signature)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError("A line of the anchor file is not a checkpoint.") from error


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs checkpoints."""

    key: Ed25519PrivateKey
    key_id: str = field(init=False)
    """Name of the public key, by its digest."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "key_id", key_id_of(self.key.public_key()))

    def sign_head(self, lane: int, head: Head) -> bytes:
        """Return the signature of a transaction's last event, with the key's name before it."""
        return self.key_id.encode() + self.key.sign(_head_statement(lane, head))

    def sign(self, checkpoint: Checkpoint) -> SignedCheckpoint:
        """Return `checkpoint` signed."""
        payload = checkpoint.canonical()
        return SignedCheckpoint(payload, self.key_id, self.key.sign(payload))


def is_signed_head(
    signature: bytes | None, lane: int, head: Head, keys: Mapping[str, Ed25519PublicKey]
) -> bool:
    """Whether a trusted key made `signature` for the last event of a transaction."""
    if signature is None:
        return False
    key = keys.get(signature[:_KEY_ID_LENGTH].decode("ascii", "replace"))
    if key is None:
        return False
    try:
        key.verify(signature[_KEY_ID_LENGTH:], _head_statement(lane, head))
    except InvalidSignature:
        return False
    return True


def digest_of_kept(kept: Mapping[int, bytes]) -> str:
    """Return one digest for the sequence and hash of all events that are kept."""
    listed = "".join(f"{number} {kept[number].hex()}\n" for number in sorted(kept))
    return hashlib.sha256(listed.encode()).hexdigest()


def key_id_of(key: Ed25519PublicKey) -> str:
    """Return the first 16 hexadecimal digits of the SHA-256 of a public key's 32 bytes."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()[:_KEY_ID_LENGTH]


def first_previous() -> str:
    """Return what the first checkpoint names as the one before it."""
    return _FIRST


def _head_statement(lane: int, head: Head) -> bytes:
    return f"zhuzhen-audit-head-1\n{lane}\n{head.sequence}\n{head.hash.hex()}\n".encode()


def _head_json(head: Head) -> list[Any]:
    return [head.sequence, head.hash.hex()]


def _head_from(found: list[Any]) -> Head:
    return Head(int(found[0]), bytes.fromhex(found[1]))


def _stone_from(found: dict[str, Any]) -> Tombstone:
    return Tombstone(_head_from(found["through"]), str(found["kept"]))
