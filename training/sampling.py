"""Which images a training step sees: classes balanced, the unusually acquired ones more often."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.errors import DataError


@dataclass(frozen=True, slots=True)
class SamplingConfig:
    """How batches are drawn."""

    images_per_epoch: int = 2680
    """Drawn with replacement; about twice the rarer class."""
    batch_images: int = 32
    positive_share: float = 0.5
    """Share of images with any finding in each batch."""
    propensity_power: float = 0.5
    """0 draws evenly within a class; 1 draws in proportion to the probability of having been
    acquired as the other class, which takes the acquisition out of the class altogether."""
    propensity_floor: float = 0.02
    """Lowest probability that counts, so that a few images are not drawn over and over."""

    @property
    def steps_per_epoch(self) -> int:
        """Number of batches in an epoch."""
        return max(1, self.images_per_epoch // self.batch_images)


class BalancedSampler:
    """Draws batches of positions out of the training part."""

    def __init__(
        self,
        config: SamplingConfig,
        positive: NDArray[np.bool_],
        propensity: NDArray[np.float64],
    ) -> None:
        """Prepare to draw from samples with these classes and propensities, shape (samples,)."""
        if positive.all() or not positive.any():
            raise DataError("The training part holds only one class; make another split.")
        self.config = config
        other = np.where(positive, 1 - propensity, propensity)
        floor = config.propensity_floor
        weights = np.clip(other, floor, 1 - floor) ** config.propensity_power
        self._members = [np.flatnonzero(positive == present) for present in (True, False)]
        self._shares = [weights[m] / weights[m].sum() for m in self._members]
        wanted = round(config.batch_images * config.positive_share)
        self._counts = (wanted, config.batch_images - wanted)

    def epoch(self, rng: np.random.Generator) -> Iterator[NDArray[np.intp]]:
        """Yield the positions of each batch of one epoch."""
        for _ in range(self.config.steps_per_epoch):
            drawn = [
                rng.choice(members, count, p=shares)
                for members, count, shares in zip(
                    self._members, self._counts, self._shares, strict=True
                )
            ]
            yield np.concatenate(drawn)
