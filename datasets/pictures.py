"""The pixels of one stored image, as grey levels or colour, whatever format it lies in."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from models.errors import DataError

_DICOM_AT, _DICOM = 128, b"DICM"


def read_grey(path: Path, name: str) -> NDArray[np.uint8]:
    """Return the grey levels of the image at `path`, shape (rows, columns).

    Raises:
        DataError: it cannot be decoded; the message calls it `name`.
    """
    if _is_dicom(path):
        return _dicom_grey(path, name)
    return np.asarray(_opened(path, name).convert("L"))


def read_colour(path: Path, name: str) -> NDArray[np.uint8]:
    """Return the colours of the image at `path`, shape (rows, columns, 3).

    Raises:
        DataError: it cannot be decoded; the message calls it `name`.
    """
    if _is_dicom(path):
        return np.repeat(_dicom_grey(path, name)[:, :, None], 3, axis=2)
    return np.asarray(_opened(path, name).convert("RGB"))


def file_facts(path: Path) -> dict[str, float]:
    """Return what the file itself says of how it was made: format, size, compression.

    `bytes_per_pixel`, `rows`, `columns`, and of JPEG the mean of the luminance quantisation table
    (higher is coarser).
    """
    if _is_dicom(path):
        return {}
    with Image.open(path) as image:
        columns, rows = image.size
        tables = getattr(image, "quantization", None) or {}
        facts = {
            "rows_px": float(rows),
            "columns_px": float(columns),
            "bytes_per_pixel": path.stat().st_size / (rows * columns),
        }
        if tables:
            facts["jpeg_quantisation"] = float(np.mean(next(iter(tables.values()))))
    return facts


def _opened(path: Path, name: str) -> Image.Image:
    try:
        with Image.open(path) as image:
            image.load()
            return image.copy()
    except (OSError, ValueError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise DataError(
            f"{name} cannot be decoded as an image; restore the file or drop its row."
        ) from error


def _is_dicom(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(_DICOM_AT + len(_DICOM))[_DICOM_AT:] == _DICOM


def _dicom_grey(path: Path, name: str) -> NDArray[np.uint8]:
    """Return the first frame as it is shown: rescaled, windowed, MONOCHROME1 inverted."""
    import pydicom
    from pydicom.errors import InvalidDicomError
    from pydicom.pixels.processing import apply_rescale, apply_voi_lut

    try:
        dataset = pydicom.dcmread(path)
        pixels: Any = dataset.pixel_array
        pixels = pixels[0] if int(dataset.get("NumberOfFrames") or 1) > 1 else pixels
        if pixels.ndim == 3:
            return np.asarray(Image.fromarray(pixels.astype(np.uint8)).convert("L"))
        shown = apply_voi_lut(apply_rescale(pixels, dataset), dataset).astype(np.float64)
    except (OSError, InvalidDicomError, AttributeError, ValueError, RuntimeError) as error:
        raise DataError(
            f"{name} cannot be decoded as a DICOM image; restore the file or drop its row."
        ) from error
    low, high = float(shown.min()), float(shown.max())
    grey = np.rint((shown - low) * (255 / max(high - low, 1e-9))).astype(np.uint8)
    return 255 - grey if dataset.get("PhotometricInterpretation") == "MONOCHROME1" else grey
