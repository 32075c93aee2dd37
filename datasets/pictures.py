"""The pixels of one stored image, as grey levels or colour, whatever format it lies in."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from models.errors import DataError

_DICOM_AT, _DICOM = 128, b"DICM"
_NAMED = 8
"""Files that an error names."""


SUFFIXES = (
    *(".bmp", ".dcm", ".gif", ".jp2", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"),
    *(".mrxs", ".ndpi", ".scn", ".svs"),
)
"""What is a picture by its name, whether it can be read or not."""


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


def require_readable(
    pictures: Sequence[tuple[Path, str]],
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> None:
    """Make sure that every picture can be decoded to its end; each is a file and its name.

    Raises:
        DataError: naming those that cannot.
    """
    wrong = []
    # Decoding lets other threads run.
    with ThreadPoolExecutor() as threads:
        readable = threads.map(lambda each: _is_readable(*each), pictures)
        for at, ((_, name), good) in enumerate(zip(pictures, readable, strict=True), start=1):
            wrong += [] if good else [name]
            progress(at, len(pictures))
    if wrong:
        more = f" and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else ""
        raise DataError(
            f"{', '.join(wrong[:_NAMED])}{more} cannot be decoded as an image; restore the file or "
            "drop its row."
        )


def _is_readable(path: Path, name: str) -> bool:
    try:
        read_colour(path, name)
    except DataError:
        return False
    return True


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
        rescaled = apply_rescale(pixels, dataset)
        shown = apply_voi_lut(rescaled, dataset).astype(np.float64)
        low, high = _range(dataset, rescaled)
    except (OSError, InvalidDicomError, AttributeError, ValueError, RuntimeError) as error:
        raise DataError(
            f"{name} cannot be decoded as a DICOM image; restore the file or drop its row."
        ) from error
    levels = np.clip((shown - low) / max(high - low, 1e-9), 0, 1) * 255
    grey = np.rint(levels).astype(np.uint8)
    return 255 - grey if dataset.get("PhotometricInterpretation") == "MONOCHROME1" else grey


def _range(dataset: Any, rescaled: NDArray[Any]) -> tuple[float, float]:
    """Return what is black and what is white after the VOI LUT, as the service shows it.

    Of a table, what it can give (PS3.3 C.11.2.1.1); of a window, what can be stored; without
    either, all of 8 bits and of more the range that nearly all pixels fill.
    """
    from pydicom.pixels.processing import apply_rescale

    bits = int(dataset.BitsStored)
    if dataset.get("VOILUTSequence"):
        return 0.0, float(2 ** int(dataset.VOILUTSequence[0].LUTDescriptor[2]) - 1)
    signed = int(dataset.PixelRepresentation) == 1
    lowest = -(2 ** (bits - 1)) if signed else 0
    storable = apply_rescale(np.array([lowest, lowest + 2**bits - 1]), dataset)
    if dataset.get("WindowWidth") is not None or bits <= 8:
        return float(storable.min()), float(storable.max())
    low, high = np.percentile(rescaled, [0.5, 99.5])
    return float(low), float(high)
