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
    """Share of images with any finding in each batch; of classes, each has an equal share."""
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
        members: list[NDArray[np.intp]],
        counts: tuple[int, ...],
        weights: NDArray[np.float64],
    ) -> None:
        """Prepare to draw, for each class, its count out of its members by these weights."""
        if not all(len(each) for each in members):
            raise DataError("The training part holds only one class; make another split.")
        self.config = config
        self._members = members
        self._shares = [weights[m] / weights[m].sum() for m in members]
        self._counts = counts

    @classmethod
    def of_findings(
        cls,
        config: SamplingConfig,
        positive: NDArray[np.bool_],
        propensity: NDArray[np.float64],
    ) -> "BalancedSampler":
        """Draw from samples with and without findings, with these acquisition propensities.

        Args:
            config: how.
            positive: whether a sample has any finding, shape (samples,).
            propensity: probability of having been acquired as one with a finding, shape (samples,).
        """
        other = np.where(positive, 1 - propensity, propensity)
        floor = config.propensity_floor
        weights = np.clip(other, floor, 1 - floor) ** config.propensity_power
        members = [np.flatnonzero(positive == present) for present in (True, False)]
        wanted = round(config.batch_images * config.positive_share)
        return cls(config, members, (wanted, config.batch_images - wanted), weights)

    @classmethod
    def of_classes(cls, config: SamplingConfig, targets: NDArray[np.int8]) -> "BalancedSampler":
        """Draw as many of each class, `targets` being of shape (samples, classes)."""
        classes = targets.shape[1]
        members = [np.flatnonzero(targets[:, each]) for each in range(classes)]
        whole, over = divmod(config.batch_images, classes)
        counts = tuple(whole + (each < over) for each in range(classes))
        return cls(config, members, counts, np.ones(len(targets)))

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
