"""From images to what the network sees, in training exactly as in serving.

Both transforms end in `models.preprocessing`, so there is no second definition that could drift.
"""

import numpy as np
import torch
from monai.transforms import Transform
from numpy.typing import NDArray
from torch import Tensor

from models.preprocessing import InputSpec, prepare, standardise


class Prepare(Transform):
    """The serving preprocessing of a batch of stored images."""

    def __init__(self, spec: InputSpec) -> None:
        self.spec = spec

    def __call__(self, pixels: NDArray[np.uint8]) -> Tensor:
        """Return the input of `pixels`, shape (n, rows, columns) -> (n, 1, side, side)."""
        return torch.from_numpy(np.stack([prepare(image, self.spec) for image in pixels]))


class StandardiseAugmented(Transform):
    """The end of the serving preprocessing for images that augmentation has already resampled."""

    def __init__(self, spec: InputSpec) -> None:
        self.spec = spec

    def __call__(self, images: Tensor) -> Tensor:
        """Return the network's input of grey levels 0 to 255, shape (n, 1, side, side).

        They are rounded to the 8 bits that every image has when it reaches the service.
        """
        rounded = images.round().clamp(0, 255).to(torch.uint8).numpy()
        inputs = [standardise(image[0], self.spec.clip)[np.newaxis] for image in rounded]
        return torch.from_numpy(np.stack(inputs))
