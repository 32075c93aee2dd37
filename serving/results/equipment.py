"""What every result says about who made it, when, and how it is encoded."""

from dataclasses import dataclass
from datetime import datetime
from io import BytesIO

import pydicom
from pydicom.charset import convert_encodings
from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from models.findings import ModelReference
from serving.results.identity import ResultKind
from serving.results.source import PATIENT_AND_STUDY, SourceImage
from serving.software import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME, VERSION

MANUFACTURER = "Zhuzhen"
SERIES_NUMBERS = {
    ResultKind.REPORT: 9101,
    ResultKind.SEGMENTATION: 9102,
    ResultKind.PRESENTATION: 9103,
    ResultKind.CAPTURE: 9104,
}
"""Series Number (0020,0011): far above what modalities count to, so that results sort last."""
SERIES_DESCRIPTIONS = {
    ResultKind.REPORT: "AI pre-read, report{version} - NOT FOR PRIMARY DIAGNOSIS",
    ResultKind.SEGMENTATION: "AI pre-read, regions - NOT FOR PRIMARY DIAGNOSIS",
    ResultKind.PRESENTATION: "AI pre-read, outlines - NOT FOR PRIMARY DIAGNOSIS",
    ResultKind.CAPTURE: "AI pre-read, picture - NOT FOR PRIMARY DIAGNOSIS",
}
"""Series Description (0008,103E), 64 characters at most: what a list shows of a series."""


def series_description(kind: ResultKind, revision: int = 1) -> str:
    """Return what a list shows of a series; of a report also its version, from the second on."""
    return SERIES_DESCRIPTIONS[kind].format(version=f" v{revision}" if revision > 1 else "")


_UNPAIRED = frozenset({"CHEST", "ABDOMEN", "PELVIS", "HEAD", "SKULL", "NECK", "SPINE", "HEART"})
"""Body parts (PS3.16 annex L) of which there is one."""
_LOST = ("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod")


@dataclass(frozen=True, slots=True)
class Maker:
    """The equipment attributes of results (PS3.3 C.7.5.1)."""

    model: ModelReference
    created: datetime
    """When the pre-read was made, local time: results built again for it say the same."""

    @property
    def model_name(self) -> str:
        """Manufacturer's Model Name (0008,1090)."""
        return self.model.name[:64]

    @property
    def software_versions(self) -> tuple[str, str]:
        """Software Versions (0018,1020): the software's own and the package's.

        highdicom takes any number of them, but annotates a tuple of one.
        """
        return f"zhuzhen {VERSION}", f"{self.model.name} {self.model.version}"[:64]

    @property
    def serial_number(self) -> str:
        """Device Serial Number (0018,1000): the first 20 characters of the package's digest."""
        return self.model.digest.removeprefix("sha256:")[:20]


@dataclass(frozen=True, slots=True)
class ResultObject:
    """One DICOM object to be delivered, complete as the bytes of a file (PS3.10)."""

    kind: ResultKind
    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    study_instance_uid: str
    data: bytes


def finish(
    kind: ResultKind, dataset: Dataset, maker: Maker, source: SourceImage, revision: int = 1
) -> ResultObject:
    """Give `dataset` its last attributes and encode it; the same input gives the same bytes."""
    _set_moments(dataset, maker.created)
    dataset.SeriesDescription = series_description(kind, revision)
    # The same patient and study in every object of the study, whatever highdicom copies for it.
    for keyword in PATIENT_AND_STUDY:
        if keyword in source.header and keyword not in dataset:
            setattr(dataset, keyword, source.header[keyword].value)
    dataset.file_meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    dataset.file_meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    if kind is ResultKind.REPORT:
        # No element of a report has a VR that depends on others: nothing has to be looked for.
        encodings = convert_encodings(str(dataset.SpecificCharacterSet))
        dataset.set_original_encoding(False, True, encodings)
    _say_how_items_are_encoded(dataset)
    stream = BytesIO()
    pydicom.dcmwrite(stream, dataset, enforce_file_format=True)
    return ResultObject(
        kind,
        str(dataset.SOPClassUID),
        str(dataset.SOPInstanceUID),
        str(dataset.SeriesInstanceUID),
        str(dataset.StudyInstanceUID),
        stream.getvalue(),
    )


def describe_image(dataset: Dataset, header: Dataset) -> None:
    """Say of a result what its series and pixels inherit from the source's `header`.

    Laterality is of paired parts alone (type 2C, PS3.3 C.7.3.1): absent of others, and empty where
    it is not known whether the part is one. What was once lost by compression stays lost
    (C.7.6.1.1.5).
    """
    part = header.get("BodyPartExamined")
    if part:
        dataset.BodyPartExamined = part
    if "Laterality" in header or part not in _UNPAIRED:
        dataset.Laterality = header.get("Laterality", "")
    if "PixelData" in dataset and header.get("LossyImageCompression") == "01":
        for keyword in _LOST:
            if keyword in header:
                setattr(dataset, keyword, header[keyword].value)


def _say_how_items_are_encoded(dataset: Dataset) -> None:
    """Spare pydicom a look through all that is in an item for each item, however deep.

    It looks for values whose VR depends on others, which it does for the whole data set anyway.
    """
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                item.set_original_encoding(is_implicit_vr=False, is_little_endian=True)
                _say_how_items_are_encoded(item)


def _set_moments(dataset: Dataset, created: datetime) -> None:
    """Replace every moment of building, which highdicom takes from the clock."""
    date, time = created.strftime("%Y%m%d"), created.strftime("%H%M%S")
    for keyword in (
        *("InstanceCreationDate", "ContentDate", "PresentationCreationDate"),
        "DateOfSecondaryCapture",
    ):
        if keyword in dataset:
            setattr(dataset, keyword, date)
    for keyword in (
        *("InstanceCreationTime", "ContentTime", "PresentationCreationTime"),
        "TimeOfSecondaryCapture",
    ):
        if keyword in dataset:
            setattr(dataset, keyword, time)
    dataset.SeriesDate, dataset.SeriesTime = date, time
    for item in dataset.get("ContributingEquipmentSequence", []):
        if "ContributionDateTime" in item:
            item.ContributionDateTime = date + time
