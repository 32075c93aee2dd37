"""A DICOM file made ready for the network with pydicom and scikit-image, as their guides show."""

from io import BytesIO
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut
from skimage.transform import resize


def displayed(data: bytes) -> NDArray[Any]:
    """Return the displayed pixels of the DICOM file in `data`, shape (rows, columns)."""
    dataset = pydicom.dcmread(BytesIO(data))
    pixels = apply_voi_lut(apply_modality_lut(dataset.pixel_array, dataset), dataset)
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        pixels = pixels.max() - pixels
    return pixels


def network_input(data: bytes, side_px: int) -> NDArray[np.float32]:
    """Return the network's input for the DICOM file in `data`, shape (1, 1, side_px, side_px)."""
    image = resize(displayed(data), (side_px, side_px), anti_aliasing=True)
    image = (image - image.mean()) / image.std()
    prepared: NDArray[np.float32] = np.clip(image, -4.0, 4.0).astype(np.float32)
    return prepared[np.newaxis, np.newaxis]


def probability(logit: float) -> float:
    """Return the probability that `logit` stands for."""
    return float(1.0 / (1.0 + np.exp(-logit)))
