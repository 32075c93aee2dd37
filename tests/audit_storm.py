"""Writes audit events without end and says which are recorded: to be killed.

`python -m tests.audit_storm URL ANCHOR KEY`: the address of the record, the file of its anchor, and
the private key that signs (64 hexadecimal digits). Each line is the number of an event that its
receipt says is recorded; every other one waits for the disk.
"""

import asyncio
import os
import sys
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from serving.audit.checkpoints import Signer
from serving.audit.writing import DatabaseRecorder
from tests.audit_samples import a_recorder, an_engine, an_event

TASKS = 16


async def storm(recorder: DatabaseRecorder) -> None:
    """Record events in many tasks until killed."""

    async def one(number: int) -> None:
        count = 0
        while True:
            name = f"{number}-{count}"
            await recorder.record(an_event(event_id=name), wait_for_disk=count % 2 == 0)
            # Unbuffered: what is said here was recorded before.
            os.write(1, f"{name}\n".encode())
            count += 1

    await asyncio.gather(*(one(number) for number in range(TASKS)))


def main() -> None:
    """Storm."""
    url, anchor, key = sys.argv[1:]
    signer = Signer(Ed25519PrivateKey.from_private_bytes(bytes.fromhex(key)))
    settings = {"checkpoint_interval_s": 0.05}
    with (
        an_engine(url) as engine,
        a_recorder(engine, signer, Path(anchor), **settings) as recorder,
    ):
        asyncio.run(storm(recorder))


if __name__ == "__main__":
    main()
