"""Whose record something is, by the attributes that are kept of it."""

from serving.archive.entries import text_of
from serving.archive.errors import InstanceRefusedError
from serving.archive.file_meta import open_file
from serving.archive.header import Attributes, read_instance_header
from serving.privacy import Keyring, pseudonym_of

_PATIENT_ID, _ISSUER = "00100020", "00100021"


def patient_of(institution: str, attributes: Attributes, keyring: Keyring) -> str | None:
    """Return the pseudonym of the patient that attributes name, None where they name none.

    The same number given by somebody else (0010,0021) is another patient's.
    """
    identifier = text_of(attributes, _PATIENT_ID).strip()
    issuer = text_of(attributes, _ISSUER).strip() or institution
    return pseudonym_of(keyring, issuer, identifier) if identifier else None


def patient_in(institution: str, file: bytes, keyring: Keyring) -> str | None:
    """Return the pseudonym of the patient that a DICOM file names, None for all other bytes."""
    try:
        opened = open_file(file)
        header = read_instance_header(opened.data_set, opened.transfer_syntax_uid)
    except InstanceRefusedError:
        return None
    return patient_of(institution, header.study, keyring)
