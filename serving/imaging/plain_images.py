"""Radiographs as PNG or JPEG: pixels without a word about where they come from."""

import struct
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from pydicom.dataset import Dataset

from models.errors import UnreadableImageError
from models.radiograph import Radiograph, RadiographFacts
from models.text import Text
from serving.imaging.dicom_jpeg import load_scaled
from serving.imaging.grayscale import StoredValues, build_display, render
from serving.imaging.jpeg_markers import read_frame_header
from serving.imaging.limits import ImageLimits
from serving.imaging.reduction import area_mean, reduction_factor
from serving.imaging.sniff import SourceFormat

_SIXTEEN_BIT_MODES = frozenset({"I;16", "I;16B", "I;16L", "I"})
_COLOUR_MODES = frozenset({"P", "PA", "RGB", "RGBA", "CMYK", "YCbCr"})
_COLOUR_REMARK = Text(
    "The image has colours: its luminance was used.", "图像带有颜色，已采用其亮度。"
)
_ORIENTATION_TAG = 0x0112
"""EXIF Orientation (CIPA DC-008, 4.6.4)."""
_TRANSPOSED_ORIENTATIONS = frozenset({5, 6, 7, 8})


def read_plain_image(
    data: bytes, source: SourceFormat, limits: ImageLimits, target_side_px: int | None
) -> Radiograph:
    """A PNG or JPEG image, reduced as far as `target_side_px` allows (`None`: not at all).

    Raises `UnreadableImageError` and `InputTooLargeError`.
    """
    rows, columns = declared_size(data, source, limits)
    factor = 1 if target_side_px is None else reduction_factor(rows, columns, target_side_px)
    try:
        if source is SourceFormat.JPEG:
            return _read_jpeg(data, (rows, columns), factor)
        return _read_png(data, (rows, columns), factor)
    except Exception:  # noqa: BLE001 - Pillow raises errors of several types on broken images
        raise UnreadableImageError(
            f"The {source} image cannot be decoded: it is truncated or corrupt. Send it again.",
            f"{source} 图像无法解码：文件被截断或已损坏；请重新发送",
        ) from None


def declared_size(data: bytes, source: SourceFormat, limits: ImageLimits) -> tuple[int, int]:
    """Rows and columns by the image's header, within the limits."""
    if source is SourceFormat.JPEG:
        frame = read_frame_header(data, limits)
        return frame.rows, frame.columns
    if len(data) < 33 or data[12:16] != b"IHDR":
        raise UnreadableImageError(
            "The PNG image has no header chunk: it is truncated or corrupt. Send it again.",
            "PNG 图像缺少文件头：文件被截断或已损坏；请重新发送",
        )
    columns, rows = struct.unpack(">LL", data[16:24])
    if rows == 0 or columns == 0:
        raise UnreadableImageError(
            "The PNG header declares an image without pixels. Export the image again.",
            "PNG 文件头声明的图像不含像素；请重新导出图像",
        )
    limits.check_dimensions(rows, columns, "The PNG header")
    return rows, columns


def _read_jpeg(data: bytes, size: tuple[int, int], factor: int) -> Radiograph:
    with Image.open(BytesIO(data), formats=["JPEG"]) as image:
        orientation = _orientation(image)
        colour = image.mode in _COLOUR_MODES
        pixels, scale = load_scaled(image, factor, "L")
    pixels = area_mean(pixels, max(1, factor // scale))
    facts = RadiographFacts(
        source_format=SourceFormat.JPEG, bits_stored=8, remarks=(_COLOUR_REMARK,) * colour
    )
    return _oriented(pixels, size, orientation, facts)


def _read_png(data: bytes, size: tuple[int, int], factor: int) -> Radiograph:
    with Image.open(BytesIO(data), formats=["PNG"]) as image:
        orientation = _orientation(image)
        if image.mode in _SIXTEEN_BIT_MODES:
            grey, bits, colour = _sixteen_bit_grey(image), 16, False
        else:
            grey, colour = _eight_bit_grey(image)
            bits = 8
    facts = RadiographFacts(
        source_format=SourceFormat.PNG, bits_stored=bits, remarks=(_COLOUR_REMARK,) * colour
    )
    return _oriented(area_mean(grey, factor), size, orientation, facts)


def _sixteen_bit_grey(image: Image.Image) -> NDArray[np.uint8]:
    """16 bits are given grey levels as in DICOM without a window: the range the pixels fill."""
    ordinals = np.asarray(image).clip(0, 65_535).astype(np.uint16)
    display = build_display(Dataset(), StoredValues(16, signed=False), "MONOCHROME2", ordinals)
    return render(ordinals, display)


def _eight_bit_grey(image: Image.Image) -> tuple[NDArray[np.uint8], bool]:
    """Grey levels, over black where the image is transparent, and whether there was colour."""
    colour = image.mode in _COLOUR_MODES
    if "transparency" in image.info or image.mode in ("LA", "PA", "RGBA"):
        opaque = Image.new("RGBA", image.size, (0, 0, 0, 255))
        image = Image.alpha_composite(opaque, image.convert("RGBA"))
    grey: NDArray[Any] = np.asarray(image.convert("L"))
    return grey, colour


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 where there is none or it cannot be read."""
    try:
        value = image.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:  # noqa: BLE001 - broken EXIF data must not make the pixels unreadable
        return 1
    return value if value in range(1, 9) else 1


def _oriented(
    pixels: NDArray[np.uint8], size: tuple[int, int], orientation: int, facts: RadiographFacts
) -> Radiograph:
    """The radiograph the right way up: stored rows and columns are exchanged with its pixels."""
    rows, columns = size
    if orientation != 1:
        image = Image.fromarray(pixels)
        image.getexif()[_ORIENTATION_TAG] = orientation
        ImageOps.exif_transpose(image, in_place=True)
        pixels = np.asarray(image)
        if orientation in _TRANSPOSED_ORIENTATIONS:
            rows, columns = columns, rows
    return Radiograph(pixels, rows, columns, facts)
