"""A picture of the pre-read as a Secondary Capture (PS3.3 A.8), for viewers that show nothing else.

It says what it is in its own pixels, and that an image was refused and why.
"""

import numpy as np
from highdicom.sc import SCImage
from pydicom.dataset import Dataset

from serving.overlay import draw_overlay
from serving.results.equipment import MANUFACTURER, SERIES_NUMBERS, Maker, describe_image
from serving.results.identity import ResultKind, result_uid, series_uid
from serving.results.read_image import ReadImage

_KIND = ResultKind.CAPTURE


def build_capture(image: ReadImage, maker: Maker) -> Dataset:
    """Return the picture of `image` with its words, 8-bit RGB."""
    source, header = image.source, image.source.header
    capture = SCImage.from_ref_dataset(
        ref_dataset=header,
        pixel_array=np.asarray(draw_overlay(image.reading)),
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        series_instance_uid=series_uid(_KIND, maker.model, source.study_instance_uid),
        series_number=SERIES_NUMBERS[_KIND],
        sop_instance_uid=result_uid(_KIND, maker.model, (source.identity,)),
        instance_number=source.instance_number,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=maker.model_name,
        software_versions=maker.software_versions,
        device_serial_number=maker.serial_number,
        # highdicom wants an orientation of every patient image; replaced below.
        patient_orientation=("L", "F"),
        specific_character_set=source.character_set,
    )
    # The picture shows the source and a panel of words: the source's orientation holds only for a
    # part of it, so none is claimed (type 2C, PS3.3 C.7.6.1).
    del capture.PatientOrientation
    capture.add_new("PatientOrientation", "CS", None)
    describe_image(capture, header)
    capture.ConversionType = "WSD"
    capture.DerivationDescription = "AI pre-read drawn over the source; not for primary diagnosis"
    capture.SourceImageSequence = _reference(header)
    # It shows the source's pixels, and so what is burnt into them.
    if "BurnedInAnnotation" in header:
        capture.BurnedInAnnotation = header.BurnedInAnnotation
    return capture


def _reference(header: Dataset) -> list[Dataset]:
    item = Dataset()
    item.ReferencedSOPClassUID = header.SOPClassUID
    item.ReferencedSOPInstanceUID = header.SOPInstanceUID
    return [item]
