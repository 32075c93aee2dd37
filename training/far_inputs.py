"""Inputs the model was not made for, to measure how surely they are refused.

Real ones: other body parts and modalities of `pydicom-data`, histology tiles of the data folder.
Made ones: the test part turned, upside down or with inverted grey levels, which a wrong header or a
careless converter produces.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import dcmread
from pydicom.data import get_testdata_file

Grey = NDArray[np.uint8]

DICOM_FILES: Mapping[str, tuple[str, ...]] = {
    "adult chest radiograph": ("RG1_UNCR.dcm",),
    "leg radiograph": ("RG3_UNCR.dcm",),
    "ultrasound": ("US1_UNCR.dcm",),
    "computed tomography": ("CT_small.dcm", "693_UNCR.dcm"),
    "magnetic resonance": ("MR_small.dcm", "MR2_UNCR.dcm"),
    "nuclear medicine": ("NM1_UNCR.dcm", "JPEG2000_UNC.dcm"),
}
"""Uncompressed files of `pydicom` and `pydicom-data` (MIT), by what they show."""

TILES: Mapping[str, str] = {
    "lung histology": "lung_histology_lc25000/**/*.jpeg",
    "breast histology": "breast_histology_idc/patches/**/*.png",
}
"""Pictures under the data folder, by what they show."""

TURNED: Mapping[str, Callable[[Grey], Grey]] = {
    "turned by 90 degrees": lambda image: np.rot90(image).copy(),
    "upside down": lambda image: np.flipud(image).copy(),
    "inverted grey levels": lambda image: 255 - image,
}


def far_inputs(data: Path | None, own: NDArray[np.uint8], tiles: int) -> dict[str, list[Grey]]:
    """Return the inputs by kind, as displayed grey levels of any size.

    Args:
        data: folder of the data sets, or `None` where there is none.
        own: images of the model's own kind, shape (n, rows, columns), that are then turned.
        tiles: largest number of pictures of each kind.
    """
    found: dict[str, list[Grey]] = {}
    for kind, names in DICOM_FILES.items():
        paths = [get_testdata_file(name, download=False) for name in names]
        images = [_displayed(Path(path)) for path in paths if isinstance(path, str)]
        if images:
            found[kind] = images
    for kind, pattern in TILES.items():
        pictures = sorted(data.glob(pattern))[:: _every(data, pattern, tiles)] if data else []
        if pictures:
            found[kind] = [_grey(path) for path in pictures[:tiles]]
    for kind, turn in TURNED.items():
        found[kind] = [turn(image) for image in own[:tiles]]
    found["uniform grey"] = [np.full((512, 512), level, np.uint8) for level in (0, 128, 255)]
    found["white noise"] = [
        np.random.default_rng(seed).integers(0, 256, (512, 512), dtype=np.uint8)
        for seed in range(3)
    ]
    return found


def _every(data: Path, pattern: str, tiles: int) -> int:
    return max(1, sum(1 for _ in data.glob(pattern)) // max(1, tiles))


def _grey(path: Path) -> Grey:
    with Image.open(path) as image:
        return np.asarray(image.convert("L"))


def _displayed(path: Path) -> Grey:
    """Return the first frame from its 1st to its 99th percentile, which shows what is on it."""
    dataset = dcmread(path)
    pixels = dataset.pixel_array.astype(np.float64)
    if pixels.ndim == 3:
        pixels = pixels.mean(-1) if pixels.shape[-1] in (3, 4) else pixels[0]
    low, high = np.percentile(pixels, [1, 99])
    grey = np.clip((pixels - low) / max(high - low, 1e-6), 0, 1) * 255
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        grey = 255 - grey
    return np.asarray(grey, dtype=np.uint8)
