"""DICOM radiographs built in memory, and where the real ones that packages bring lie."""

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pydicom.config
import pydicom.data
from numpy.typing import NDArray
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    ComputedRadiographyImageStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

PYDICOM_FILES = Path(str(pydicom.data.__file__)).parent / "test_files"
"""Small objects, many of them broken on purpose, that pydicom itself is tested with."""
PYDICOM_DATA_FILES = Path(str(get_testdata_file("RG1_UNCR.dcm", download=False))).parent
"""Larger objects of the package `pydicom-data`, radiographs RG1 and RG3 among them."""


def radiograph_dataset(pixels: NDArray[Any], **elements: Any) -> Dataset:
    """The data set of a chest radiograph of a child, with some elements set or, if None, left out.

    `pixels`: shape (rows, columns), unsigned or signed, 8 or 16 bits.
    """
    dataset = Dataset()
    dataset.SOPClassUID = ComputedRadiographyImageStorage
    dataset.Modality = "CR"
    dataset.BodyPartExamined = "CHEST"
    dataset.ViewPosition = "AP"
    dataset.PatientAge = "003Y"
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows, dataset.Columns = pixels.shape[:2]
    dataset.BitsAllocated = dataset.BitsStored = 8 * pixels.dtype.itemsize
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    content = pixels.tobytes()
    dataset.PixelData = content + b"\0" * (len(content) % 2)
    dataset["PixelData"].VR = "OB" if pixels.dtype.itemsize == 1 else "OW"
    with pydicom.config.disable_value_validation():  # what tests are to send may be invalid
        for keyword, value in elements.items():
            if keyword in dataset:
                delattr(dataset, keyword)
            if value is not None:
                setattr(dataset, keyword, value)
    return dataset


def encode(
    dataset: Dataset, syntax: str = ExplicitVRLittleEndian, frames: list[bytes] | None = None
) -> bytes:
    """The data set as a DICOM file; `frames`, if given, become encapsulated pixel data."""
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = UID(syntax)
    dataset.file_meta.MediaStorageSOPClassUID = ComputedRadiographyImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = UID("1.2.826.0.1.3680043.8.498.1")
    if frames is not None:
        dataset.PixelData = encapsulate(frames)
        dataset["PixelData"].VR = "OB"
        dataset["PixelData"].is_undefined_length = True
    stream = BytesIO()
    with pydicom.config.disable_value_validation():
        pydicom.dcmwrite(
            stream,
            dataset,
            implicit_vr=syntax == ImplicitVRLittleEndian,
            little_endian=True,
            enforce_file_format=True,
        )
    return stream.getvalue()


def radiograph_file(pixels: NDArray[Any], **elements: Any) -> bytes:
    """An uncompressed DICOM file of `radiograph_dataset`."""
    return encode(radiograph_dataset(pixels, **elements))


def ramp(rows: int = 64, columns: int = 64, top: int = 4095) -> NDArray[np.uint16]:
    """Grey wedge from 0 at the left to `top` at the right, shape (rows, columns)."""
    return np.tile(np.linspace(0, top, columns).round().astype(np.uint16), (rows, 1))
