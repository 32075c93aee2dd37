"""Delivery into a folder, for systems that watch one."""

import os
from collections.abc import Sequence
from pathlib import Path
from tempfile import NamedTemporaryFile

from serving.destinations.destination import DeliveryError, Destination, Outcome, State
from serving.destinations.dicom_file import DicomFile


class FolderDestination(Destination):
    """A folder, in which each object becomes `<SOP Instance UID>.dcm`.

    A file is there complete or not at all: it is written under another name, made durable, and
    renamed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def check(self) -> None:
        """Write and remove a file."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with NamedTemporaryFile(dir=self._folder, prefix=".check-"):
                pass
        except OSError as error:
            raise DeliveryError(_told(self._folder, error), can_heal=True) from None

    def deliver(self, files: Sequence[DicomFile]) -> tuple[Outcome, ...]:
        """Write all files."""
        return tuple(self._write(file) for file in files)

    def _write(self, file: DicomFile) -> Outcome:
        place = self._folder / f"{file.sop_instance_uid}.dcm"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with NamedTemporaryFile(dir=self._folder, prefix=".partial-", delete=False) as stream:
                partial = Path(stream.name)
                try:
                    stream.write(file.data)
                    stream.flush()
                    os.fsync(stream.fileno())
                    partial.replace(place)
                except OSError:
                    partial.unlink(missing_ok=True)
                    raise
        except OSError as error:
            return Outcome(file.sop_instance_uid, State.TRY_AGAIN, _told(self._folder, error))
        return Outcome(file.sop_instance_uid, State.DELIVERED)


def _told(folder: Path, error: OSError) -> str:
    return f"{folder} cannot be written to: {error.strerror or type(error).__name__}."
