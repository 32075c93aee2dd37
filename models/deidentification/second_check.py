"""Whether a value that identifies the patient is left in the bytes of a result.

This check knows nothing of the profile: it takes every identifying value of the source, in every
encoding it may have been written in, and looks for it in all bytes of the result, pixels included.
"""

import re
from collections.abc import Iterator

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from models.deidentification.errors import IdentifierLeftError

_IDENTIFYING = re.compile(
    r"PatientID|PatientBirthDate|AccessionNumber|StudyID|IssuerOfPatientID|"
    r"OtherPatientIDs|InstitutionName|InstitutionAddress|InstitutionalDepartmentName|"
    r"PatientAddress|PatientTelephoneNumbers|.*PhoneNumbers?|MilitaryRank|"
    r"AdmissionID|ServiceEpisodeID|RequestedProcedureID|ScheduledProcedureStepID|"
    r"PerformedProcedureStepID|PlacerOrderNumber.*|FillerOrderNumber.*|MedicalRecordLocator|"
    r"PatientInsurancePlan.*|.*InstanceUID|FrameOfReferenceUID"
)
"""Keywords of elements whose value alone points at a patient; names are told by their VR."""
_SHORTEST = 4
"""Characters: what is shorter is found by chance. Chinese names are two, and six bytes in UTF-8."""
_SHORTEST_BYTES_IN_PIXELS = 6
_ENCODINGS = ("utf-8", "gb18030", "latin-1", "utf-16-le", "utf-16-be")
_PLACEHOLDERS = frozenset({"anonymous", "anonymized", "removed", "unknown", "none"})


def check_nothing_left(source: Dataset, result: bytes, pixels: bytes) -> None:
    """Look for every identifying value of `source` in `result`, and longer ones in `pixels`.

    `result` is the encoded object without its pixel data, whose value is `pixels`.

    Raises:
        IdentifierLeftError: naming the elements, never the values.
    """
    # Some devices are delivered with their maker as the institution: that identifies nobody.
    maker = str(source.get("Manufacturer", ""))
    left = sorted(
        {
            keyword
            for keyword, value in identifying_values(source)
            if not (keyword == "InstitutionName" and value in maker)
            for encoded in _encodings_of(value)
            if encoded in result
            or (len(encoded) >= _SHORTEST_BYTES_IN_PIXELS and encoded in pixels)
        }
    )
    if left:
        raise IdentifierLeftError(
            f"The result still holds what the source says in {', '.join(left)}. It is not given "
            "out; report this with the kind of device, without the image."
        )


def identifying_values(dataset: Dataset) -> Iterator[tuple[str, str]]:
    """Give keyword and text of what identifies a patient, wherever it lies in `dataset`."""
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                yield from identifying_values(item)
        elif element.VR == "PN":
            for name in _values(element.value):
                for part in re.split(r"[=^\s]+", str(name)):
                    yield element.keyword or str(element.tag), part
        elif _IDENTIFYING.fullmatch(element.keyword or ""):
            for value in _values(element.value):
                yield element.keyword, str(value).strip()


def _values(value: object) -> list[object]:
    if value is None:
        return []
    return list(value) if isinstance(value, MultiValue | list) else [value]


def _encodings_of(value: str) -> Iterator[bytes]:
    ascii_only = value.isascii()
    shortest = _SHORTEST if ascii_only else 2
    if len(value) < shortest or value.lower() in _PLACEHOLDERS:
        return
    for encoding in _ENCODINGS:
        try:
            yield value.encode(encoding)
        except UnicodeEncodeError:
            continue
