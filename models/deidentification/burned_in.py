"""Pixels that may show who the patient is: refused, or masked where somebody said what to cover."""

from collections.abc import Sequence

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from models.deidentification.errors import BurnedInTextError
from models.findings import Region

_USUALLY_BURNED_IN = frozenset({"US", "IVUS", "ES", "XC", "GM", "OT", "SC", "DOC", "EPS", "HD"})
"""Modalities (PS3.3 C.7.3.1.1.1) whose devices usually write names into the picture."""


def check_pixels(dataset: Dataset) -> None:
    """Refuse what says, or is of a kind, that its pixels show who the patient is.

    Raises:
        BurnedInTextError: saying what was found and what to do.
    """
    stated = str(dataset.get("BurnedInAnnotation", "")).upper()
    if stated == "NO":
        return
    captured = "Secondary Capture" in getattr(dataset.get("SOPClassUID"), "name", "")
    if stated == "YES" or captured or dataset.get("Modality") in _USUALLY_BURNED_IN:
        why = (
            "Burned In Annotation (0028,0301) is YES"
            if stated == "YES"
            else "images of this kind usually carry burnt-in text and this one does not deny it"
        )
        raise BurnedInTextError(
            f"The pixels may show who the patient is: {why}. Look at the image and give the "
            "regions to mask (`masks` of the destination), or keep it in the institution. / "
            "像素中可能含有患者身份信息：请查看影像并给出需遮盖的区域（目的地的 masks），"
            "或将其留在本机构。"
        )


def mask_pixels(dataset: Dataset, regions: Sequence[Region]) -> None:
    """Blacken `regions` of every frame; the pixels are uncompressed afterwards.

    Black is the lowest value, the highest in MONOCHROME1.

    Raises:
        BurnedInTextError: the pixels cannot be decoded.
    """
    try:
        pixels = np.array(dataset.pixel_array)
    except Exception:  # noqa: BLE001 - decoders raise errors of any type on broken pixels
        raise BurnedInTextError(
            "The pixels cannot be decoded, so that they cannot be masked. Keep the image in the "
            "institution."
        ) from None
    grey = int(dataset.SamplesPerPixel) == 1
    frames = pixels if int(dataset.get("NumberOfFrames") or 1) > 1 else pixels[np.newaxis]
    inverted = dataset.PhotometricInterpretation == "MONOCHROME1"
    black = frames.max() if inverted else frames.min() if grey else 0
    for region in regions:
        rows = slice(region.row, region.row + region.height)
        frames[:, rows, region.column : region.column + region.width] = black
    if not grey and dataset.PhotometricInterpretation.startswith("YBR"):
        dataset.PhotometricInterpretation = "RGB"
    if not grey:
        dataset.PlanarConfiguration = 0
    dataset.PixelData = frames.tobytes() + b"\0" * (frames.nbytes % 2)
    dataset["PixelData"].VR = "OB" if int(dataset.BitsAllocated) <= 8 else "OW"
    dataset["PixelData"].is_undefined_length = False
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.BurnedInAnnotation = "NO"
