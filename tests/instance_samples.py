"""Instances for tests of the node: built in memory, encoded as senders encode them."""

from io import BytesIO
from typing import Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, generate_uid

from serving.archive.file_meta import file_meta


def instance(**elements: Any) -> Dataset:
    """A small CT image with UIDs of its own, some elements set or, if None, left out."""
    dataset = Dataset()
    dataset.SOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = generate_uid()
    dataset.StudyDate = "20260102"
    dataset.Modality = "CT"
    dataset.PatientName = "Test^Zhang"
    dataset.PatientID = "P-1"
    dataset.StudyInstanceUID = generate_uid()
    dataset.SeriesInstanceUID = generate_uid()
    dataset.InstanceNumber = 1
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows = dataset.Columns = 8
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit = 15
    dataset.PixelRepresentation = 0
    dataset.PixelData = np.arange(64, dtype=np.uint16).tobytes()
    for keyword, value in elements.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    return dataset


def encoded(dataset: Dataset, syntax: UID = ExplicitVRLittleEndian) -> bytes:
    """The data set alone, as a C-STORE carries it."""
    stream = BytesIO()
    dataset.save_as(
        stream, implicit_vr=syntax.is_implicit_VR, little_endian=syntax.is_little_endian
    )
    return stream.getvalue()


def file_of(dataset: Dataset, syntax: UID = ExplicitVRLittleEndian) -> bytes:
    """A whole file, as a STOW request carries it."""
    meta = file_meta(str(dataset.SOPClassUID), str(dataset.SOPInstanceUID), str(syntax))
    return meta + encoded(dataset, syntax)
