"""From images to what the network sees, in training exactly as in serving.

Both transforms end in `models.preprocessing`, so there is no second definition that could drift.
"""

import numpy as np
import torch
from monai.transforms import Transform
from numpy.typing import NDArray
from torch import Tensor

from models.preprocessing import InputSpec, as_input, prepare


class Prepare(Transform):
    """The serving preprocessing of a batch of stored images."""

    def __init__(self, spec: InputSpec) -> None:
        self.spec = spec

    def __call__(self, pixels: NDArray[np.uint8]) -> Tensor:
        """Return the input of `pixels`, shape (n, rows, columns[, 3]) -> (n, channels, side, side).

        The last axis is there for tiles alone.
        """
        return torch.from_numpy(np.stack([prepare(image, self.spec) for image in pixels]))


class PrepareAugmented(Transform):
    """The end of the serving preprocessing for images that augmentation has already resampled."""

    def __init__(self, spec: InputSpec) -> None:
        self.spec = spec

    def __call__(self, images: Tensor) -> Tensor:
        """Return the network's input of levels 0 to 255, shape (n, channels, side, side).

        They are rounded to the 8 bits that every image has when it reaches the service.
        """
        rounded = images.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).numpy()
        squares = rounded[..., 0] if self.spec.channels == 1 else rounded
        return torch.from_numpy(np.stack([as_input(square, self.spec) for square in squares]))


def level_batch(pixels: NDArray[np.uint8]) -> Tensor:
    """Return stored images as float32 levels of (n, channels, rows, columns).

    Args:
        pixels: shape (n, rows, columns), or (n, rows, columns, 3) for tiles.
    """
    levels = torch.from_numpy(pixels.astype(np.float32))
    return levels[:, None] if levels.ndim == 3 else levels.permute(0, 3, 1, 2).contiguous()
