"""From displayed pixels to the network's input: the one definition, for training and serving.

`training` calls these functions from its data pipeline and `serving` on each request, so the two
cannot drift apart. A package's metadata holds an `InputSpec` and nothing else about its input.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.errors import PackageInvalidError

_CONTRAST_FLOOR = 1e-3
"""Added to the standard deviation (grey levels 0-255) so that a uniform image gives zeros."""


@dataclass(frozen=True, slots=True)
class InputSpec:
    """What the network wants to see."""

    side_px: int
    """Rows and columns of the square input. The aspect ratio is not kept: the images that the
    first model learns from were stored that way."""
    intensity: str = "standardised"
    """`standardised`: each image has mean 0 and standard deviation 1, which takes brightness and
    contrast of the exposure out of the input."""
    clip: float = 4.0
    """Standardised values are held within plus and minus this."""

    def __post_init__(self) -> None:
        if self.intensity != "standardised":
            raise PackageInvalidError(
                f"The input's intensity is {self.intensity!r}; this version knows only "
                "'standardised'. Use a package made for this version."
            )
        if not 32 <= self.side_px <= 1024 or self.side_px % 32:
            raise PackageInvalidError(
                f"The input's side is {self.side_px} px; expected a multiple of 32 from 32 to 1024."
            )


def resize(pixels: NDArray[np.uint8], side_px: int) -> NDArray[np.uint8]:
    """Return `pixels`, shape (rows, columns), as a square of (side_px, side_px).

    A triangle filter scaled to the reduction (Pillow's bilinear), which of the usual filters comes
    nearest to how the stored 224 px training images were made. `reducing_gap=2` first averages
    whole blocks, several times faster on a full-size radiograph and within a grey level of it.
    """
    if pixels.shape == (side_px, side_px):
        return pixels
    image = Image.fromarray(np.ascontiguousarray(pixels))
    resized = image.resize((side_px, side_px), Image.Resampling.BILINEAR, reducing_gap=2.0)
    return np.asarray(resized)


def standardise(pixels: NDArray[np.uint8], clip: float) -> NDArray[np.float32]:
    """Return `pixels` with mean 0 and standard deviation 1, held within +-`clip`."""
    values = pixels.astype(np.float32)
    centred = values - values.mean(dtype=np.float64).astype(np.float32)
    deviation = np.float32(centred.std(dtype=np.float64) + _CONTRAST_FLOOR)
    held: NDArray[np.float32] = np.clip(centred / deviation, -clip, clip, dtype=np.float32)
    return held


def prepare(pixels: NDArray[np.uint8], spec: InputSpec) -> NDArray[np.float32]:
    """Return the network's input for displayed `pixels` of shape (rows, columns).

    Returns:
        float32 of shape (1, side_px, side_px): one grey channel.
    """
    return standardise(resize(pixels, spec.side_px), spec.clip)[np.newaxis]
