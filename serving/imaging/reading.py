"""The one way from bytes to a radiograph."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from models.errors import InputError, UnreadableImageError
from models.quiet import quiet_decoders
from models.radiograph import Radiograph
from serving.imaging.dicom_facts import read_facts
from serving.imaging.dicom_header import read_header
from serving.imaging.dicom_pixels import read_first_frame
from serving.imaging.grayscale import Display, build_display, render
from serving.imaging.limits import DEFAULT_LIMITS, ImageLimits
from serving.imaging.palette import palette_luminance
from serving.imaging.pixel_format import PALETTE, PixelFormat, read_pixel_format
from serving.imaging.pixel_padding import declares_padding
from serving.imaging.plain_images import read_plain_image
from serving.imaging.reduction import area_mean, reduction_factor
from serving.imaging.sniff import SourceFormat, identify_format
from serving.imaging.stored_frame import StoredFrame


def read_radiograph(
    data: bytes,
    *,
    limits: ImageLimits = DEFAULT_LIMITS,
    target_side_px: int = 224,
    full_resolution: bool = False,
) -> Radiograph:
    """The radiograph in `data`: DICOM, PNG or JPEG, told apart by content.

    `target_side_px` is the side of the network's square input. No more pixels are decoded than
    it needs: where the image is large enough, both sides of the result are at least twice as
    long, and at most four times (the shorter side, in formats that allow any reduction).
    `full_resolution` decodes all pixels instead, for overlays and comparisons.

    Raises `UnreadableImageError` where the bytes are not an image that can be decoded and
    `InputTooLargeError` where they are over one of `limits`; nothing else, for any bytes.
    """
    if target_side_px < 1:
        raise ValueError(f"target_side_px must be at least 1, found {target_side_px}.")
    limits.check_bytes(len(data))
    target = None if full_resolution else target_side_px
    source = identify_format(data)
    try:
        with quiet_decoders():
            if source is SourceFormat.DICOM:
                return _read_dicom(data, limits, target)
            return read_plain_image(data, source, limits, target)
    except InputError:
        raise
    except Exception:  # noqa: BLE001 - the promise above must hold for what nobody foresaw, too
        raise UnreadableImageError(
            f"The {source} image cannot be read: it is corrupt in a way that is not understood. "
            "Send it again from the modality or archive.",
            f"{source} 图像无法读取：文件已损坏；请从设备或归档系统重新发送",
        ) from None


def _read_dicom(data: bytes, limits: ImageLimits, target: int | None) -> Radiograph:
    header = read_header(data, limits)
    layout = read_pixel_format(header.dataset, limits)
    facts = read_facts(header, layout)
    factor = 1 if target is None else reduction_factor(layout.rows, layout.columns, target)
    # A mean of indices or of padding with image has no meaning: these are decoded in full.
    is_divisible = layout.photometric != PALETTE and not declares_padding(header.dataset)
    frame = read_first_frame(header, layout, limits, factor if is_divisible else 1)
    pixels, display = _grey_levels(header.dataset, layout, frame, factor)
    if display is None:
        return Radiograph(pixels, layout.rows, layout.columns, facts)
    facts = replace(facts, remarks=facts.remarks + display.remarks)
    return Radiograph(pixels, layout.rows, layout.columns, facts, display.shown_range)


def _grey_levels(
    dataset: Dataset, layout: PixelFormat, frame: StoredFrame, factor: int
) -> tuple[NDArray[np.uint8], Display | None]:
    """What a person would see, reduced by what is left of `factor`, and how it came about."""
    remaining = max(1, factor // frame.reduced_by)
    if frame.is_luminance:
        return area_mean(frame.ordinals, remaining), None
    if layout.photometric == PALETTE:
        table = palette_luminance(dataset, frame.stored)
        return area_mean(np.take(table, frame.ordinals, mode="clip"), remaining), None
    display = build_display(dataset, frame.stored, layout.photometric, frame.ordinals)
    if display.commutes_with_mean:
        return render(area_mean(frame.ordinals, remaining), display), display
    return area_mean(render(frame.ordinals, display), remaining), display
