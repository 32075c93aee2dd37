"""PALETTE COLOR images: indices into three tables (PS3.3 C.7.6.3.1.5 and C.7.6.3.1.6)."""

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from models.errors import UnreadableImageError
from serving.imaging.grayscale import StoredValues
from serving.imaging.lookup_table import read_table
from serving.imaging.stored_frame import rgb_to_luminance


def palette_luminance(dataset: Dataset, stored: StoredValues) -> NDArray[np.uint8]:
    """Luminance 0 to 255 of every index, shape (2**bits,).

    Raises `UnreadableImageError` where a table is missing, malformed or segmented.
    """
    values = stored.all_values()
    colours = []
    for name in ("Red", "Green", "Blue"):
        table = read_table(dataset, f"{name}PaletteColorLookupTable", signed=stored.signed)
        if table is None:
            raise UnreadableImageError(
                f"The image is PALETTE COLOR, but {name} Palette Color Lookup Table is missing or "
                "malformed (segmented ones are not read). Export the image as MONOCHROME2.",
                "图像为调色板彩色 (PALETTE COLOR)，但其查找表缺失或无效；"
                "请以 MONOCHROME2 格式导出图像",
            )
        colours.append(np.rint(table.apply(values) / (2**table.bits - 1) * 65_535))
    samples = np.stack(colours, axis=-1).astype(np.uint16)
    luminance: NDArray[np.uint8] = rgb_to_luminance(samples[np.newaxis], 16)[0]
    return luminance
