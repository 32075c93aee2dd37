"""What the index holds of an instance, read from its header alone."""

import re
import zlib
from dataclasses import dataclass
from typing import Any

from pydicom.charset import convert_encodings, default_encoding
from pydicom.datadict import dictionary_VR
from pydicom.tag import Tag
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
)

from models.quiet import quiet_decoders
from serving.archive.errors import InstanceRefusedError, Refusal
from serving.archive.json_values import json_of
from serving.archive.structure import BrokenStructureError, Walk
from serving.imaging import DEFAULT_LIMITS, READ_TRANSFER_SYNTAXES

STUDY_KEYWORDS = (
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "ReferringPhysicianName",
    "StudyDescription",
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyInstanceUID",
    "StudyID",
)
"""PS3.18 table 10.6.3-3, without what is computed."""
SERIES_KEYWORDS = (
    "Modality",
    "SeriesDescription",
    "BodyPartExamined",
    "SeriesInstanceUID",
    "SeriesNumber",
    "Laterality",
    "PerformedProcedureStepStartDate",
    "PerformedProcedureStepStartTime",
)
"""PS3.18 table 10.6.3-4."""
INSTANCE_KEYWORDS = (
    "SOPClassUID",
    "SOPInstanceUID",
    "InstanceNumber",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "BitsAllocated",
)
"""PS3.18 table 10.6.3-5."""
ROUTING_KEYWORDS = ("PatientAge", "ViewPosition")
_WANTED = (
    "SpecificCharacterSet",
    *STUDY_KEYWORDS,
    *SERIES_KEYWORDS,
    *INSTANCE_KEYWORDS,
    *ROUTING_KEYWORDS,
)
_VR_BY_TAG = {int(Tag(keyword)): dictionary_VR(keyword) for keyword in _WANTED}
_CHARACTER_SET = int(Tag("SpecificCharacterSet"))
_UID_KEYS = {
    keyword: f"{int(Tag(keyword)):08X}"
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")
}
_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
_LONGEST_UID = 64

Attributes = dict[str, Any]
"""The DICOM JSON model (PS3.18 annex F)."""


@dataclass(frozen=True, slots=True)
class InstanceHeader:
    """Identity and index attributes of one instance."""

    study_uid: str
    series_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    study: Attributes
    series: Attributes
    instance: Attributes
    routing: Attributes
    """What rules may ask for beyond the above: age and view."""


def read_instance_header(data_set: bytes | memoryview, transfer_syntax: str) -> InstanceHeader:
    """Read the index attributes of an encoded data set.

    Raises:
        InstanceRefusedError: it cannot be parsed, or a UID is missing or is not one.
    """
    if transfer_syntax not in READ_TRANSFER_SYNTAXES:
        raise InstanceRefusedError(
            Refusal.SYNTAX_NOT_READ,
            "The transfer syntax of the instance is not read here; docs/imaging.md has the list.",
        )
    try:
        with quiet_decoders():
            found = _read(data_set, UID(transfer_syntax))
            uids = _uids(found)
            parts = [{key: found[key] for key in keys if key in found} for keys in _LEVELS]
    except InstanceRefusedError:
        raise
    except Exception:  # noqa: BLE001 - broken files make pydicom raise errors of any type
        raise InstanceRefusedError(
            Refusal.NOT_UNDERSTOOD,
            "The data set cannot be parsed: it is cut off or corrupt. Send it again from the "
            "modality or archive.",
        ) from None
    return InstanceHeader(*uids, *parts)


_LEVELS = tuple(
    tuple(f"{int(Tag(keyword)):08X}" for keyword in keywords)
    for keywords in (STUDY_KEYWORDS, SERIES_KEYWORDS, INSTANCE_KEYWORDS, ROUTING_KEYWORDS)
)


def _read(data_set: bytes | memoryview, syntax: UID) -> Attributes:
    if syntax == DeflatedExplicitVRLittleEndian:
        data_set = _inflated(bytes(data_set))
    implicit = syntax == ImplicitVRLittleEndian
    little = syntax != ExplicitVRBigEndian
    order = "<" if little else ">"
    encodings = [default_encoding]
    found: Attributes = {}
    for place in Walk(data_set, implicit=implicit, little_endian=little).places(_VR_BY_TAG):
        if place.has_undefined_length:
            continue
        value = bytes(data_set[place.start : place.end])
        element = json_of(_VR_BY_TAG[place.tag], value, encodings, order)
        if place.tag == _CHARACTER_SET:
            encodings = convert_encodings([name or "" for name in element.get("Value", [""])])
        found[f"{place.tag:08X}"] = element
    return found


def _inflated(data: bytes) -> bytes:
    """Return what `data` inflates to, within bounds."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    content = inflater.decompress(data, DEFAULT_LIMITS.max_inflated_bytes)
    if inflater.unconsumed_tail:
        raise BrokenStructureError("inflates to more than is read")
    return content


def _uids(found: Attributes) -> tuple[str, str, str, str]:
    uids = []
    for keyword, key in _UID_KEYS.items():
        value = str((found.get(key, {}).get("Value") or [""])[0])
        if not is_uid(value):
            raise InstanceRefusedError(
                Refusal.NOT_UNDERSTOOD,
                f"{keyword} is missing or not a UID; every instance needs one (PS3.3 C.12.1).",
            )
        uids.append(value)
    return uids[0], uids[1], uids[2], uids[3]


def is_uid(value: str) -> bool:
    """Whether `value` has the form of a UID (PS3.5 section 9.1); leading zeros are let pass."""
    return len(value) <= _LONGEST_UID and _UID.fullmatch(value) is not None
