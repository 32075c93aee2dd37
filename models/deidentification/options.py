"""Which options of the Basic Application Level Confidentiality Profile are used (PS3.15 E.3)."""

from dataclasses import dataclass
from typing import NamedTuple


class MethodCode(NamedTuple):
    """A code of CID 7050 |De-identification Method| (PS3.16)."""

    value: str
    meaning: str


BASIC_PROFILE = MethodCode("113100", "Basic Application Confidentiality Profile")
CLEAN_PIXEL_DATA = MethodCode("113101", "Clean Pixel Data Option")
_CLEAN_DESCRIPTORS = MethodCode("113105", "Clean Descriptors Option")
_MODIFIED_DATES = MethodCode(
    "113107", "Retain Longitudinal Temporal Information Modified Dates Option"
)
_CHARACTERISTICS = MethodCode("113108", "Retain Patient Characteristics Option")
_DEVICE = MethodCode("113109", "Retain Device Identity Option")


@dataclass(frozen=True, slots=True)
class Options:
    """What is kept beyond the Basic Profile."""

    modified_dates: bool = True
    """Dates stay, moved by a number of days that is the same for all of a patient (E.3.6)."""
    clean_descriptors: bool = True
    """Descriptions keep the words that name a procedure, body part or view, no others (E.3.5)."""
    patient_characteristics: bool = True
    """Sex, age, size and weight stay (E.3.7)."""
    device_identity: bool = False
    """Station, serial and detector numbers stay (E.3.8)."""

    def codes(self) -> tuple[MethodCode, ...]:
        """Return what De-identification Method Code Sequence (0012,0064) says."""
        chosen = (
            (self.clean_descriptors, _CLEAN_DESCRIPTORS),
            (self.modified_dates, _MODIFIED_DATES),
            (self.patient_characteristics, _CHARACTERISTICS),
            (self.device_identity, _DEVICE),
        )
        return (BASIC_PROFILE, *(code for used, code in chosen if used))


PATIENT_CHARACTERISTICS = frozenset({"PatientSex", "PatientAge", "PatientSize", "PatientWeight"})
"""Kept by that option: column "Rtn. Pat. Chars." of PS3.15 table E.1-1, the structured ones."""

DEVICE_IDENTITY = frozenset(
    {
        *("CassetteID", "DetectorID", "DeviceSerialNumber", "DeviceUID", "GantryID"),
        *("GeneratorID", "PlateID", "StationName"),
    }
)
"""Kept by that option: column "Rtn. Dev. Id." of PS3.15 table E.1-1, radiographs' alone."""

DESCRIPTORS = frozenset(
    {
        *("StudyDescription", "SeriesDescription", "ProtocolName", "RequestedProcedureDescription"),
        *("PerformedProcedureStepDescription", "AcquisitionProtocolDescription"),
        *("ScheduledProcedureStepDescription", "AcquisitionDeviceProcessingDescription"),
    }
)
"""Cleaned by that option: column "Clean Desc." of PS3.15 table E.1-1."""

KEPT_WORDS = (
    *(
        "chest",
        "thorax",
        "lung",
        "lungs",
        "rib",
        "ribs",
        "clavicle",
        "sternum",
        "abdomen",
        "pelvis",
    ),
    *("skull", "spine", "cervical", "thoracic", "lumbar", "shoulder", "elbow", "wrist", "hand"),
    *("hip", "knee", "ankle", "foot", "femur", "tibia", "humerus", "radius", "breast", "heart"),
    *(
        "pa",
        "ap",
        "lateral",
        "lat",
        "ll",
        "rl",
        "oblique",
        "supine",
        "erect",
        "portable",
        "bedside",
    ),
    *(
        "left",
        "right",
        "bilateral",
        "frontal",
        "xray",
        "x-ray",
        "cr",
        "dx",
        "ct",
        "mr",
        "mri",
    ),
    *("with", "without", "contrast", "axial", "coronal", "sagittal", "follow-up", "and", "view"),
    *("views", "1", "2", "3"),
)
"""Words that name no person: body parts and views of PS3.16 annex L and CID 4010."""
KEPT_CHINESE = (
    *("胸部", "胸片", "胸", "肺", "腹部", "骨盆", "头颅", "颈椎", "胸椎", "腰椎", "肩", "肘", "腕"),
    *("手", "髋", "膝", "踝", "足", "正位", "侧位", "正侧位", "斜位", "仰卧", "立位", "床旁", "左"),
    *("右", "双侧", "平扫", "增强", "复查", "摄影", "数字", "儿童", "成人"),
)
"""The same in Chinese, as departments write them."""
