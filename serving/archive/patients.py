"""Whose record something is, by the attributes that are kept of it."""

import contextlib
from io import BytesIO

from pydicom.filereader import data_element_generator
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian

from models.quiet import quiet_decoders
from serving.archive.entries import text_of
from serving.archive.errors import InstanceRefusedError
from serving.archive.file_meta import open_file
from serving.archive.header import Attributes, read_instance_header, read_patient
from serving.privacy import Keyring, pseudonym_of

PATIENT_ID, _ISSUER = "00100020", "00100021"
"""Tags, as DICOM JSON has them."""
_MOST_BYTES = 2**20
"""So far the elements of a patient are looked for in what cannot be read as a whole."""


def patient_of(institution: str, attributes: Attributes, keyring: Keyring) -> str | None:
    """Return the pseudonym of the patient that attributes name, None where they name none.

    The same number given by somebody else (0010,0021) is another patient's.
    """
    identifier = text_of(attributes, PATIENT_ID).strip()
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


def said_of_patient(data: bytes | memoryview, transfer_syntax_uid: str = "") -> Attributes:
    """Return what the beginning of an instance says of its patient, as far as it can be read.

    For what was refused: a file or a data set, cut off or broken somewhere behind, of a transfer
    syntax that is not known here or not given.
    """
    content = memoryview(data)[:_MOST_BYTES]
    with contextlib.suppress(InstanceRefusedError):
        opened = open_file(content)
        content, transfer_syntax_uid = opened.data_set, opened.transfer_syntax_uid
    stated = transfer_syntax_uid == ImplicitVRLittleEndian
    for implicit in (stated, not stated):
        values = _elements(content, implicit, transfer_syntax_uid != ExplicitVRBigEndian)
        if int(PATIENT_ID, 16) in values:
            return read_patient(values)
    return {}


def _elements(content: memoryview, implicit: bool, little_endian: bool) -> dict[int, bytes]:
    """Return the encoded values of the outermost elements up to the patient's, by tag."""
    values: dict[int, bytes] = {}
    # Broken files make pydicom raise errors of any type; what came before them stands.
    with contextlib.suppress(Exception), quiet_decoders():
        for element in data_element_generator(
            BytesIO(content),
            implicit,
            little_endian,
            stop_when=lambda tag, vr, length: tag > int(_ISSUER, 16),
        ):
            if isinstance(element.value, bytes):
                values[int(element.tag)] = element.value
    return values
