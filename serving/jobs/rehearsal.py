"""A reading that nobody asked for: what the first study would load is there before it comes.

Libraries read tables and fonts and make plans when they are used for the first time, which takes
longer than all the rest of a reading. So a made-up image is read, and results are built of it as if
it showed everything; nothing of that is kept, recorded or observed.
"""

from dataclasses import replace
from datetime import datetime
from io import BytesIO

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import DigitalXRayImageStorageForPresentation, JPEGBaseline8Bit

from models.evidence import heat_of, regions_of
from models.findings import Decision, Finding, Verdict
from models.package import ModelPackage
from models.preprocessing import ImageKind
from serving.recognition import Reading, Recognizer

_SIDE_PX = 512


def rehearse(recognizer: Recognizer) -> None:
    """Go once through all that `recognizer` and the building of results do with a radiograph."""
    from serving.results import ReadImage, build_results, read_source

    if recognizer.package.input_spec.kind == ImageKind.TILE:
        return
    data = _made_up()
    reading = _as_if_found(recognizer.read(data), recognizer.package)
    image = ReadImage(read_source(data), reading, recognizer.package.statement)
    build_results([image], created=datetime(2000, 1, 1).astimezone())


def _as_if_found(reading: Reading, package: ModelPackage) -> Reading:
    """Return what would be said if every finding were there."""
    slope = np.linspace(0, 1, 7)
    heat = heat_of(np.add.outer(slope, slope).astype(np.float32))
    regions = regions_of(heat, rows=_SIDE_PX, columns=_SIDE_PX)
    findings = tuple(
        Finding(
            label=label.label,
            name=label.name,
            codes=label.codes,
            probability=1.0,
            operating_point=label.calibration.operating_point,
            decision=Decision.PRESENT,
            conformal_set=label.calibration.conformal_set(1.0),
            conformal_coverage=label.calibration.conformal_coverage,
            regions=regions,
        )
        for label in package.labels
    )
    pre_read = replace(reading.pre_read, verdict=Verdict.ACCEPTED, reasons=(), findings=findings)
    return replace(reading, pre_read=pre_read, heats={each.label: heat for each in findings})


def _made_up() -> bytes:
    """Return a DICOM file with a picture of no patient, compressed as radiographs often are."""
    dataset = Dataset()
    dataset.SOPClassUID = DigitalXRayImageStorageForPresentation
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "2.25.1", "2.25.2"
    dataset.SOPInstanceUID = "2.25.3"
    dataset.Modality, dataset.BodyPartExamined, dataset.ViewPosition = "DX", "CHEST", "PA"
    dataset.PatientAge, dataset.PatientID, dataset.PatientName = "003Y", "", ""
    dataset.Rows = dataset.Columns = _SIDE_PX
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation = 7, 0
    slope = np.linspace(0, 255, _SIDE_PX, dtype=np.uint8)
    picture = BytesIO()
    Image.fromarray(np.minimum.outer(slope, slope)).save(picture, format="JPEG")
    dataset.PixelData = encapsulate([picture.getvalue()])
    dataset["PixelData"].VR = "OB"
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    stream = BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()
