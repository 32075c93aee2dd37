"""What a member is trained on, whole and step by step."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from training.lung_batches import LungBatches
from training.sampling import BalancedSampler
from training.teacher import Taught


@dataclass(frozen=True, slots=True)
class TrainingImages:
    """What a member is trained on."""

    pixels: NDArray[np.uint8]
    """All stored images of the manifest, shape (samples, rows, columns[, 3])."""
    targets: NDArray[np.int8]
    """Shape (samples, labels)."""
    positions: NDArray[np.intp]
    """Samples of the training part."""
    sampler: BalancedSampler
    """Draws positions within `positions`."""
    kept_to_lungs: LungBatches | None = None
    """Changes the batches of a network that is to look at the lungs alone."""
    taught: Taught | None = None
    """Softens the targets."""


@dataclass(frozen=True, slots=True)
class Batch:
    """One step's images."""

    inputs: Tensor
    """Shape (n, channels, side, side)."""
    targets: Tensor
    """Smoothed, shape (n, labels)."""
    field: Tensor | None = None
    """Share of each of the field's cells that is to be in it, shape (n, 1, cells, cells)."""
