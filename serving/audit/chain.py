"""How one event is tied to the one before it.

A lane is a chain of its own that one writer at a time continues, so that many writers never wait
for each other; checkpoints (`checkpoints`) tie the lanes together.
"""

import hashlib
from dataclasses import dataclass

HASH_BYTES = hashlib.sha256().digest_size


@dataclass(frozen=True, slots=True)
class Head:
    """The last event of a lane."""

    sequence: int
    """1-based number of the event in its lane; 0 before the first."""
    hash: bytes


def genesis(lane: int) -> Head:
    """Return what the first event of `lane` is tied to."""
    return Head(0, hashlib.sha256(f"zhuzhen-audit-lane-1\n{lane}\n".encode()).digest())


def link(lane: int, sequence: int, previous: bytes, payload: bytes) -> bytes:
    """Return the SHA-256 that ties an event to its place and to all events of the lane before it.

    The parts cannot run into each other: all but the last are of a fixed form and end in a newline.
    """
    head = f"zhuzhen-audit-event-1\n{lane}\n{sequence}\n{previous.hex()}\n".encode()
    return hashlib.sha256(head + payload).digest()
