"""What the index holds of an instance, read from its header alone."""

import re
import zlib
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from pydicom.charset import convert_encodings, default_encoding
from pydicom.datadict import dictionary_VR
from pydicom.tag import Tag
from pydicom.uid import (
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
_UID_TAGS = {
    keyword: int(Tag(keyword))
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")
}
_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
_LONGEST_UID = 64

Attributes = dict[str, Any]
"""The DICOM JSON model (PS3.18 annex F)."""


@dataclass(frozen=True)
class InstanceHeader:
    """Identity and index attributes of one instance.

    What says the same of a whole study or series is decoded when it is asked for: of a thousand
    slices, once.
    """

    study_uid: str
    series_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    elements: "Elements"

    @cached_property
    def patient(self) -> Attributes:
        """The patient's number and who gave it, alone."""
        return self.elements.read(_PATIENT_TAGS)

    @cached_property
    def study(self) -> Attributes:
        """Of the study and its patient."""
        return self.elements.read(_STUDY_TAGS)

    @cached_property
    def series(self) -> Attributes:
        """Of the series."""
        return self.elements.read(_SERIES_TAGS)

    @cached_property
    def instance(self) -> Attributes:
        """Of the instance alone."""
        return self.elements.read(_INSTANCE_TAGS)

    @cached_property
    def routing(self) -> Attributes:
        """What rules may ask for beyond the above: age and view."""
        return self.elements.read(_ROUTING_TAGS)


@dataclass(frozen=True, slots=True)
class Elements:
    """Encoded values by tag, and how to decode them."""

    values: dict[int, bytes]
    encodings: tuple[str, ...]
    order: str

    def read(self, tags: tuple[int, ...]) -> Attributes:
        """Decode those of `tags` that are here."""
        encodings = list(self.encodings)
        return {
            f"{tag:08X}": json_of(_VR_BY_TAG[tag], self.values[tag], encodings, self.order)
            for tag in tags
            if tag in self.values
        }


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
        elements = _read(data_set, transfer_syntax)
        return InstanceHeader(*_uids(elements), elements)
    except InstanceRefusedError:
        raise
    except Exception:  # noqa: BLE001 - broken files make pydicom raise errors of any type
        raise InstanceRefusedError(
            Refusal.NOT_UNDERSTOOD,
            "The data set cannot be parsed: it is cut off or corrupt. Send it again from the "
            "modality or archive.",
        ) from None


def read_patient(values: dict[int, bytes]) -> Attributes:
    """Return the patient's number and who gave it, of encoded values by tag."""
    encodings = _encodings(values.get(_CHARACTER_SET, b""))
    return Elements(values, encodings, "<").read(_PATIENT_TAGS)


def _tags(keywords: tuple[str, ...]) -> tuple[int, ...]:
    return tuple(int(Tag(keyword)) for keyword in keywords)


_STUDY_TAGS, _SERIES_TAGS = _tags(STUDY_KEYWORDS), _tags(SERIES_KEYWORDS)
_PATIENT_TAGS = _tags(("PatientID", "IssuerOfPatientID"))
_INSTANCE_TAGS, _ROUTING_TAGS = _tags(INSTANCE_KEYWORDS), _tags(ROUTING_KEYWORDS)


def _read(data_set: bytes | memoryview, syntax: str) -> Elements:
    if syntax == DeflatedExplicitVRLittleEndian:
        data_set = _inflated(bytes(data_set))
    implicit = syntax == ImplicitVRLittleEndian
    little = syntax != ExplicitVRBigEndian
    found = Walk(data_set, implicit=implicit, little_endian=little).values(_VR_BY_TAG)
    return Elements(found, _encodings(found.get(_CHARACTER_SET, b"")), "<" if little else ">")


@lru_cache(maxsize=64)
def _encodings(character_set: bytes) -> tuple[str, ...]:
    """Return Python's names of the character sets that the value of (0008,0005) names."""
    if not character_set:
        return (default_encoding,)
    with quiet_decoders():
        names = json_of("CS", character_set, [default_encoding], "<").get("Value", [""])
        return tuple(convert_encodings([name or "" for name in names]))


def _inflated(data: bytes) -> bytes:
    """Return what `data` inflates to, within bounds."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    content = inflater.decompress(data, DEFAULT_LIMITS.max_inflated_bytes)
    if inflater.unconsumed_tail:
        raise BrokenStructureError("inflates to more than is read")
    return content


def _uids(elements: Elements) -> tuple[str, str, str, str]:
    uids = []
    for keyword, tag in _UID_TAGS.items():
        value = (
            elements.values.get(tag, b"").split(b"\\")[0].strip(b"\0 ").decode("ascii", "replace")
        )
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
