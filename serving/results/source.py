"""The source image as results refer to it: what is taken over from its header, and made valid.

Real headers lack mandatory attributes and hold values that the standard forbids. A result must be
valid all the same, and must not be refused for what its source did wrong: what is mandatory and
missing becomes empty, what is not valid is left out.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import pydicom
from pydicom import config
from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset
from pydicom.uid import UID, JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless
from pydicom.valuerep import validate_value

from models.errors import InputError
from models.quiet import quiet_decoders
from serving.objects import digest_of
from serving.results.look import Look, look_of

_EMPTY_IF_UNKNOWN = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
)
"""Type 2 in every result: PS3.3 C.7.1.1 and C.7.2.1."""
PATIENT_AND_STUDY = (
    "IssuerOfPatientID",
    "PatientAge",
    "PatientIdentityRemoved",
    "DeidentificationMethod",
    "StudyDescription",
    "TimezoneOffsetFromUTC",
)
"""Taken over where valid, in every result."""
_IMAGE = (
    "Modality",
    "BodyPartExamined",
    "PatientOrientation",
    "Laterality",
    "SeriesNumber",
    "InstanceNumber",
    "BurnedInAnnotation",
    "LossyImageCompression",
    "LossyImageCompressionRatio",
    "LossyImageCompressionMethod",
    "PixelSpacing",
    "ImagerPixelSpacing",
)
_PIXEL_DESCRIPTION = (
    "Rows",
    "Columns",
    "NumberOfFrames",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "SamplesPerPixel",
    "PhotometricInterpretation",
)
_LOOK = (
    "WindowCenter",
    "WindowWidth",
    "WindowCenterWidthExplanation",
    "VOILUTFunction",
    "RescaleSlope",
    "RescaleIntercept",
    "RescaleType",
)
COPIED_FROM_SOURCE = (*_EMPTY_IF_UNKNOWN, *PATIENT_AND_STUDY)
"""Keywords of what every result takes over from its source, where it is valid there."""
_REFERENCES = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
_WRITTEN_AS_GB18030 = frozenset({"GB18030", "GBK"})
_ISO_2022_IR_58 = "ISO 2022 IR 58"
_ESCAPE = "\x1b$)A"
"""Designates GB 2312 as G1 (PS3.3 C.12.1.1.2)."""
_LOSSY = frozenset({JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless})
"""Transfer syntaxes that always lose something; those of JPEG 2000 may not."""
_PATIENT_SEXES = ("M", "F", "O")
"""Enumerated values of Patient's Sex (0010,0040), PS3.3 C.7.1.1."""


class UnreferableSourceError(InputError):
    """No result can refer to the source: it has no identity, or is no image of a known class."""


@dataclass(frozen=True, slots=True)
class SourceImage:
    """The header of one source image, valid as far as results take it over."""

    header: Dataset
    """Text as Python strings, whatever it was encoded in; no pixels."""
    character_set: str
    """Specific Character Set (0008,0005) of results on this source."""
    digest: str
    """Digest of the object: another one may have taken its place under its UID."""
    look: Look = Look()
    """How it is to be shown."""

    @property
    def identity(self) -> str:
        """What UIDs of results are made of: another object under the same UID has others."""
        return f"{self.sop_instance_uid} {self.digest}"

    @property
    def sop_instance_uid(self) -> str:
        """SOP Instance UID (0008,0018)."""
        return str(self.header.SOPInstanceUID)

    @property
    def study_instance_uid(self) -> str:
        """Study Instance UID (0020,000D)."""
        return str(self.header.StudyInstanceUID)

    @property
    def instance_number(self) -> int:
        """Instance Number (0020,0013), 1 where it is absent or not positive."""
        return max(1, int(self.header.get("InstanceNumber") or 1))

    @property
    def frames(self) -> list[int] | None:
        """The frame that was read, 1-based, where the source is multi-frame; else None."""
        # Some objects of single-frame classes hold several all the same; in a reference to these
        # no frame may be named (PS3.3 10.3).
        name = self.header.SOPClassUID.name
        multi_frame = "Multi-frame" in name or "Enhanced" in name
        return [1] if multi_frame and int(self.header.get("NumberOfFrames") or 1) > 1 else None


def read_source(data: bytes, digest: str | None = None) -> SourceImage:
    """Return what results need of the DICOM object in `data`; its pixels are not read.

    `digest` is that of the object, where it is known.

    Raises:
        UnreferableSourceError: it is no DICOM image of a standard class, or lacks a UID.
    """
    try:
        with quiet_decoders():
            dataset = pydicom.dcmread(BytesIO(data), stop_before_pixels=True, force=True)
            return _source_of(dataset, digest or digest_of(data))
    except UnreferableSourceError:
        raise
    except Exception:  # noqa: BLE001 - broken headers make pydicom raise errors of any type
        raise UnreferableSourceError(
            "The DICOM header cannot be read as far as results need it. Send the image again from "
            "the modality or archive."
        ) from None


def _source_of(dataset: Dataset, digest: str) -> SourceImage:
    header = Dataset()
    for keyword in _REFERENCES:
        uid = UID(str(dataset.get(keyword) or ""))
        if not uid.is_valid:
            raise UnreferableSourceError(
                f"{keyword} is absent or not a UID, so that no result can refer to the image. "
                "Send it again from the modality or archive."
            )
        setattr(header, keyword, uid)
    _check_class(header.SOPClassUID)
    for keyword in _EMPTY_IF_UNKNOWN:
        setattr(header, keyword, _valid(dataset, keyword) or "")
    for keyword in (*PATIENT_AND_STUDY, *_IMAGE, *_PIXEL_DESCRIPTION):
        value = _valid(dataset, keyword)
        if value is not None and _USABLE.get(keyword, _always)(value):
            setattr(header, keyword, value)
    if "PatientIdentityRemoved" in header and "DeidentificationMethod" not in header:
        # One or the other must say how (type 1C, PS3.3 C.7.1.1); the codes of the source do.
        meanings = [
            str(item.get("CodeMeaning", ""))[:64]
            for item in dataset.get("DeidentificationMethodCodeSequence") or []
        ]
        header.DeidentificationMethod = meanings or "Not stated in the source"
    if _was_lossy(dataset):
        header.LossyImageCompression = "01"
    if header.PatientSex not in _PATIENT_SEXES:
        header.PatientSex = ""
    header.SpecificCharacterSet = _character_set(dataset)
    look = {keyword: _valid(dataset, keyword) for keyword in _LOOK}
    return SourceImage(header, header.SpecificCharacterSet, digest, look_of(dataset, look))


def _was_lossy(dataset: Dataset) -> bool:
    """Whether the pixels lost something at a point of their life (PS3.3 C.7.6.1.1.5), by the
    transfer syntax where the header does not say so.
    """
    syntax = dataset.file_meta.get("TransferSyntaxUID") if hasattr(dataset, "file_meta") else None
    return dataset.get("LossyImageCompression") == "01" or syntax in _LOSSY


def _always(_: Any) -> bool:
    return True


def _are_two_lengths(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and min(value) > 0


def _are_two_directions(value: Any) -> bool:
    is_pair = isinstance(value, list) and len(value) == 2
    return is_pair and all(each and set(str(each)) <= set("LRAPHF") for each in value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and abs(value) < 2**31


_USABLE: Mapping[str, Callable[[Any], bool]] = {
    "PixelSpacing": _are_two_lengths,
    "ImagerPixelSpacing": _are_two_lengths,
    "PatientOrientation": _are_two_directions,
    "Laterality": lambda value: value in ("R", "L"),
    "LossyImageCompression": lambda value: value in ("00", "01"),
    "BurnedInAnnotation": lambda value: value in ("YES", "NO"),
    "SeriesNumber": _is_number,
    "InstanceNumber": _is_number,
}
"""What the standard asks beyond the representation of a value (PS3.3 C.7.3.1, C.7.6.1, 10.7.1)."""


def _check_class(sop_class: UID) -> None:
    if "Image Storage" not in sop_class.name or sop_class.is_retired:
        raise UnreferableSourceError(
            "SOPClassUID is not that of a standard image storage class; results can only refer "
            "to images (PS3.4 B.5)."
        )


def _valid(dataset: Dataset, keyword: str) -> Any:
    """Return the value if the standard allows it, text as plain strings; else None."""
    if keyword not in dataset:
        return None
    vr = dictionary_VR(keyword)
    try:
        value = dataset[keyword].value
        for single in value if isinstance(value, list | pydicom.multival.MultiValue) else [value]:
            validate_value(vr, str(single) if vr in ("PN", "IS", "DS") else single, config.RAISE)
    except Exception:  # noqa: BLE001 - a malformed value makes pydicom raise errors of any type
        return None
    return _plain(value, _ISO_2022_IR_58 in _names(dataset.get("SpecificCharacterSet")))


def _plain(value: Any, ir_58: bool) -> Any:
    # A PersonName remembers the bytes it was read from and would write them again, in whatever
    # character set the result has.
    if isinstance(value, pydicom.multival.MultiValue | list):
        return [_plain(single, ir_58) for single in value]
    if isinstance(value, pydicom.valuerep.PersonName):
        value = str(value)
    if ir_58 and isinstance(value, str):
        value = _without_escapes(value)
    return value if value != "" else None


def _without_escapes(text: str) -> str:
    """Return what pydicom 3.0 made of a value in ISO 2022 IR 58 as it was meant.

    It leaves the escape sequence in the text (PS3.5 K.2), and takes a value whose sender left the
    sequence out for Latin 1.
    """
    if _ESCAPE in text:
        return text.replace(_ESCAPE, "")
    try:
        return text.encode("latin-1").decode("gb2312")
    except UnicodeError:
        return text


def _character_set(dataset: Dataset) -> str:
    """Return what to write results in: a sender of GB18030 may know nothing else.

    GB18030 and UTF-8 hold every character; the others cannot hold both languages of a result.
    """
    names = _names(dataset.get("SpecificCharacterSet"))
    return "GB18030" if _WRITTEN_AS_GB18030 & names else "ISO_IR 192"


def _names(declared: str | Iterable[str] | None) -> set[str]:
    return {declared or ""} if isinstance(declared, str | None) else set(declared)
