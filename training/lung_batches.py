"""The batches of a training that is kept to the lungs; `training.lungs` says why."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.batches import level_batch
from training.lungs import Chests, LungConfig, covered, transplanted

NOT_TOLD = 0.5
"""The target of an image whose lungs are covered: it says nothing for or against a finding."""


@dataclass(frozen=True, slots=True)
class LungBatches:
    """Changes the images of each batch so that their outside tells nothing."""

    config: LungConfig
    pixels: NDArray[np.uint8]
    """All stored images of the manifest, shape (samples, rows, columns)."""
    lungs: NDArray[np.uint8]
    """Where their lungs are, shape (samples, cells, cells)."""
    with_finding: NDArray[np.intp]
    """Samples of the training part with a finding, of which hosts are drawn."""
    without: NDArray[np.intp]
    """The others of the training part."""

    def draw(
        self, chosen: NDArray[np.intp], targets: Tensor, rng: np.random.Generator
    ) -> tuple[Chests, Tensor]:
        """Return the images of the samples `chosen`, changed, with their targets.

        Args:
            chosen: samples of the manifest, shape (n,).
            targets: what is true of them, shape (n, labels).
            rng: decides which are changed and how.
        """
        chests = self._of(chosen)
        images, lungs, targets = chests.images.clone(), chests.lungs.clone(), targets.clone()
        order = rng.permutation(len(chosen))
        moved = round(len(chosen) * self.config.transplant_share)
        hidden = round(len(chosen) * self.config.cover_share)
        guests, blind = order[:moved], order[moved : moved + hidden]
        if len(guests):
            found = np.asarray(targets[torch.from_numpy(guests)].numpy().any(axis=1))
            mixed = transplanted(chests.take(guests), self._of(self._hosts(found, rng)))
            images[guests], lungs[guests] = mixed.images, mixed.lungs
        if len(blind):
            images[blind] = covered(chests.take(blind), rng)
            lungs[blind], targets[blind] = 0.0, NOT_TOLD
        return Chests(images, lungs), targets

    def _hosts(self, found: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.intp]:
        """Return a sample for each guest, mostly of the class that it does not belong to."""
        other = rng.random(len(found)) < self.config.other_class_share
        classes = np.where(other, ~found, found)
        drawn = [rng.choice(self.with_finding if each else self.without) for each in classes]
        return np.array(drawn, dtype=np.intp)

    def _of(self, chosen: NDArray[np.intp]) -> Chests:
        lungs = torch.from_numpy(self.lungs[chosen].astype(np.float32))[:, None]
        return Chests(level_batch(np.asarray(self.pixels[chosen])), lungs)
