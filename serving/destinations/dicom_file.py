"""A DICOM file as bytes, with what a delivery has to know of it."""

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import pydicom
from pydicom.uid import UID

from models.errors import InputError
from models.quiet import quiet_decoders

_PREAMBLE_BYTES = 128


class NotADicomFileError(InputError):
    """The bytes are not a DICOM file with complete File Meta Information (PS3.10 7.1)."""


def is_dicom_file(path: Path) -> bool:
    """Whether the file at `path` begins as DICOM files do."""
    with path.open("rb") as stream:
        return _begins_as_dicom(stream.read(_PREAMBLE_BYTES + 4))


def _begins_as_dicom(data: bytes) -> bool:
    return data[_PREAMBLE_BYTES : _PREAMBLE_BYTES + 4] == b"DICM"


@dataclass(frozen=True, slots=True)
class DicomFile:
    """One object in the file format of PS3.10."""

    sop_class_uid: UID
    sop_instance_uid: str
    transfer_syntax_uid: UID
    data: bytes
    """All of the file; what is delivered of it is never encoded anew where it need not be."""

    @classmethod
    def of(cls, data: bytes) -> "DicomFile":
        """Return the file whose bytes are `data`.

        Raises:
            NotADicomFileError: preamble, prefix or a mandatory element is missing.
        """
        if not _begins_as_dicom(data):
            raise NotADicomFileError(
                "The bytes are not a DICOM file: the prefix DICM after a preamble of 128 bytes was "
                "not found (PS3.10 7.1). Export the object as a file again."
            )
        try:
            with quiet_decoders():
                meta = pydicom.dcmread(BytesIO(data), stop_before_pixels=True, specific_tags=[])
                meta_information = meta.file_meta
            uids = [
                UID(str(meta_information[keyword].value))
                for keyword in (
                    "MediaStorageSOPClassUID",
                    "MediaStorageSOPInstanceUID",
                    "TransferSyntaxUID",
                )
            ]
        except Exception:  # noqa: BLE001 - broken files make pydicom raise errors of any type
            uids = []
        if not uids or not all(uid.is_valid for uid in uids):
            raise NotADicomFileError(
                "The File Meta Information lacks the SOP Class, SOP Instance or Transfer Syntax "
                "UID (PS3.10 7.1). Export the object as a file again."
            )
        return cls(uids[0], str(uids[1]), uids[2], data)
