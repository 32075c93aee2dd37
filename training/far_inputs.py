"""Inputs a model was not made for, to measure how surely they are refused.

Real ones: body parts and modalities of `pydicom-data`, tiles and radiographs of the data folder,
natural pictures of scikit-image and scikit-learn. Made ones: the test part turned, upside down or
with inverted levels, which a wrong header or a careless converter produces.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import skimage
import sklearn
from numpy.typing import NDArray
from PIL import Image
from pydicom import dcmread
from pydicom.data import get_testdata_file

Pixels = NDArray[np.uint8]

DICOM_FILES: Mapping[str, tuple[str, ...]] = {
    "adult chest radiograph": ("RG1_UNCR.dcm",),
    "leg radiograph": ("RG3_UNCR.dcm",),
    "ultrasound": ("US1_UNCR.dcm",),
    "computed tomography": ("CT_small.dcm", "693_UNCR.dcm"),
    "magnetic resonance": ("MR_small.dcm", "MR2_UNCR.dcm"),
    "nuclear medicine": ("NM1_UNCR.dcm", "JPEG2000_UNC.dcm"),
}
"""Uncompressed files of `pydicom` and `pydicom-data` (MIT), by what they show."""

FOLDERS: Mapping[str, tuple[str, str]] = {
    "lung histology": ("lung_histology_lc25000", "**/*.jpeg"),
    "breast histology": ("breast_histology_idc", "patches/**/*.png"),
    "child's chest radiograph": ("chest_xray_kermany", "train/**/*.jpeg"),
}
"""Data sets under the data folder and their pictures, by what these show."""

NATURAL = (
    (skimage, "data", ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "camera.png")),
    (sklearn, "datasets/images", ("china.jpg", "flower.jpg")),
)
"""Photographs that come with scikit-image and scikit-learn (BSD-3-Clause)."""

TURNED: Mapping[str, Callable[[Pixels], Pixels]] = {
    "turned by 90 degrees": lambda image: np.rot90(image).copy(),
    "upside down": lambda image: np.flipud(image).copy(),
    "inverted grey levels": lambda image: 255 - image,
}
"""A tile has no upright, so of tiles only the last is far."""


def far_inputs(
    data: Path | None, own: NDArray[np.uint8], tiles: int, source: str = "chest_xray_kermany"
) -> dict[str, list[Pixels]]:
    """Return the inputs by kind, as displayed levels of any size, in the channels of `own`.

    Args:
        data: folder of the data sets, or `None` where there is none.
        own: images of the model's own kind, shape (n, rows, columns[, 3]), that are then turned.
        tiles: largest number of pictures of each kind.
        source: the model's own data set, which is not far.
    """
    found: dict[str, list[Pixels]] = {}
    for kind, names in DICOM_FILES.items():
        paths = [get_testdata_file(name, download=False) for name in names]
        images = [_displayed(Path(path)) for path in paths if isinstance(path, str)]
        if images:
            found[kind] = images
    for kind, (folder, pattern) in FOLDERS.items():
        pictures = sorted((data / folder).glob(pattern)) if data and folder != source else []
        if pictures:
            every = max(1, len(pictures) // max(1, tiles))
            found[kind] = [_picture(path) for path in pictures[::every][:tiles]]
    found["photograph"] = [
        _picture(Path(str(library.__file__)).parent / folder / name)
        for library, folder, names in NATURAL
        for name in names
    ]
    in_colour = own.ndim == 4
    for kind, turn in TURNED.items():
        if not in_colour or kind == "inverted grey levels":
            found[kind.replace("grey ", "") if in_colour else kind] = [
                turn(image) for image in own[:tiles]
            ]
    found["uniform grey"] = [np.full((512, 512), level, np.uint8) for level in (0, 128, 255)]
    found["white noise"] = [
        np.random.default_rng(seed).integers(0, 256, (512, 512), dtype=np.uint8)
        for seed in range(3)
    ]
    return {kind: [_in_channels(i, in_colour) for i in images] for kind, images in found.items()}


def _in_channels(image: Pixels, in_colour: bool) -> Pixels:
    if (image.ndim == 3) == in_colour:
        return image
    return np.asarray(Image.fromarray(image).convert("RGB" if in_colour else "L"))


def _picture(path: Path) -> Pixels:
    with Image.open(path) as image:
        return np.asarray(image if image.mode == "L" else image.convert("RGB"))


def _displayed(path: Path) -> Pixels:
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
