"""The last checkpoint, kept outside the database.

Whoever can write to the database can cut off the end of every chain in it, checkpoints included.
The anchor file shows that there was more. It belongs on storage of another owner
(`ZHUZHEN_AUDIT_ANCHOR`); each checkpoint is told to the log besides, which is usually collected on
another machine.
"""

import fcntl
import logging
import os
from pathlib import Path

from sqlalchemy import Connection

from models.errors import ZhuzhenError
from serving.audit.checkpoints import SignedCheckpoint, checkpoint_from_line
from serving.audit.stating import checkpoint_numbered

_LOG = logging.getLogger("zhuzhen.audit")


class AuditTamperedError(ZhuzhenError):
    """The audit record is not what it was."""


class Anchor:
    """A file that holds the last checkpoint."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> SignedCheckpoint | None:
        """Return the checkpoint of the file, if there is one.

        Raises:
            CheckpointError: the file holds something else.
        """
        try:
            return checkpoint_from_line(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None

    def write(self, signed: SignedCheckpoint) -> None:
        """Replace the checkpoint of the file by a later one; an earlier one is left out."""
        number = signed.opened().number
        _LOG.info("audit checkpoint %d %s %s", number, signed.digest, signed.signature.hex())
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.with_name(f"{self.path.name}.lock").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            before = self.read()
            if before is not None and before.opened().number >= number:
                return
            self._replace(signed)

    def _replace(self, signed: SignedCheckpoint) -> None:
        fresh = self.path.with_name(f"{self.path.name}.new")
        with fresh.open("w", encoding="utf-8") as file:
            file.write(signed.line() + "\n")
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.path)

    def require_part_of(self, connection: Connection) -> None:
        """Refuse to continue a record that lacks the checkpoint of the file.

        Raises:
            AuditTamperedError: it does.
        """
        signed = self.read()
        if signed is None:
            return
        found = checkpoint_numbered(connection, signed.opened().number)
        if found != signed:
            raise AuditTamperedError(
                f"The audit record ends before checkpoint {signed.opened().number}, which the "
                f"anchor file {self.path.name} says was there, or differs from it. Run zhuzhen "
                "audit verify; after a restore from a backup, use zhuzhen restore, which records "
                "it."
            )
