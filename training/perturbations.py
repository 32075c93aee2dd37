"""Changes of an image that should not change a finding, and one that should.

Applied to stored images (grey levels 0 to 255) before preprocessing, each at one stated strength.
"""

import io
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from skimage.color import hed2rgb, rgb2hed

from models.preprocessing import ImageKind

Grey = NDArray[np.uint8]

LUNG_ROWS = (0.12, 0.88)
LUNG_COLUMNS = (0.10, 0.90)
"""The rectangle that holds both lungs of nearly every image, as shares of the sides."""
CORNER_ROWS = 0.25
CORNER_COLUMNS = 0.20
"""The upper corners, where side markers are burnt in, as shares of the sides."""


def _clip(values: NDArray[np.float64]) -> Grey:
    return np.asarray(np.clip(np.rint(values), 0, 255), dtype=np.uint8)


def _gamma(power: float) -> Callable[[Grey], Grey]:
    return lambda image: _clip(255 * (image / 255) ** power)


def _blur(image: Grey) -> Grey:
    return _clip(ndimage.gaussian_filter(image.astype(np.float64), 1.5))


def _noise(image: Grey) -> Grey:
    # The same noise for each image: an evaluation gives the same figures every time.
    return _clip(image + np.random.default_rng(0).normal(0, 10, image.shape))


def _rotate(degrees: float) -> Callable[[Grey], Grey]:
    def turn(image: Grey) -> Grey:
        turned = ndimage.rotate(image, degrees, reshape=False, order=1, mode="constant")
        return np.asarray(turned, dtype=np.uint8)

    return turn


def _stretch(share: float) -> Callable[[Grey], Grey]:
    """Cut `share` off both sides: the rest, made square again, is that much wider."""

    def stretch(image: Grey) -> Grey:
        cut = round(image.shape[1] * share / 2)
        return np.ascontiguousarray(image[:, cut : image.shape[1] - cut])

    return stretch


def _squeeze(share: float) -> Callable[[Grey], Grey]:
    """Add black columns on both sides: what is made square again is that much narrower."""

    def squeeze(image: Grey) -> Grey:
        added = round(image.shape[1] * share / 2)
        return np.pad(image, ((0, 0), (added, added)))

    return squeeze


def _jpeg(image: Grey) -> Grey:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=30)
    return np.asarray(Image.open(stream))


def _corners_covered(image: Grey) -> Grey:
    covered = image.copy()
    rows = round(image.shape[0] * CORNER_ROWS)
    columns = round(image.shape[1] * CORNER_COLUMNS)
    covered[:rows, :columns] = covered[:rows, -columns:] = 0
    return covered


def _lungs_covered(image: Grey) -> Grey:
    covered = image.copy()
    (top, bottom), (left, right) = (
        tuple(round(size * share) for share in shares)
        for size, shares in zip(image.shape, (LUNG_ROWS, LUNG_COLUMNS), strict=True)
    )
    covered[top:bottom, left:right] = round(float(image.mean()))
    return covered


ROBUSTNESS: Mapping[str, Callable[[Grey], Grey]] = {
    "blurred (sigma 1.5 px)": _blur,
    "noise (10 grey levels)": _noise,
    "gamma 0.7": _gamma(0.7),
    "gamma 1.4": _gamma(1.4),
    "contrast halved": lambda image: _clip((image.astype(np.float64) - 127.5) / 2 + 127.5),
    "15 % wider": _stretch(0.15),
    "15 % narrower": _squeeze(0.15),
    "turned by 8 degrees": _rotate(8),
    "mirrored": lambda image: np.fliplr(image).copy(),
    "JPEG quality 30": _jpeg,
    "upper corners covered": _corners_covered,
}
"""Changes that leave what a reader sees in the lungs as it was."""

SHORTCUTS: Mapping[str, Callable[[Grey], Grey]] = {"lungs covered": _lungs_covered}
"""Changes that take the lungs away: what is still told apart afterwards is not the finding."""


Colour = NDArray[np.uint8]
"""Shape (rows, columns, 3)."""


def _stains(scales: tuple[float, float, float]) -> Callable[[Colour], Colour]:
    """Multiply the amounts of haematoxylin, eosin and what is left."""

    def restain(image: Colour) -> Colour:
        amounts = rgb2hed(image) * np.array(scales)
        return _clip(hed2rgb(amounts) * 255)

    return restain


def _focus(image: Colour) -> Colour:
    return _clip(ndimage.gaussian_filter(image.astype(np.float64), (1.0, 1.0, 0)))


TILE_ROBUSTNESS: Mapping[str, Callable[[Colour], Colour]] = {
    "out of focus (sigma 1 px)": _focus,
    "noise (10 levels)": _noise,
    "darker (gamma 1.3)": _gamma(1.3),
    "brighter (gamma 0.75)": _gamma(0.75),
    "contrast lowered by 30 %": lambda image: _clip((image.astype(np.float64) - 200) * 0.7 + 200),
    "haematoxylin 25 % stronger": _stains((1.25, 1.0, 1.0)),
    "eosin 25 % stronger": _stains((1.0, 1.25, 1.0)),
    "both stains 25 % weaker": _stains((0.75, 0.75, 1.0)),
    "turned by 90 degrees": lambda image: np.rot90(image).copy(),
    "mirrored": lambda image: np.fliplr(image).copy(),
    "JPEG quality 30": _jpeg,
}
"""Changes that leave what a reader sees in a stained tile as it was."""

TILE_SHORTCUTS: Mapping[str, Callable[[Colour], Colour]] = {
    "mean colour alone": lambda image: np.broadcast_to(
        _clip(image.mean(axis=(0, 1))), image.shape
    ).copy(),
}
"""What is told apart without any tissue structure is the stain."""


def changes_of(kind: str) -> Mapping[str, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]]:
    """Return every change for images of `kind` (`models.preprocessing.ImageKind`), by name."""
    if kind == ImageKind.TILE:
        return {**TILE_ROBUSTNESS, **TILE_SHORTCUTS}
    return {**ROBUSTNESS, **SHORTCUTS}
