"""Acquisition scenarios: the classes acquired differently from each other, in ways not seen before.

The published test split is shifted against its training split, and the shift is not known. Each
scenario changes the images of one class, or each class in its own way, as another department might:
what a network still tells apart in all of them is in the lungs.
"""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Grey = NDArray[np.uint8]
Change = Callable[[Grey], Grey]


def _grey(values: NDArray[np.floating]) -> Grey:
    return np.asarray(np.clip(np.rint(values), 0, 255), dtype=np.uint8)


def keep(image: Grey) -> Grey:
    """Return `image` as it is."""
    return image


def tone(slope: float, offset: float) -> Change:
    """Return a change of contrast by `slope` about grey level 110, which becomes `offset`."""
    return lambda image: _grey((image.astype(np.float64) - 110) * slope + offset)


def gamma(power: float) -> Change:
    """Return a change of the tone curve; a power below 1 brightens."""
    return lambda image: _grey(255 * (image / 255) ** power)


def blurred(sigma_px: float) -> Change:
    """Return a Gaussian blur."""
    return lambda image: _grey(ndimage.gaussian_filter(image.astype(np.float64), sigma_px))


def sharpened(amount: float, sigma_px: float) -> Change:
    """Return unsharp masking."""

    def sharpen(image: Grey) -> Grey:
        grey = image.astype(np.float64)
        return _grey(grey + amount * (grey - ndimage.gaussian_filter(grey, sigma_px)))

    return sharpen


def field_of_view(columns: float, rows: float) -> Change:
    """Return a change that shows these shares of the field: below 1 crops, above 1 adds black."""

    def resample(image: Grey) -> Grey:
        scale = np.array([rows, columns])
        middle = (np.array(image.shape) - 1) / 2
        shown = ndimage.affine_transform(
            image.astype(np.float32), scale, middle * (1 - scale), order=1, mode="constant"
        )
        return _grey(shown)

    return resample


def in_turn(*changes: Change) -> Change:
    """Return `changes` applied one after the other."""

    def apply(image: Grey) -> Grey:
        for change in changes:
            image = change(image)
        return image

    return apply


SCENARIOS: Mapping[str, tuple[Change, Change]] = {
    "normals blurred": (blurred(1.2), keep),
    "normals flat": (tone(0.7, 125), keep),
    "tone curves apart": (gamma(0.7), gamma(1.2)),
    "normals taller": (field_of_view(1, 0.85), keep),
    "pneumonias wider": (keep, field_of_view(0.87, 1)),
    "normals wider": (field_of_view(0.85, 1), keep),
    "normals closer": (field_of_view(0.85, 0.85), keep),
    "pneumonias farther": (keep, field_of_view(1.15, 1.15)),
    "pneumonias sharpened": (keep, sharpened(1.0, 1.2)),
    "normals as pneumonias": (
        in_turn(field_of_view(0.95, 0.85), tone(0.8, 125), blurred(1.0)),
        keep,
    ),
    "classes exchanged": (
        in_turn(field_of_view(0.95, 0.88), tone(0.85, 125), blurred(0.8)),
        in_turn(field_of_view(1.05, 1), sharpened(0.7, 1.2), tone(1.12, 122)),
    ),
}
"""By name, what happens to images without and with a finding."""


def apply_scenario(name: str, pixels: NDArray[np.uint8], positive: NDArray[np.bool_]) -> Grey:
    """Return `pixels`, shape (n, rows, columns), as the scenario `name` would have made them."""
    negative_change, positive_change = SCENARIOS[name]
    changed = [
        (positive_change if has else negative_change)(image)
        for image, has in zip(pixels, positive, strict=True)
    ]
    return np.stack(changed)
